// SPDX-License-Identifier: Apache-2.0
// A container as found on disk and in /proc at this moment; shared by the verbs of this folder.
#pragma once

#include <string>

#include "runtime/base/fd.h"
#include "runtime/base/result.h"
#include "runtime/container/container.h"
#include "runtime/container/state_file.h"

namespace berth::container {

// `creating` while create() runs, `stopped` once init (by pid and start time) is gone or a zombie, `paused` before
// anything else of a live one, `created` while the fifo `exec.fifo` is there (§3 traps 2, 3, 63).
Status status_of(int dirfd, const StateRecord& record);

struct Loaded {
  Fd dir;  // the state directory
  StateRecord record;
  Status status = Status::kStopped;
};
// kNotFound "container does not exist" when there is no directory or no record in it.
Result<Loaded> load(const std::string& root, const std::string& id);

}  // namespace berth::container
