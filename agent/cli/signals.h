// SPDX-License-Identifier: Apache-2.0
// Signals as readable bytes, for the loops of run, exec and logs.
#pragma once

#include "runtime/base/fd.h"
#include "runtime/base/result.h"

namespace berth::cli {

// While it lives, TERM, INT, QUIT, HUP, USR1, USR2, WINCH and CONT are caught and each arrives as one byte (its number)
// on fd(). Handlers, not a mask: spawned processes and threads inherit nothing. At most one at a time in a process.
class SignalPipe {
 public:
  static Result<SignalPipe> open();
  SignalPipe(SignalPipe&& other) noexcept = default;
  SignalPipe& operator=(SignalPipe&&) = delete;
  ~SignalPipe();
  int fd() const { return reader_.get(); }

 private:
  SignalPipe(Fd reader, Fd writer) : reader_(std::move(reader)), writer_(std::move(writer)) {}
  Fd reader_;
  Fd writer_;
};

}  // namespace berth::cli
