// SPDX-License-Identifier: Apache-2.0
// Which combinations of terminal, --detach and --console-socket make sense, in runc's words (§3 trap 72).
#pragma once

#include <string>

#include "runtime/base/result.h"

namespace berth::cli {

inline Result<> check_terminal_rules(bool terminal, bool detach, const std::string& console_socket) {
  if (detach && terminal && console_socket.empty()) {
    return fail(Code::kInvalidArgument, "cannot allocate tty if runc will detach without setting console socket");
  }
  if ((!detach || !terminal) && !console_socket.empty()) {
    return fail(Code::kInvalidArgument, "cannot use console socket if runc will not detach or allocate tty");
  }
  return {};
}

}  // namespace berth::cli
