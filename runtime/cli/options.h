// SPDX-License-Identifier: Apache-2.0
// Command line options as runc's callers write them: `--flag v`, `--flag=v`, `-flag`, `-f v`, `-fv`, `-abc` of flags.
#pragma once

#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/base/result.h"

namespace berth::cli {

struct OptionSpec {
  std::string_view name;  // without dashes
  char letter = 0;        // 0: none
  bool takes_value = false;
  std::string_view help;
};

class Arguments {
 public:
  bool has(std::string_view name) const { return options_.contains(name); }
  // True for `--name` and `--name=true`, false for `--name=false` and when it is absent.
  bool flag(std::string_view name) const;
  // The last value given, or empty.
  std::string value(std::string_view name) const;
  std::vector<std::string> values(std::string_view name) const;
  const std::vector<std::string>& positional() const { return positional_; }
  bool help() const { return help_; }

 private:
  friend Result<Arguments> parse_options(std::span<const std::string_view>, std::span<const OptionSpec>,
                                         std::optional<size_t>);
  std::map<std::string, std::vector<std::string>, std::less<>> options_;
  std::vector<std::string> positional_;
  bool help_ = false;
};

// Options may stand before, between and after positional arguments, up to "--". `stop_after`: once so many positional
// arguments were seen, all the rest is positional (1 for exec: what follows the id belongs to the program).
// kInvalidArgument for unknown options and missing values.
Result<Arguments> parse_options(std::span<const std::string_view> words, std::span<const OptionSpec> specs,
                                std::optional<size_t> stop_after = {});

// Bytes with an optional suffix b, k, m, g, t (and "kb", "KiB"…); "-1" stays -1. As docker's RAMInBytes.
std::optional<int64_t> parse_bytes(std::string_view text);
// "TERM", "SIGTERM", "sigterm", "15", "RTMIN+3" → number, or nothing.
std::optional<int> parse_signal(std::string_view text);
// Go's durations as far as `events --interval` uses them ("5s", "1m30s", "250ms"), in milliseconds.
std::optional<int64_t> parse_duration_ms(std::string_view text);

}  // namespace berth::cli
