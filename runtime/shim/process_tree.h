// SPDX-License-Identifier: Apache-2.0
// Killing everything that an exec'd process has started (C06: a probe that timed out leaves nothing behind).
#pragma once

#include <sys/types.h>

namespace berth::shim {

// SIGKILL to `leader`, its descendants, and every process of a session or group that one of them leads; looks again
// until nothing new is found. `leader` must be an unreaped child of the caller, so that its pid cannot be another's.
void kill_tree(pid_t leader);

}  // namespace berth::shim
