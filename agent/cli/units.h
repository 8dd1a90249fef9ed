// SPDX-License-Identifier: Apache-2.0
// Durations and sizes as people read and write them, in docker's words.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "runtime/base/result.h"

namespace berth::cli {

// "Less than a second", "5 seconds", "About a minute", "3 minutes", "About an hour", "5 hours", "2 days", "3 weeks"…
std::string human_duration(long long nanos);
// Decimal units, four significant digits: "0B", "4.26MB", "1.5GB".
std::string human_size(int64_t bytes);

// "64m", "1.5g", "1024", "512MiB" → bytes; binary multiples whatever the spelling, as docker does. kInvalidArgument.
Result<int64_t> parse_memory(std::string_view text);
// "1.5" → 150000 (µs of every 100000). kInvalidArgument below 0.01.
Result<int64_t> parse_cpus(std::string_view text);
// "90s", "1h30m", "500ms", "1.5h" → nanoseconds.
Result<long long> parse_duration(std::string_view text);
// "--since": a duration before `now_nanos`, an RFC 3339 time, or seconds since the epoch → nanoseconds since the epoch.
Result<long long> parse_point_in_time(std::string_view text, long long now_nanos);
// RFC 3339 with fraction and zone → nanoseconds since the epoch.
Result<long long> parse_rfc3339(std::string_view text);

}  // namespace berth::cli
