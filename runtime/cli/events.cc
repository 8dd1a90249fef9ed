// SPDX-License-Identifier: Apache-2.0
// events: one JSON object per line, as containerd's go-runc reads them.
#include <chrono>

#include "runtime/base/strings.h"
#include "runtime/cgroup/stats.h"
#include "runtime/cli/commands.h"
#include "runtime/cli/json_text.h"
#include "runtime/cli/report.h"
#include "runtime/sys/process.h"

namespace berth::cli {
namespace {

namespace json = boost::json;

// runc prints v1's "no limit" number for memory and 0 for pids.
uint64_t limit_of(uint64_t limit, uint64_t none) { return limit == cgroup::kUnlimited ? none : limit; }

json::object cpu_json(const cgroup::CpuStats& cpu) {
  json::array each(cpu.per_cpu_ns.begin(), cpu.per_cpu_ns.end());
  json::object usage{
      {"total", cpu.usage_ns}, {"percpu", std::move(each)}, {"kernel", cpu.system_ns}, {"user", cpu.user_ns}};
  json::object throttling{
      {"periods", cpu.periods}, {"throttledPeriods", cpu.throttled_periods}, {"throttledTime", cpu.throttled_ns}};
  return {{"usage", std::move(usage)}, {"throttling", std::move(throttling)}};
}

json::object memory_json(const cgroup::MemoryStats& memory) {
  json::object raw;
  for (const auto& [key, value] : memory.raw) raw[key] = value;
  const auto entry = [](uint64_t limit, uint64_t usage, uint64_t max, uint64_t failures) {
    return json::object{{"limit", limit}, {"usage", usage}, {"max", max}, {"failcnt", failures}};
  };
  const uint64_t none = cgroup::kUnlimited;
  const uint64_t swap = memory.usage + memory.swap_usage.value_or(0);
  const uint64_t swap_limit =
      memory.swap_limit == none || memory.limit == none ? none : memory.swap_limit + memory.limit;
  return {{"cache", memory.cache},
          {"usage", entry(memory.limit, memory.usage, memory.max_usage, memory.fail_count)},
          {"swap", entry(swap_limit, swap, 0, 0)},
          {"kernel", entry(none, memory.kernel, 0, 0)},
          {"kernelTCP", entry(none, memory.kernel_tcp, 0, 0)},
          {"raw", std::move(raw)}};
}

json::object io_json(const std::vector<cgroup::IoEntry>& entries) {
  json::array bytes, operations;
  for (const auto& entry : entries) {
    const auto add = [&](json::array& out, const char* op, uint64_t value) {
      out.push_back(json::object{{"major", entry.major}, {"minor", entry.minor}, {"op", op}, {"value", value}});
    };
    add(bytes, "Read", entry.read_bytes);
    add(bytes, "Write", entry.write_bytes);
    add(operations, "Read", entry.reads);
    add(operations, "Write", entry.writes);
  }
  json::object out;
  if (!bytes.empty()) out["ioServiceBytesRecursive"] = std::move(bytes);
  if (!operations.empty()) out["ioServicedRecursive"] = std::move(operations);
  return out;
}

std::string stats_line(const std::string& id, const cgroup::Stats& stats) {
  json::object pids, hugetlb;
  if (stats.pids) {
    pids["current"] = stats.pids->current;
    if (const uint64_t limit = limit_of(stats.pids->limit, 0); limit != 0) pids["limit"] = limit;
  }
  for (const auto& [size, entry] : stats.hugepages) {
    hugetlb[size] = json::object{{"usage", entry.usage}, {"max", entry.max_usage}, {"failcnt", entry.fail_count}};
  }
  json::object data;
  data["cpu"] = cpu_json(stats.cpu.value_or(cgroup::CpuStats{}));
  data["cpuset"] = json::object();
  data["memory"] = memory_json(stats.memory.value_or(cgroup::MemoryStats{}));
  data["pids"] = std::move(pids);
  data["blkio"] = io_json(stats.io);
  data["hugetlb"] = std::move(hugetlb);
  data["intel_rdt"] = json::object();
  data["network_interfaces"] = nullptr;
  return concat(json::serialize(json::object{{"type", "stats"}, {"id", id}, {"data", std::move(data)}}), '\n');
}

}  // namespace

Result<int> events_command(const Context& context, const Arguments& arguments) {
  const std::string& id = arguments.positional()[0];
  const auto interval = parse_duration_ms(arguments.has("interval") ? arguments.value("interval") : "5s");
  if (!interval || *interval <= 0) return fail(Code::kInvalidArgument, "duration interval must be greater than 0");
  TRY_ASSIGN(const auto state, container::state(context.root, id));
  if (state.status == container::Status::kStopped) {
    return fail(Code::kFailedPrecondition, concat("container with id ", id, " is not running"));
  }
  TRY_ASSIGN(const auto group, cgroup::Cgroup::open(state.cgroups));
  TRY_ASSIGN(const Fd init, sys::open_pidfd(state.pid));
  std::optional<uint64_t> oom_kills;
  while (true) {
    TRY_ASSIGN(const auto stats, cgroup::read_stats(group, {.pressure = false, .raw_memory = true, .hugepages = true}));
    const uint64_t now = stats.memory ? stats.memory->oom_kills : 0;
    if (oom_kills && now > *oom_kills) TRY(print(concat("{\"type\":\"oom\",\"id\":", json_string(id), "}\n")));
    oom_kills = now;
    TRY(print(stats_line(id, stats)));
    if (arguments.flag("stats")) return 0;
    if (sys::wait_ended(init, std::chrono::milliseconds(*interval))) return 0;
  }
}

}  // namespace berth::cli
