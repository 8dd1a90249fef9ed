// SPDX-License-Identifier: Apache-2.0
#include "agent/accounting/stats.h"

#include <cstdlib>

#include "runtime/base/log.h"
#include "runtime/base/strings.h"
#include "runtime/sys/file.h"

namespace berth::accounting {
namespace {

constexpr uint64_t kUnlimited = uint64_t{1} << 62;
constexpr long long kShortestInterval = 100'000'000;  // of a CPU rate: shorter ones tell noise

std::optional<std::string> read(const cgroup::Cgroup& group, std::string_view controller, const char* file) {
  const int directory = group.dir(controller);
  if (directory < 0) return std::nullopt;
  auto text = sys::read_file_at(directory, file);
  if (!text) return std::nullopt;
  return std::move(*text);
}

std::optional<uint64_t> number(const cgroup::Cgroup& group, std::string_view controller, const char* file) {
  const auto text = read(group, controller, file);
  return text ? parse_uint64(trim(*text)) : std::nullopt;
}

std::optional<uint64_t> limit(std::optional<uint64_t> value) {
  return value && *value < kUnlimited ? value : std::nullopt;
}

uint64_t less(uint64_t a, uint64_t b) { return a > b ? a - b : 0; }

void sample_v1(const cgroup::Cgroup& group, Usage& usage) {
  usage.cpu_nanos = number(group, "cpuacct", "cpuacct.usage").value_or(0);
  usage.memory_bytes = number(group, "memory", "memory.usage_in_bytes").value_or(0);
  if (const auto stat = read(group, "memory", "memory.stat")) {
    usage.working_set_bytes = less(usage.memory_bytes, flat_value(*stat, "total_inactive_file").value_or(0));
    usage.rss_bytes = flat_value(*stat, "total_rss").value_or(0);
    usage.page_faults = flat_value(*stat, "total_pgfault").value_or(0);
    usage.major_page_faults = flat_value(*stat, "total_pgmajfault").value_or(0);
  }
  usage.memory_limit_bytes = limit(number(group, "memory", "memory.limit_in_bytes"));
  if (const auto both = number(group, "memory", "memory.memsw.usage_in_bytes")) usage.swap_bytes = less(*both, usage.memory_bytes);
  const auto both_limit = limit(number(group, "memory", "memory.memsw.limit_in_bytes"));
  if (both_limit && usage.memory_limit_bytes) usage.swap_limit_bytes = less(*both_limit, *usage.memory_limit_bytes);
  usage.processes = number(group, "pids", "pids.current");
}

void sample_v2(const cgroup::Cgroup& group, Usage& usage) {
  if (const auto stat = read(group, "cpu", "cpu.stat")) usage.cpu_nanos = flat_value(*stat, "usage_usec").value_or(0) * 1000;
  usage.memory_bytes = number(group, "memory", "memory.current").value_or(0);
  if (const auto stat = read(group, "memory", "memory.stat")) {
    usage.working_set_bytes = less(usage.memory_bytes, flat_value(*stat, "inactive_file").value_or(0));
    usage.rss_bytes = flat_value(*stat, "anon").value_or(0);
    usage.page_faults = flat_value(*stat, "pgfault").value_or(0);
    usage.major_page_faults = flat_value(*stat, "pgmajfault").value_or(0);
  }
  usage.memory_limit_bytes = limit(number(group, "memory", "memory.max"));
  usage.swap_bytes = number(group, "memory", "memory.swap.current");
  usage.swap_limit_bytes = limit(number(group, "memory", "memory.swap.max"));
  usage.processes = number(group, "pids", "pids.current");
  const auto pressure = [&](const char* file) -> std::optional<PressurePair> {
    const auto text = read(group, "", file);
    return text ? parse_pressure(*text) : std::nullopt;
  };
  usage.cpu_pressure = pressure("cpu.pressure");
  usage.memory_pressure = pressure("memory.pressure");
  usage.io_pressure = pressure("io.pressure");
}

}  // namespace

Result<Usage> Sampler::sample() {
  const std::lock_guard lock(mutex_);
  if (group_.empty()) return fail(Code::kNotFound, "the cgroup is gone");
  Usage usage;
  usage.taken_at = realtime_nanos();
  if (group_.v2()) {
    sample_v2(group_, usage);
  } else {
    sample_v1(group_, usage);
  }
  const long long now = monotonic_nanos();
  const long long elapsed = now - last_at_;
  if (last_at_ == 0 || elapsed >= kShortestInterval) {
    if (last_at_ != 0) last_rate_ = uint64_t(double(less(usage.cpu_nanos, last_cpu_nanos_)) * 1e9 / double(elapsed));
    last_cpu_nanos_ = usage.cpu_nanos;
    last_at_ = now;
  }
  usage.cpu_nano_cores = last_rate_;
  return usage;
}

std::optional<uint64_t> flat_value(std::string_view text, std::string_view key) {
  for (const std::string_view line : split(text, '\n')) {
    if (line.size() > key.size() && line.starts_with(key) && line[key.size()] == ' ') return parse_uint64(trim(line.substr(key.size() + 1)));
  }
  return std::nullopt;
}

std::optional<PressurePair> parse_pressure(std::string_view text) {
  PressurePair pair;
  bool found = false;
  for (const std::string_view line : split(text, '\n')) {
    Pressure* target = line.starts_with("some ") ? &pair.some : line.starts_with("full ") ? &pair.full : nullptr;
    if (target == nullptr) continue;
    found = true;
    for (const std::string_view field : split(line, ' ')) {
      const size_t equals = field.find('=');
      if (equals == std::string_view::npos) continue;
      const std::string_view key = field.substr(0, equals);
      const std::string value(field.substr(equals + 1));
      if (key == "avg10") target->avg10 = std::strtod(value.c_str(), nullptr);
      if (key == "avg60") target->avg60 = std::strtod(value.c_str(), nullptr);
      if (key == "avg300") target->avg300 = std::strtod(value.c_str(), nullptr);
      if (key == "total") target->total = parse_uint64(value).value_or(0);
    }
  }
  return found ? std::optional(pair) : std::nullopt;
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
