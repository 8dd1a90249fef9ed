// SPDX-License-Identifier: Apache-2.0
// Moves bytes between this terminal (or these pipes) and a process in a container until that process has ended.
#pragma once

#include <functional>

#include "agent/cli/signals.h"
#include "agent/pods/engine.h"

namespace berth::cli {

struct PumpOptions {
  bool terminal = false;  // the process has a pty: this terminal goes raw and sizes follow
  bool open_stdin = false;
};

// Blocks until the process has ended and its output is written. Each signal that arrives is passed to `on_signal`,
// except WINCH of a terminal, which resizes. The terminal's mode is restored whatever happens.
Result<shim::ExitRecord> pump(pods::ExecSession& session, const PumpOptions& options, const SignalPipe& signals,
                              const std::function<void(int)>& on_signal);

}  // namespace berth::cli
