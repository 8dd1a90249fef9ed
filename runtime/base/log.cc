// SPDX-License-Identifier: Apache-2.0
#include "runtime/base/log.h"

#include <atomic>
#include <chrono>
#include <cstdio>
#include <ctime>
#include <unistd.h>

#include "runtime/base/strings.h"

namespace berth {
namespace {

std::atomic<int> log_fd{STDERR_FILENO};
std::atomic<LogLevel> lowest_level{LogLevel::kInfo};

std::string_view level_name(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug: return "debug";
    case LogLevel::kInfo: return "info";
    case LogLevel::kWarn: return "warn";
    case LogLevel::kError: return "error";
  }
  return "error";
}

bool is_plain(std::string_view value) {
  if (value.empty()) return false;
  for (const char c : value) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte <= 0x20 || byte >= 0x7f || c == '"' || c == '=' || c == '\\') return false;
  }
  return true;
}

long long clock_nanos(clockid_t clock) {
  timespec now{};
  ::clock_gettime(clock, &now);
  return static_cast<long long>(now.tv_sec) * 1'000'000'000 + now.tv_nsec;
}

}  // namespace

void set_log_fd(int fd) { log_fd = fd; }
void set_log_level(LogLevel level) { lowest_level = level; }

bool parse_log_level(std::string_view text, LogLevel& level) {
  if (text == "debug" || text == "trace") level = LogLevel::kDebug;
  else if (text == "info") level = LogLevel::kInfo;
  else if (text == "warn" || text == "warning") level = LogLevel::kWarn;
  else if (text == "error") level = LogLevel::kError;
  else return false;
  return true;
}

void log_line(LogLevel level, std::string_view message, std::initializer_list<LogField> fields) {
  if (level < lowest_level.load(std::memory_order_relaxed)) return;
  std::string line = concat("time=", rfc3339_now(), " level=", level_name(level), " msg=", quote(message));
  for (const auto& field : fields) {
    line += ' ';
    line += field.key;
    line += '=';
    line += is_plain(field.value) ? field.value : quote(field.value);
  }
  line += '\n';
  [[maybe_unused]] const ssize_t written = ::write(log_fd.load(std::memory_order_relaxed), line.data(), line.size());
}

// Not gmtime_r: it reads /etc/localtime at its first call, seven system calls in every short-lived process.
std::string rfc3339(long long unix_nanos) {
  using namespace std::chrono;
  const nanoseconds since_epoch(unix_nanos);
  const auto day = floor<days>(since_epoch);
  const year_month_day date{sys_days(day)};
  const hh_mm_ss time(since_epoch - day);
  char text[64];
  ::snprintf(text, sizeof text, "%04d-%02u-%02uT%02d:%02d:%02d.%09ldZ", static_cast<int>(date.year()), static_cast<unsigned>(date.month()),
             static_cast<unsigned>(date.day()), static_cast<int>(time.hours().count()), static_cast<int>(time.minutes().count()),
             static_cast<int>(time.seconds().count()), static_cast<long>(time.subseconds().count()));
  return text;
}

std::string rfc3339_now() { return rfc3339(realtime_nanos()); }
long long realtime_nanos() { return clock_nanos(CLOCK_REALTIME); }
long long monotonic_nanos() { return clock_nanos(CLOCK_MONOTONIC); }

}  // namespace berth
