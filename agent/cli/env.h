// SPDX-License-Identifier: Apache-2.0
// Environment, users, labels and command words as they are typed.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "runtime/base/result.h"

namespace berth::cli {

using EnvList = std::vector<std::pair<std::string, std::string>>;

// `-e KEY=VALUE`; `-e KEY` takes the caller's value and adds nothing when there is none. A later key replaces an
// earlier.
Result<> add_env(EnvList& env, std::string_view text);
// The lines of an env file: KEY=VALUE or KEY, '#' starts a comment line. `name` is for the message.
Result<> add_env_file(EnvList& env, std::string_view content, const std::string& name);

// "uid", "uid:gid", "name", "name:gid". CRI has no field for a group by name.
struct UserText {
  std::optional<int64_t> uid;
  std::optional<int64_t> gid;
  std::string name;  // set when `uid` is not
};
Result<UserText> parse_user(std::string_view text);

// "key=value" or "key".
std::pair<std::string, std::string> parse_label(std::string_view text);

// A container's name: [a-zA-Z0-9][a-zA-Z0-9_.-]+, with docker's sentence where it is not.
Result<> check_container_name(std::string_view name);
// "quiet_harbour": adjective and noun, drawn by getrandom(2).
std::string random_container_name();

// Words as a shell would need them: `sh -c "echo hi"`, for the COMMAND column.
std::string command_text(const std::vector<std::string>& words);

// "TERM", "SIGTERM", "15" → 15. kInvalidArgument.
Result<int> parse_signal(std::string_view text);

}  // namespace berth::cli
