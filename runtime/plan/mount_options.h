// SPDX-License-Identifier: Apache-2.0
// The option strings of a mount, sorted by what they become. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "runtime/base/result.h"
#include "runtime/oci/spec.h"
#include "runtime/plan/builder.h"

namespace berth::plan {

struct MountOptions {
  bool bind = false;
  bool recursive = false;        // rbind
  uint64_t set = 0;              // MOUNT_ATTR_… of the mount itself
  uint64_t clear = 0;
  uint64_t recursive_set = 0;    // rro, rnosuid…
  uint64_t recursive_clear = 0;
  uint64_t propagation = 0;      // MS_PRIVATE…; 0: not asked for
  bool propagation_recursive = false;
  bool idmap = false;
  bool idmap_recursive = false;
  bool copy_up = false;          // tmpcopyup
  bool has_mode = false;         // tmpfs: mode= is given
  std::vector<Builder::Pair> data;
};

// kInvalidArgument for data on a bind, as runc has it. "defaults" is nothing.
Result<MountOptions> parse_mount_options(const oci::Mount& mount);

// Every option name understood by itself, for `features`.
std::vector<std::string> known_mount_options();

}  // namespace berth::plan
