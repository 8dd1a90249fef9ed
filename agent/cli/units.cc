// SPDX-License-Identifier: Apache-2.0
#include "agent/cli/units.h"

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <optional>

#include "runtime/base/strings.h"

namespace berth::cli {
namespace {

constexpr long long kSecond = 1'000'000'000;

// An unsigned decimal with optional fraction at the front of `text`; removes it. No sign, exponent, hex or locale.
std::optional<double> take_decimal(std::string_view& text) {
  size_t i = 0;
  bool digits = false, point = false;
  for (; i < text.size(); ++i) {
    if (text[i] >= '0' && text[i] <= '9')
      digits = true;
    else if (text[i] == '.' && !point)
      point = true;
    else
      break;
  }
  if (!digits || i > 30) return std::nullopt;
  const double value = std::strtod(std::string(text.substr(0, i)).c_str(), nullptr);
  text.remove_prefix(i);
  return value;
}

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  return out;
}

}  // namespace

std::string human_duration(long long nanos) {
  const long long seconds = nanos / kSecond;
  if (seconds < 1) return "Less than a second";
  if (seconds == 1) return "1 second";
  if (seconds < 60) return concat(seconds, " seconds");
  const long long minutes = seconds / 60;
  if (minutes == 1) return "About a minute";
  if (minutes < 60) return concat(minutes, " minutes");
  const long long hours = (seconds + 1800) / 3600;
  if (hours == 1) return "About an hour";
  if (hours < 48) return concat(hours, " hours");
  if (hours < 24 * 7 * 2) return concat(hours / 24, " days");
  if (hours < 24 * 30 * 2) return concat(hours / 24 / 7, " weeks");
  if (hours < 24 * 365 * 2) return concat(hours / 24 / 30, " months");
  return concat(hours / 24 / 365, " years");
}

std::string human_size(int64_t bytes) {
  static constexpr const char* kUnits[] = {"B", "kB", "MB", "GB", "TB", "PB", "EB"};
  double value = static_cast<double>(bytes < 0 ? 0 : bytes);
  size_t unit = 0;
  while (value >= 1000 && unit + 1 < std::size(kUnits)) {
    value /= 1000;
    ++unit;
  }
  char out[32];
  std::snprintf(out, sizeof out, "%.3g%s", value, kUnits[unit]);
  return out;
}

Result<int64_t> parse_memory(std::string_view text) {
  std::string_view rest = text;
  const auto value = take_decimal(rest);
  const auto bad = [&] {
    return fail(Code::kInvalidArgument,
                concat("memory size ", quote(text), ": expected a number with b, k, m, g or t"));
  };
  if (!value) return bad();
  std::string unit = lower(trim(rest));
  if (unit.ends_with("ib"))
    unit.resize(unit.size() - 2);
  else if (unit.size() == 2 && unit[1] == 'b')
    unit.resize(1);
  double factor = 1;
  if (unit == "k")
    factor = 1024.0;
  else if (unit == "m")
    factor = 1024.0 * 1024;
  else if (unit == "g")
    factor = 1024.0 * 1024 * 1024;
  else if (unit == "t")
    factor = 1024.0 * 1024 * 1024 * 1024;
  else if (!unit.empty() && unit != "b")
    return bad();
  const double bytes = *value * factor;
  if (bytes > 9e18) return bad();
  return static_cast<int64_t>(bytes);
}

Result<int64_t> parse_cpus(std::string_view text) {
  std::string_view rest = text;
  const auto value = take_decimal(rest);
  if (!value || !rest.empty() || *value > 1e6) {
    return fail(Code::kInvalidArgument, concat("cpus ", quote(text), ": expected a number such as 1.5"));
  }
  if (*value < 0.01) return fail(Code::kInvalidArgument, concat("cpus ", quote(text), ": at least 0.01 is needed"));
  return std::llround(*value * 100000.0);
}

Result<long long> parse_duration(std::string_view text) {
  std::string_view rest = text;
  double total = 0;
  const auto bad = [&] {
    return fail(Code::kInvalidArgument, concat("duration ", quote(text), ": expected a form such as 90s or 1h30m"));
  };
  if (rest.empty()) return bad();
  while (!rest.empty()) {
    const auto value = take_decimal(rest);
    if (!value) return bad();
    double factor = 0;
    size_t length = 1;
    if (rest.starts_with("ms"))
      factor = 1e6, length = 2;
    else if (rest.starts_with("us"))
      factor = 1e3, length = 2;
    else if (rest.starts_with("ns"))
      factor = 1, length = 2;
    else if (rest.starts_with("h"))
      factor = 3600e9;
    else if (rest.starts_with("m"))
      factor = 60e9;
    else if (rest.starts_with("s"))
      factor = 1e9;
    else
      return bad();
    rest.remove_prefix(length);
    total += *value * factor;
  }
  if (total > 9e18) return bad();
  return static_cast<long long>(total);
}

Result<long long> parse_rfc3339(std::string_view text) {
  const std::string copy(text);
  const auto bad = [&] { return fail(Code::kInvalidArgument, concat("time ", quote(text), ": expected RFC 3339")); };
  std::tm fields{};
  const char* rest = ::strptime(copy.c_str(), "%Y-%m-%dT%H:%M:%S", &fields);
  if (rest == nullptr) return bad();
  long long nanos = 0;
  if (*rest == '.') {
    long long unit = kSecond / 10;
    for (++rest; *rest >= '0' && *rest <= '9'; ++rest, unit /= 10) nanos += (*rest - '0') * unit;
  }
  long long offset = 0;
  if (*rest == 'Z') {
    ++rest;
  } else {
    int hours = 0, minutes = 0, used = 0;
    char sign = 0;
    if (std::sscanf(rest, "%c%2d:%2d%n", &sign, &hours, &minutes, &used) != 3 || (sign != '+' && sign != '-'))
      return bad();
    offset = (hours * 3600LL + minutes * 60LL) * (sign == '+' ? 1 : -1);
    rest += used;
  }
  if (*rest != 0) return bad();
  return (static_cast<long long>(::timegm(&fields)) - offset) * kSecond + nanos;
}

Result<long long> parse_point_in_time(std::string_view text, long long now_nanos) {
  if (const auto seconds = parse_uint64(text); seconds && *seconds < 9'000'000'000ull)
    return static_cast<long long>(*seconds) * kSecond;
  if (text.find('T') != std::string_view::npos) return parse_rfc3339(text);
  TRY_ASSIGN(const long long ago, parse_duration(text));
  return now_nanos - ago;
}

}  // namespace berth::cli
