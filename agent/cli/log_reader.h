// SPDX-License-Identifier: Apache-2.0
// Container logs in CRI's format (`<RFC3339Nano> <stdout|stderr> <P|F> <content>`) back into plain text.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "runtime/base/result.h"

namespace berth::cli {

struct LogLine {
  std::string_view time;
  bool is_stderr = false;
  bool is_partial = false;  // the next line of the same stream continues this one
  std::string_view content;
};

// One line without its newline; nothing when it is not in CRI's format.
std::optional<LogLine> parse_log_line(std::string_view line);

struct LogOptions {
  bool follow = false;
  std::optional<uint64_t> tail;  // the last so many lines
  bool timestamps = false;
  long long since_nanos = 0;
};

using LogSink = std::function<void(bool is_stderr, std::string_view text)>;

// Turns bytes of a log file into text as they come; parts of a line are passed on at once.
class LogPrinter {
 public:
  LogPrinter(const LogOptions& options, LogSink sink) : options_(options), sink_(std::move(sink)) {}
  void feed(std::string_view bytes);

 private:
  void print(std::string_view line);

  LogOptions options_;
  LogSink sink_;
  std::string rest_;  // of a line whose newline has not come yet
  bool mid_line_[2] = {false, false};
};

// Offset in `path` at which the last `count` logical lines begin.
Result<uint64_t> tail_offset(const std::string& path, uint64_t count);

// Prints the log; with follow also what comes, across rotation (rename and reopen), until `ended` says that the
// container has and the file is at its end. A missing file is an empty log.
Result<> print_log(const std::string& path, const LogOptions& options, const std::function<bool()>& ended,
                   const LogSink& sink);

}  // namespace berth::cli
