// SPDX-License-Identifier: Apache-2.0
#include "agent/accounting/stats.h"

#include <algorithm>

#include "runtime/base/log.h"
#include "runtime/base/strings.h"
#include "runtime/sys/file.h"

namespace berth::accounting {
namespace {

constexpr long long kShortestInterval = 100'000'000;  // of a CPU rate: shorter ones tell noise

std::optional<uint64_t> limit(uint64_t value) {
  return value == cgroup::kUnlimited ? std::nullopt : std::optional(value);
}

Usage usage_of(const cgroup::Stats& stats) {
  Usage usage;
  usage.taken_at = realtime_nanos();
  if (stats.cpu) usage.cpu_nanos = stats.cpu->usage_ns;
  if (stats.memory) {
    usage.memory_bytes = stats.memory->usage;
    usage.working_set_bytes = stats.memory->working_set;
    usage.rss_bytes = stats.memory->rss;
    usage.page_faults = stats.memory->page_faults;
    usage.major_page_faults = stats.memory->major_page_faults;
    usage.memory_limit_bytes = limit(stats.memory->limit);
    usage.swap_bytes = stats.memory->swap_usage;
    usage.swap_limit_bytes = limit(stats.memory->swap_limit);
  }
  if (stats.pids) usage.processes = stats.pids->current;
  usage.cpu_pressure = stats.cpu_pressure;
  usage.memory_pressure = stats.memory_pressure;
  usage.io_pressure = stats.io_pressure;
  return usage;
}

}  // namespace

Result<Usage> Sampler::sample() {
  const std::lock_guard lock(mutex_);
  cgroup::StatsRequest request;
  request.io = false;
  TRY_ASSIGN(const cgroup::Stats stats, cgroup::read_stats(group_, request));
  Usage usage = usage_of(stats);
  const long long now = monotonic_nanos();
  const long long elapsed = now - last_at_;
  if (last_at_ == 0 || elapsed >= kShortestInterval) {
    if (last_at_ != 0)
      last_rate_ =
          uint64_t(double(usage.cpu_nanos - std::min(usage.cpu_nanos, last_cpu_nanos_)) * 1e9 / double(elapsed));
    last_cpu_nanos_ = usage.cpu_nanos;
    last_at_ = now;
  }
  usage.cpu_nano_cores = last_rate_;
  return usage;
}

std::vector<InterfaceUsage> parse_net_dev(std::string_view text) {
  std::vector<InterfaceUsage> interfaces;
  for (const std::string_view line : split(text, '\n')) {
    const size_t colon = line.find(':');
    if (colon == std::string_view::npos) continue;
    InterfaceUsage usage;
    usage.name = trim(line.substr(0, colon));
    if (usage.name == "lo") continue;
    std::vector<uint64_t> values;
    for (const std::string_view word : split(line.substr(colon + 1), ' ')) {
      if (!word.empty()) values.push_back(parse_uint64(word).value_or(0));
    }
    if (values.size() < 16) continue;
    usage.rx_bytes = values[0];
    usage.rx_errors = values[2];
    usage.tx_bytes = values[8];
    usage.tx_errors = values[10];
    interfaces.push_back(std::move(usage));
  }
  return interfaces;
}

Result<std::vector<InterfaceUsage>> network_usage(pid_t pid) {
  TRY_ASSIGN(const std::string text, sys::read_file(concat("/proc/", pid, "/net/dev")));
  return parse_net_dev(text);
}

}  // namespace berth::accounting
