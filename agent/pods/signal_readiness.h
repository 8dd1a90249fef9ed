// SPDX-License-Identifier: Apache-2.0
// Whether a process would notice a signal now.
#pragma once

#include <sys/types.h>

#include <chrono>

namespace berth::pods {

// The kernel drops a signal to pid 1 of a pid namespace that has neither a handler for it nor blocks it. A program that
// was started a moment ago may not have come as far as its handler, and a stop that follows the start at once would then
// cost the whole grace period; likewise a signal that meets the process before its execve. Returns as soon as `pid` would
// notice `signal` or has ended, after `patience` at the latest; at once for a program that is not pid 1 of its namespace,
// or ignores the signal.
void wait_until_noticed(pid_t pid, int signal, std::chrono::milliseconds patience);

}  // namespace berth::pods
