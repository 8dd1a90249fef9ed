// SPDX-License-Identifier: Apache-2.0
#include "runtime/cli/report.h"

#include <fcntl.h>
#include <unistd.h>

#include "runtime/base/log.h"
#include "runtime/base/strings.h"
#include "runtime/cli/json_text.h"
#include "runtime/sys/file.h"

namespace berth::cli {

std::string error_line(bool json, std::string_view message, std::string_view time) {
  if (!json) return concat("time=\"", time, "\" level=error msg=", quote(message));
  return concat("{\"level\":\"error\",\"msg\":", json_string(message), ",\"time\":\"", time, "\"}");
}

void report_error(const ErrorLog& log, std::string_view message) {
  // Engines parse the time with Go's RFC 3339: whole seconds are what logrus writes.
  const std::string time = rfc3339_now().substr(0, 19) + "Z";
  const std::string line = error_line(log.json, message, time) + "\n";
  bool logged = false;
  if (!log.path.empty()) {
    auto file = sys::open_path(log.path, O_WRONLY | O_APPEND | O_CREAT, 0644);
    logged = file && sys::write_all(file->get(), line);
  }
  (void)sys::write_all(STDERR_FILENO, logged ? concat(message, '\n') : line);
}

Result<> print(std::string_view text) { return sys::write_all(STDOUT_FILENO, text); }

}  // namespace berth::cli
