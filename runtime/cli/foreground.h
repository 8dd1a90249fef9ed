// SPDX-License-Identifier: Apache-2.0
// A process that `run` and `exec` wait for: signals go to it, the terminal is copied, its end becomes our exit status.
#pragma once

#include <functional>

#include "runtime/base/result.h"
#include "runtime/container/container.h"

namespace berth::cli {

// Blocks the signals that are forwarded later, so that none is lost between the creation and wait_foreground. Call it
// after the process exists (it must not inherit the mask).
void block_signals();
// Orphans of the container become our children and are reaped; wanted only without a pid namespace of its own.
void become_subreaper();

// Copies between our standard streams and `process.console` (raw mode when ours is a terminal), forwards signals until
// the process has ended, and returns its exit status, 128 + n when signal n ended it. The terminal is restored.
Result<int> wait_foreground(container::Created& process);

}  // namespace berth::cli
