// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

namespace berth::cli {

// `berth fit …` with the arguments after the verb. Exit status: 0, 1 failed, 2 usage.
int fit_command(std::vector<std::string> args);

}  // namespace berth::cli
