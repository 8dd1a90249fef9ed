// SPDX-License-Identifier: Apache-2.0
// Usage figures of one cgroup, read through its held directories (cri.md 2.14, `events --stats`).
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "runtime/base/result.h"
#include "runtime/cgroup/cgroup.h"

namespace berth::cgroup {

// A limit without bound reads kUnlimited, on v1 and v2 alike.
inline constexpr uint64_t kUnlimited = UINT64_MAX;

struct CpuStats {
  uint64_t usage_ns = 0;
  uint64_t user_ns = 0;
  uint64_t system_ns = 0;
  std::vector<uint64_t> per_cpu_ns;  // v1 only
  uint64_t periods = 0;
  uint64_t throttled_periods = 0;
  uint64_t throttled_ns = 0;
  bool operator==(const CpuStats&) const = default;
};

struct MemoryStats {
  uint64_t usage = 0;      // bytes
  uint64_t max_usage = 0;  // high-water mark; 0 when the kernel does not tell
  uint64_t limit = kUnlimited;
  uint64_t working_set = 0;  // usage − inactive_file, at least 0
  uint64_t rss = 0;          // anonymous memory
  uint64_t cache = 0;
  uint64_t mapped_file = 0;
  uint64_t page_faults = 0;
  uint64_t major_page_faults = 0;
  uint64_t fail_count = 0;  // times the limit was hit
  uint64_t oom_kills = 0;
  std::optional<uint64_t> swap_usage;  // swap alone, without memory; absent without swap accounting
  uint64_t swap_limit = kUnlimited;    // swap alone
  uint64_t kernel = 0;
  uint64_t kernel_tcp = 0;
  std::map<std::string, uint64_t> raw;  // memory.stat; filled only when asked
  bool operator==(const MemoryStats&) const = default;
};

struct PidsStats {
  uint64_t current = 0;
  uint64_t limit = kUnlimited;
  bool operator==(const PidsStats&) const = default;
};

struct IoEntry {
  uint64_t major = 0;
  uint64_t minor = 0;
  uint64_t read_bytes = 0;
  uint64_t write_bytes = 0;
  uint64_t reads = 0;
  uint64_t writes = 0;
  bool operator==(const IoEntry&) const = default;
};

struct PressureLine {
  double avg10 = 0;  // per cent
  double avg60 = 0;
  double avg300 = 0;
  uint64_t total_us = 0;
};
struct Pressure {
  PressureLine some;
  PressureLine full;
};

struct HugepageStats {
  uint64_t usage = 0;
  uint64_t max_usage = 0;
  uint64_t fail_count = 0;
};

// A member is absent when the host has no such controller (or, for pressure, no PSI: v1 has none).
struct Stats {
  std::optional<CpuStats> cpu;
  std::optional<MemoryStats> memory;
  std::optional<PidsStats> pids;
  std::vector<IoEntry> io;
  std::map<std::string, HugepageStats> hugepages;  // by page size; only when asked
  std::optional<Pressure> cpu_pressure;
  std::optional<Pressure> memory_pressure;
  std::optional<Pressure> io_pressure;
};

struct StatsRequest {
  bool io = true;
  bool pressure = true;
  bool raw_memory = false;
  bool hugepages = false;
};

// kNotFound when the cgroup is gone. const Cgroup only: may run in parallel with other reads.
Result<Stats> read_stats(const Cgroup& group, const StatsRequest& request = {});

// The parsers, for tests.
PressureLine parse_pressure_line(std::string_view line);
std::vector<IoEntry> parse_io_stat(std::string_view text);                       // v2 io.stat
void merge_blkio(std::string_view text, bool bytes, std::vector<IoEntry>& out);  // v1 blkio.*recursive
MemoryStats parse_memory_stat_v1(std::string_view stat, uint64_t usage);
MemoryStats parse_memory_stat_v2(std::string_view stat, uint64_t usage);

}  // namespace berth::cgroup
