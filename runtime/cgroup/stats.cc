// SPDX-License-Identifier: Apache-2.0
#include "runtime/cgroup/stats.h"

#include <algorithm>
#include <cerrno>
#include <cstdlib>

#include "runtime/base/strings.h"
#include "runtime/cgroup/control_file.h"
#include "runtime/sys/file.h"

namespace berth::cgroup {
namespace {

// v1 writes "no limit" as the largest page-aligned number; anything near it means the same.
constexpr uint64_t kV1NoLimit = 0x7fff'ffff'ff00'0000;

std::string read_text(int dir, const std::string& file) {
  if (dir < 0) return {};
  auto text = sys::read_file_at(dir, file);
  return text ? std::move(*text) : std::string();
}

uint64_t read_number(int dir, const std::string& file) { return parse_uint64(trim(read_text(dir, file))).value_or(0); }

uint64_t read_limit(int dir, const std::string& file) {
  const auto value = parse_uint64(trim(read_text(dir, file)));
  return !value || *value >= kV1NoLimit ? kUnlimited : *value;
}

uint64_t key(std::string_view text, std::string_view name) { return keyed_value(text, name).value_or(0); }

uint64_t less(uint64_t from, uint64_t amount) { return from > amount ? from - amount : 0; }

CpuStats cpu_v1(int cpu, int account) {
  CpuStats out;
  out.usage_ns = read_number(account, "cpuacct.usage");
  out.user_ns = read_number(account, "cpuacct.usage_user");
  out.system_ns = read_number(account, "cpuacct.usage_sys");
  const std::string each = read_text(account, "cpuacct.usage_percpu");
  for (const auto part : split(trim(each), ' ')) {
    if (const auto value = parse_uint64(part)) out.per_cpu_ns.push_back(*value);
  }
  const std::string stat = read_text(cpu, "cpu.stat");
  out.periods = key(stat, "nr_periods");
  out.throttled_periods = key(stat, "nr_throttled");
  out.throttled_ns = key(stat, "throttled_time");
  return out;
}

CpuStats cpu_v2(std::string_view stat) {
  CpuStats out;
  out.usage_ns = key(stat, "usage_usec") * 1000;
  out.user_ns = key(stat, "user_usec") * 1000;
  out.system_ns = key(stat, "system_usec") * 1000;
  out.periods = key(stat, "nr_periods");
  out.throttled_periods = key(stat, "nr_throttled");
  out.throttled_ns = key(stat, "throttled_usec") * 1000;
  return out;
}

void fill_raw(std::string_view stat, std::map<std::string, uint64_t>& out) {
  for (const auto line : split(stat, '\n')) {
    const size_t space = line.find(' ');
    if (space == line.npos) continue;
    if (const auto value = parse_uint64(line.substr(space + 1))) out.emplace(line.substr(0, space), *value);
  }
}

std::optional<MemoryStats> memory_v1(int dir, bool raw) {
  const std::string stat = read_text(dir, "memory.stat");
  if (stat.empty()) return std::nullopt;
  MemoryStats out = parse_memory_stat_v1(stat, read_number(dir, "memory.usage_in_bytes"));
  out.max_usage = read_number(dir, "memory.max_usage_in_bytes");
  out.limit = read_limit(dir, "memory.limit_in_bytes");
  out.fail_count = read_number(dir, "memory.failcnt");
  out.oom_kills = key(read_text(dir, "memory.oom_control"), "oom_kill");
  if (const auto both = parse_uint64(trim(read_text(dir, "memory.memsw.usage_in_bytes")))) {
    out.swap_usage = less(*both, out.usage);
    const uint64_t both_limit = read_limit(dir, "memory.memsw.limit_in_bytes");
    out.swap_limit = both_limit == kUnlimited ? kUnlimited : less(both_limit, out.limit);
  }
  out.kernel = read_number(dir, "memory.kmem.usage_in_bytes");
  out.kernel_tcp = read_number(dir, "memory.kmem.tcp.usage_in_bytes");
  if (raw) fill_raw(stat, out.raw);
  return out;
}

std::optional<MemoryStats> memory_v2(int dir, bool raw) {
  const std::string stat = read_text(dir, "memory.stat");
  if (stat.empty()) return std::nullopt;
  MemoryStats out = parse_memory_stat_v2(stat, read_number(dir, "memory.current"));
  out.max_usage = read_number(dir, "memory.peak");
  out.limit = read_limit(dir, "memory.max");
  const std::string events = read_text(dir, "memory.events");
  out.fail_count = key(events, "max");
  out.oom_kills = key(events, "oom_kill");
  if (const auto swap = parse_uint64(trim(read_text(dir, "memory.swap.current")))) {
    out.swap_usage = *swap;
    out.swap_limit = read_limit(dir, "memory.swap.max");
  }
  if (raw) fill_raw(stat, out.raw);
  return out;
}

std::optional<PidsStats> pids(int dir) {
  const auto current = parse_uint64(trim(read_text(dir, "pids.current")));
  if (!current) return std::nullopt;
  return PidsStats{*current, read_limit(dir, "pids.max")};
}

std::optional<Pressure> pressure(int dir, const std::string& file) {
  const std::string text = read_text(dir, file);
  if (text.empty()) return std::nullopt;
  Pressure out;
  for (const auto line : split(text, '\n')) {
    if (line.starts_with("some ")) out.some = parse_pressure_line(line);
    if (line.starts_with("full ")) out.full = parse_pressure_line(line);
  }
  return out;
}

void read_hugepages(int dir, bool v2, std::map<std::string, HugepageStats>& out) {
  if (dir < 0) return;
  const auto names = sys::list_directory(dir);
  if (!names) return;
  const std::string_view suffix = v2 ? ".current" : ".usage_in_bytes";
  for (const std::string_view name : *names) {
    if (!name.starts_with("hugetlb.") || !name.ends_with(suffix) || name.find(".rsvd.") != name.npos) continue;
    const std::string size(name.substr(8, name.size() - 8 - suffix.size()));
    HugepageStats entry;
    entry.usage = read_number(dir, std::string(name));
    if (v2) {
      entry.fail_count = key(read_text(dir, concat("hugetlb.", size, ".events")), "max");
    } else {
      entry.max_usage = read_number(dir, concat("hugetlb.", size, ".max_usage_in_bytes"));
      entry.fail_count = read_number(dir, concat("hugetlb.", size, ".failcnt"));
    }
    out.emplace(size, entry);
  }
}

std::optional<std::pair<uint64_t, uint64_t>> device_numbers(std::string_view text) {
  const size_t colon = text.find(':');
  if (colon == text.npos) return std::nullopt;
  const auto major = parse_uint64(text.substr(0, colon));
  const auto minor = parse_uint64(text.substr(colon + 1));
  if (!major || !minor) return std::nullopt;
  return std::pair(*major, *minor);
}

void read_v1(const Cgroup& group, const StatsRequest& request, Stats& out) {
  const int account = group.dir("cpuacct");
  if (account >= 0) out.cpu = cpu_v1(group.dir("cpu"), account);
  out.memory = memory_v1(group.dir("memory"), request.raw_memory);
  if (request.io && group.dir("blkio") >= 0) {
    const int io = group.dir("blkio");
    merge_blkio(read_text(io, "blkio.throttle.io_service_bytes_recursive"), true, out.io);
    merge_blkio(read_text(io, "blkio.throttle.io_serviced_recursive"), false, out.io);
  }
}

void read_v2(const Cgroup& group, const StatsRequest& request, Stats& out) {
  const int dir = group.dir("");
  const std::string cpu = read_text(dir, "cpu.stat");
  if (!cpu.empty()) out.cpu = cpu_v2(cpu);
  out.memory = memory_v2(dir, request.raw_memory);
  if (request.io) out.io = parse_io_stat(read_text(dir, "io.stat"));
  if (!request.pressure) return;
  out.cpu_pressure = pressure(dir, "cpu.pressure");
  out.memory_pressure = pressure(dir, "memory.pressure");
  out.io_pressure = pressure(dir, "io.pressure");
}

}  // namespace

PressureLine parse_pressure_line(std::string_view line) {
  PressureLine out;
  for (const auto part : split(trim(line), ' ')) {
    const size_t equals = part.find('=');
    if (equals == part.npos) continue;
    const std::string_view name = part.substr(0, equals);
    const std::string value(part.substr(equals + 1));
    if (name == "avg10") out.avg10 = ::strtod(value.c_str(), nullptr);
    if (name == "avg60") out.avg60 = ::strtod(value.c_str(), nullptr);
    if (name == "avg300") out.avg300 = ::strtod(value.c_str(), nullptr);
    if (name == "total") out.total_us = parse_uint64(value).value_or(0);
  }
  return out;
}

std::vector<IoEntry> parse_io_stat(std::string_view text) {
  std::vector<IoEntry> out;
  for (const auto line : split(text, '\n')) {
    const auto fields = split(line, ' ');
    const auto numbers = device_numbers(fields[0]);
    if (!numbers) continue;
    IoEntry entry{numbers->first, numbers->second, 0, 0, 0, 0};
    for (const auto field : fields) {
      const size_t equals = field.find('=');
      if (equals == field.npos) continue;
      const uint64_t value = parse_uint64(field.substr(equals + 1)).value_or(0);
      const std::string_view name = field.substr(0, equals);
      if (name == "rbytes") entry.read_bytes = value;
      if (name == "wbytes") entry.write_bytes = value;
      if (name == "rios") entry.reads = value;
      if (name == "wios") entry.writes = value;
    }
    out.push_back(entry);
  }
  return out;
}

void merge_blkio(std::string_view text, bool bytes, std::vector<IoEntry>& out) {
  for (const auto line : split(text, '\n')) {
    const auto fields = split(line, ' ');
    if (fields.size() != 3 || (fields[1] != "Read" && fields[1] != "Write")) continue;
    const auto numbers = device_numbers(fields[0]);
    const auto value = parse_uint64(fields[2]);
    if (!numbers || !value) continue;
    auto entry = std::ranges::find_if(
        out, [&](const IoEntry& other) { return other.major == numbers->first && other.minor == numbers->second; });
    if (entry == out.end()) entry = out.insert(out.end(), {numbers->first, numbers->second, 0, 0, 0, 0});
    const bool read = fields[1] == "Read";
    (bytes ? (read ? entry->read_bytes : entry->write_bytes) : (read ? entry->reads : entry->writes)) = *value;
  }
}

MemoryStats parse_memory_stat_v1(std::string_view stat, uint64_t usage) {
  MemoryStats out;
  out.usage = usage;
  out.working_set = less(usage, key(stat, "total_inactive_file"));
  out.rss = key(stat, "total_rss");
  out.cache = key(stat, "total_cache");
  out.mapped_file = key(stat, "total_mapped_file");
  out.page_faults = key(stat, "total_pgfault");
  out.major_page_faults = key(stat, "total_pgmajfault");
  return out;
}

MemoryStats parse_memory_stat_v2(std::string_view stat, uint64_t usage) {
  MemoryStats out;
  out.usage = usage;
  out.working_set = less(usage, key(stat, "inactive_file"));
  out.rss = key(stat, "anon");
  out.cache = key(stat, "file");
  out.mapped_file = key(stat, "file_mapped");
  out.page_faults = key(stat, "pgfault");
  out.major_page_faults = key(stat, "pgmajfault");
  out.kernel = key(stat, "kernel");
  out.kernel_tcp = key(stat, "sock");
  return out;
}

Result<Stats> read_stats(const Cgroup& group, const StatsRequest& request) {
  if (group.empty()) return fail(Code::kNotFound, "read statistics: the cgroup is gone");
  Stats out;
  if (group.v2()) {
    read_v2(group, request, out);
  } else {
    read_v1(group, request, out);
  }
  out.pids = pids(group.dir("pids"));
  if (request.hugepages) read_hugepages(group.dir("hugetlb"), group.v2(), out.hugepages);
  if (!out.cpu && !out.memory && !out.pids) return fail(Code::kNotFound, "read statistics: the cgroup is gone");
  return out;
}

}  // namespace berth::cgroup
