// SPDX-License-Identifier: Apache-2.0
// Running in the foreground: attach before the start, pass signals on, end with the container's exit status.
#pragma once

#include <string>

#include "agent/cli/context.h"
#include "agent/cli/signals.h"

namespace berth::cli {

struct ForegroundOptions {
  bool terminal = false;
  bool open_stdin = false;
  bool remove = false;  // container and pod when it has ended; else the pod's network and namespaces are released
};

// Starts the created container `id` and stays with it. The container's status, or 125, 126, 127 after a message.
int run_in_foreground(Context& context, const std::string& id, const ForegroundOptions& options,
                      const SignalPipe& signals);

// 127: the program is not there, 126: it cannot be executed, 125: anything else (docker's convention).
int start_failure_status(const Error& error);

}  // namespace berth::cli
