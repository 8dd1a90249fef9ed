// SPDX-License-Identifier: Apache-2.0
// A TCP connection to the pod's own localhost, made without blocking the loop.
#pragma once

#include <cstdint>
#include <functional>

#include "runtime/base/fd.h"
#include "runtime/base/result.h"
#include "runtime/shim/loop.h"

namespace berth::shim {

// Tries 127.0.0.1, then ::1, in the network namespace that the caller is in; five seconds each. `done` is called once,
// perhaps before this returns, with a blocking socket or kUnavailable.
void dial_localhost(Loop& loop, uint16_t port, std::function<void(Result<Fd>)> done);

}  // namespace berth::shim
