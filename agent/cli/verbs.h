// SPDX-License-Identifier: Apache-2.0
// The verbs of `berth`, one file each. Each takes what follows its name and returns the exit status.
#pragma once

#include <string>
#include <vector>

#include "agent/cli/context.h"

namespace berth::cli {

using Args = std::vector<std::string>;

int run_command(Context& context, Args args);
int create_command(Context& context, Args args);
int start_command(Context& context, Args args);
int wait_command(Context& context, Args args);
int reap_command(Context& context, Args args);  // hidden: ends a detached --rm container's affairs
int ps_command(Context& context, Args args);
int exec_command(Context& context, Args args);
int logs_command(Context& context, Args args);
int stop_command(Context& context, Args args);
int kill_command(Context& context, Args args);
int rm_command(Context& context, Args args);
int inspect_command(Context& context, Args args);
int images_command(Context& context, Args args);
int pull_command(Context& context, Args args);
int rmi_command(Context& context, Args args);
int tag_command(Context& context, Args args);
int version_command(Context& context, Args args);
int info_command(Context& context, Args args);

}  // namespace berth::cli
