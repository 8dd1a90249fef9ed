// SPDX-License-Identifier: Apache-2.0
// Structured log lines, one write(2) each, logfmt: `time=… level=info msg="pod started" pod=ab12 ms=14`.
//
// One logger for every program, because the shim and the runtime must not link iostreams. The message is a constant,
// data goes into fields; field values are quoted so that nothing hostile reaches the operator's terminal raw.
// Thread-safe: a line is formatted on the caller's stack and written with a single call.
// Levels: error (the operator must act), warn (degraded), info (state change), debug.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>

namespace berth {

enum class LogLevel : unsigned char { kDebug, kInfo, kWarn, kError };

struct LogField {
  std::string_view key;
  std::string value;
  LogField(std::string_view k, std::string_view v) : key(k), value(v) {}
  LogField(std::string_view k, const std::string& v) : key(k), value(v) {}
  LogField(std::string_view k, const char* v) : key(k), value(v) {}
  LogField(std::string_view k, long long v) : key(k), value(std::to_string(v)) {}
  LogField(std::string_view k, unsigned long long v) : key(k), value(std::to_string(v)) {}
  LogField(std::string_view k, long v) : key(k), value(std::to_string(v)) {}
  LogField(std::string_view k, unsigned long v) : key(k), value(std::to_string(v)) {}
  LogField(std::string_view k, int v) : key(k), value(std::to_string(v)) {}
  LogField(std::string_view k, unsigned v) : key(k), value(std::to_string(v)) {}
};

// Where lines go (default: standard error) and the lowest level written (default: info). Set once, at program start.
void set_log_fd(int fd);
void set_log_level(LogLevel level);
// Parses "debug", "info", "warn"/"warning", "error"; false on anything else.
bool parse_log_level(std::string_view text, LogLevel& level);

void log_line(LogLevel level, std::string_view message, std::initializer_list<LogField> fields = {});

inline void log_debug(std::string_view m, std::initializer_list<LogField> f = {}) { log_line(LogLevel::kDebug, m, f); }
inline void log_info(std::string_view m, std::initializer_list<LogField> f = {}) { log_line(LogLevel::kInfo, m, f); }
inline void log_warn(std::string_view m, std::initializer_list<LogField> f = {}) { log_line(LogLevel::kWarn, m, f); }
inline void log_error(std::string_view m, std::initializer_list<LogField> f = {}) { log_line(LogLevel::kError, m, f); }

// RFC 3339 in UTC with nanoseconds, e.g. 2026-01-02T03:04:05.000000006Z, of the realtime clock or of `unix_nanos`.
std::string rfc3339_now();
std::string rfc3339(long long unix_nanos);
// CLOCK_REALTIME in nanoseconds since the epoch, and CLOCK_MONOTONIC in nanoseconds.
long long realtime_nanos();
long long monotonic_nanos();

}  // namespace berth
