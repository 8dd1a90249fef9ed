// SPDX-License-Identifier: Apache-2.0
// Small reads of the kernel's control files, shared within this folder.
#pragma once

#include <time.h>

#include <cstdint>
#include <optional>
#include <string_view>

#include "runtime/base/strings.h"

namespace berth::cgroup {

// Sleeps `micros` microseconds; for states the kernel cannot notify about.
inline void short_pause(unsigned micros) {
  const timespec time{.tv_sec = 0, .tv_nsec = static_cast<long>(micros) * 1000};
  ::nanosleep(&time, nullptr);
}

// The value behind `key` in "key value\n" lines (memory.stat, cpu.stat, cgroup.events).
inline std::optional<uint64_t> keyed_value(std::string_view text, std::string_view key) {
  for (size_t start = 0; start < text.size();) {
    size_t end = text.find('\n', start);
    if (end == text.npos) end = text.size();
    const std::string_view line = text.substr(start, end - start);
    if (line.size() > key.size() + 1 && line.starts_with(key) && line[key.size()] == ' ') {
      return parse_uint64(trim(line.substr(key.size() + 1)));
    }
    start = end + 1;
  }
  return std::nullopt;
}

}  // namespace berth::cgroup
