// SPDX-License-Identifier: Apache-2.0
// How an error reaches the caller: engines read the last JSON object of the log, and match texts on standard error.
#pragma once

#include <string>
#include <string_view>

#include "runtime/base/result.h"

namespace berth::cli {

struct ErrorLog {
  std::string path;  // empty: standard error
  bool json = false;
};

// One line in the log (logrus' text or JSON form) and, when the log is a file, the bare message on standard error too.
void report_error(const ErrorLog& log, std::string_view message);
// The line without newline; `time` in RFC 3339 with seconds.
std::string error_line(bool json, std::string_view message, std::string_view time);

// Writes to standard output; errors (a closed pipe) are returned.
Result<> print(std::string_view text);

}  // namespace berth::cli
