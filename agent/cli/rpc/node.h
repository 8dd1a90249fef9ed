// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

namespace berth::cli {

// `berth node ls | show NODE | events [NODE]` with the arguments after the verb. Exit status: 0, 1 failed, 2 usage.
int node_command(std::vector<std::string> args);

}  // namespace berth::cli
