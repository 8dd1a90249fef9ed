// SPDX-License-Identifier: Apache-2.0
#include "runtime/cgroup/limits.h"

#include <algorithm>
#include <cmath>

#include "runtime/base/strings.h"

namespace berth::cgroup {
namespace {

class Settings {
 public:
  void add(std::string_view limit, std::string_view controller, std::string_view file, std::string value) {
    list_.push_back({std::string(controller), concat(controller, '.', file), std::move(value), limit, {}, {}, false});
  }
  void add_optional(std::string_view limit, std::string_view controller, std::string_view file, std::string value) {
    add(limit, controller, file, std::move(value));
    list_.back().optional = true;
  }
  Setting& last() { return list_.back(); }
  std::vector<Setting> take() { return std::move(list_); }

 private:
  std::vector<Setting> list_;
};

// 0 stands for "unset" in what engines send; -1 (any negative) for unlimited.
bool given(const std::optional<int64_t>& value) { return value && *value != 0; }
bool given(const std::optional<uint64_t>& value) { return value && *value != 0; }

std::string max_or(int64_t value) { return value < 0 ? std::string("max") : std::to_string(value); }
std::string device(int64_t major, int64_t minor) { return concat(major, ':', minor); }

// `swap_alone`: v1 compares a swap limit with the memory limit in force by itself, v2 needs both to subtract.
Result<> check_memory(const oci::MemoryResources& memory, bool swap_alone) {
  if (memory.swappiness && *memory.swappiness > 100) {
    return fail(Code::kInvalidArgument,
                concat("invalid value: ", *memory.swappiness, ". valid memory swappiness range is 0-100"));
  }
  if (!given(memory.swap) || *memory.swap < 0) return {};
  if (!given(memory.limit)) {
    if (swap_alone) return {};
    return fail(Code::kInvalidArgument, "unable to set swap limit without memory limit");
  }
  if (*memory.limit > 0 && *memory.swap < *memory.limit) {
    return fail(Code::kInvalidArgument, "memory+swap limit should be >= memory limit");
  }
  return {};
}

void memory_v1(const oci::MemoryResources& memory, Settings& out) {
  if (given(memory.limit)) out.add("memory.limit", "memory", "limit_in_bytes", std::to_string(*memory.limit));
  // Without an explicit swap limit an unlimited memory makes memory+swap unlimited too, else the write is refused.
  if (given(memory.swap)) {
    out.add("memory.swap", "memory", "memsw.limit_in_bytes", std::to_string(*memory.swap));
    out.last().optional = *memory.swap < 0;
  } else if (given(memory.limit) && *memory.limit < 0) {
    out.add_optional("memory.swap", "memory", "memsw.limit_in_bytes", "-1");
  }
  if (given(memory.reservation)) {
    out.add("memory.reservation", "memory", "soft_limit_in_bytes", std::to_string(*memory.reservation));
  }
  // Obsolete in the kernel (5.16 refuses them); runc ignores them.
  if (given(memory.kernel)) {
    out.add_optional("memory.kernel", "memory", "kmem.limit_in_bytes", std::to_string(*memory.kernel));
  }
  if (given(memory.kernel_tcp)) {
    out.add_optional("memory.kernelTCP", "memory", "kmem.tcp.limit_in_bytes", std::to_string(*memory.kernel_tcp));
  }
  if (memory.disable_oom_killer.value_or(false)) out.add("memory.disableOOMKiller", "memory", "oom_control", "1");
  if (memory.swappiness) out.add("memory.swappiness", "memory", "swappiness", std::to_string(*memory.swappiness));
}

void memory_v2(const oci::MemoryResources& memory, Settings& out) {
  const bool unlimited = given(memory.limit) && *memory.limit < 0;
  if (given(memory.swap) || unlimited) {
    const bool no_bound = unlimited || *memory.swap < 0;
    const std::string value = no_bound ? "max" : std::to_string(*memory.swap - *memory.limit);
    out.add("memory.swap", "memory", "swap.max", value);
    // A kernel without swap accounting has no such file: then there is nothing to bound or to switch off.
    out.last().optional = value == "max" || value == "0";
  }
  if (given(memory.limit)) out.add("memory.limit", "memory", "max", max_or(*memory.limit));
  if (given(memory.reservation)) out.add("memory.reservation", "memory", "low", max_or(*memory.reservation));
}

void cpu_v1(const oci::CpuResources& cpu, Settings& out) {
  if (given(cpu.shares)) out.add("cpu.shares", "cpu", "shares", std::to_string(*cpu.shares));
  if (given(cpu.period)) out.add("cpu.period", "cpu", "cfs_period_us", std::to_string(*cpu.period));
  if (given(cpu.quota)) out.add("cpu.quota", "cpu", "cfs_quota_us", std::to_string(*cpu.quota));
  if (cpu.burst) {
    out.add("cpu.burst", "cpu", "cfs_burst_us", std::to_string(*cpu.burst));
    out.last().optional = *cpu.burst == 0;
  }
  if (given(cpu.realtime_period)) {
    out.add("cpu.realtimePeriod", "cpu", "rt_period_us", std::to_string(*cpu.realtime_period));
  }
  if (given(cpu.realtime_runtime)) {
    out.add("cpu.realtimeRuntime", "cpu", "rt_runtime_us", std::to_string(*cpu.realtime_runtime));
  }
  if (cpu.idle) {
    out.add("cpu.idle", "cpu", "idle", std::to_string(*cpu.idle));
    out.last().optional = *cpu.idle == 0;
  }
}

void cpu_v2(const oci::CpuResources& cpu, std::string_view current_max, Settings& out) {
  if (given(cpu.shares)) out.add("cpu.shares", "cpu", "weight", std::to_string(cpu_weight(*cpu.shares)));
  if (cpu.idle) {
    out.add("cpu.idle", "cpu", "idle", std::to_string(*cpu.idle));
    out.last().optional = *cpu.idle == 0;
  }
  if (given(cpu.quota) || given(cpu.period)) {
    std::string value = "max";
    if (given(cpu.quota)) {
      value = max_or(*cpu.quota);
    } else if (!current_max.empty()) {
      value = std::string(trim(current_max.substr(0, current_max.find(' '))));
    }
    if (given(cpu.period)) value += concat(' ', *cpu.period);
    out.add(given(cpu.quota) ? "cpu.quota" : "cpu.period", "cpu", "max", std::move(value));
  }
  if (cpu.burst) {
    out.add("cpu.burst", "cpu", "max.burst", std::to_string(*cpu.burst));
    out.last().optional = *cpu.burst == 0;
  }
}

void cpuset(const oci::CpuResources& cpu, Settings& out) {
  if (!cpu.cpus.empty()) out.add("cpu.cpus", "cpuset", "cpus", cpu.cpus);
  if (!cpu.mems.empty()) out.add("cpu.mems", "cpuset", "mems", cpu.mems);
}

struct Throttle {
  std::string_view limit;
  const std::vector<oci::ThrottleDevice>& devices;
  std::string_view v1_file;
  std::string_view v2_key;
};

std::vector<Throttle> throttles(const oci::BlockIo& io) {
  return {{"blockIO.throttleReadBpsDevice", io.throttle_read_bps, "throttle.read_bps_device", "rbps"},
          {"blockIO.throttleWriteBpsDevice", io.throttle_write_bps, "throttle.write_bps_device", "wbps"},
          {"blockIO.throttleReadIOPSDevice", io.throttle_read_iops, "throttle.read_iops_device", "riops"},
          {"blockIO.throttleWriteIOPSDevice", io.throttle_write_iops, "throttle.write_iops_device", "wiops"}};
}

void block_io_v1(const oci::BlockIo& io, Settings& out) {
  const auto weighted = [&](std::string_view limit, std::string_view file, const std::string& value) {
    out.add(limit, "blkio", file, value);
    out.last().other_file = concat("blkio.bfq.", file);
    out.last().other_value = value;
  };
  if (io.weight.value_or(0) != 0) weighted("blockIO.weight", "weight", std::to_string(*io.weight));
  if (io.leaf_weight.value_or(0) != 0)
    out.add("blockIO.leafWeight", "blkio", "leaf_weight", std::to_string(*io.leaf_weight));
  for (const auto& entry : io.weight_device) {
    const std::string name = device(entry.major, entry.minor);
    if (entry.weight.value_or(0) != 0)
      weighted("blockIO.weightDevice", "weight_device", concat(name, ' ', *entry.weight));
    if (entry.leaf_weight.value_or(0) != 0) {
      out.add("blockIO.weightDevice", "blkio", "leaf_weight_device", concat(name, ' ', *entry.leaf_weight));
    }
  }
  for (const auto& throttle : throttles(io)) {
    for (const auto& entry : throttle.devices) {
      out.add(throttle.limit, "blkio", throttle.v1_file, concat(device(entry.major, entry.minor), ' ', entry.rate));
    }
  }
}

void block_io_v2(const oci::BlockIo& io, Settings& out) {
  if (io.weight.value_or(0) != 0) {
    out.add("blockIO.weight", "io", "bfq.weight", std::to_string(*io.weight));
    out.last().other_file = "io.weight";
    out.last().other_value = concat("default ", io_weight(*io.weight));
  }
  for (const auto& entry : io.weight_device) {
    if (entry.weight.value_or(0) == 0) continue;
    const std::string name = device(entry.major, entry.minor);
    out.add("blockIO.weightDevice", "io", "bfq.weight", concat(name, ' ', *entry.weight));
    out.last().other_file = "io.weight";
    out.last().other_value = concat(name, ' ', io_weight(*entry.weight));
  }
  for (const auto& throttle : throttles(io)) {
    for (const auto& entry : throttle.devices) {
      const std::string rate = entry.rate == 0 ? "max" : std::to_string(entry.rate);
      out.add(throttle.limit, "io", "max", concat(device(entry.major, entry.minor), ' ', throttle.v2_key, '=', rate));
    }
  }
}

void huge_pages(const std::vector<oci::HugepageLimit>& limits, std::string_view suffix, Settings& out) {
  for (const auto& entry : limits) {
    out.add("hugepageLimits", "hugetlb", concat(entry.page_size, '.', suffix), std::to_string(entry.limit));
    // kubelet sends 0 for every page size of the node, whether or not the controller exists.
    out.last().optional = entry.limit == 0;
    out.add_optional("hugepageLimits", "hugetlb", concat(entry.page_size, ".rsvd.", suffix),
                     std::to_string(entry.limit));
  }
}

void rdma(const std::map<std::string, oci::RdmaLimit>& limits, Settings& out) {
  for (const auto& [name, limit] : limits) {
    std::string value = name;
    if (limit.hca_handles) value += concat(" hca_handle=", *limit.hca_handles);
    if (limit.hca_objects) value += concat(" hca_object=", *limit.hca_objects);
    out.add("rdma", "rdma", "max", std::move(value));
  }
}

void network(const oci::NetworkResources& limits, Settings& out) {
  if (limits.class_id.value_or(0) != 0)
    out.add("network.classID", "net_cls", "classid", std::to_string(*limits.class_id));
  for (const auto& entry : limits.priorities) {
    out.add("network.priorities", "net_prio", "ifpriomap", concat(entry.name, ' ', entry.priority));
  }
}

}  // namespace

uint64_t cpu_weight(uint64_t shares) {
  if (shares == 0) return 0;
  if (shares <= 2) return 1;
  if (shares >= 262144) return 10000;
  const double l = std::log2(static_cast<double>(shares));
  return static_cast<uint64_t>(std::ceil(std::pow(10.0, (l * l + 125 * l) / 612.0 - 7.0 / 34.0)));
}

uint64_t io_weight(uint64_t blkio_weight) {
  if (blkio_weight == 0) return 0;
  return 1 + (std::max<uint64_t>(blkio_weight, 10) - 10) * 9999 / 990;
}

Result<std::vector<Setting>> v1_settings(const oci::Resources& resources) {
  if (!resources.unified.empty()) {
    return fail(Code::kInvalidArgument, "invalid configuration: cannot use unified on cgroup v1");
  }
  Settings out;
  if (resources.cpu) {
    cpuset(*resources.cpu, out);
    cpu_v1(*resources.cpu, out);
  }
  if (resources.memory) {
    TRY(check_memory(*resources.memory, true));
    memory_v1(*resources.memory, out);
  }
  if (resources.pids_limit) out.add("pids.limit", "pids", "max", max_or(*resources.pids_limit));
  if (resources.block_io) block_io_v1(*resources.block_io, out);
  huge_pages(resources.hugepage_limits, "limit_in_bytes", out);
  if (resources.network) network(*resources.network, out);
  rdma(resources.rdma, out);
  return out.take();
}

Result<std::vector<Setting>> v2_settings(const oci::Resources& resources, std::string_view current_cpu_max) {
  Settings out;
  if (resources.cpu) {
    cpuset(*resources.cpu, out);
    cpu_v2(*resources.cpu, current_cpu_max, out);
  }
  if (resources.memory) {
    TRY(check_memory(*resources.memory, false));
    memory_v2(*resources.memory, out);
  }
  if (resources.pids_limit) out.add("pids.limit", "pids", "max", max_or(*resources.pids_limit));
  if (resources.block_io) block_io_v2(*resources.block_io, out);
  huge_pages(resources.hugepage_limits, "max", out);
  rdma(resources.rdma, out);
  auto list = out.take();
  for (const auto& [file, value] : resources.unified) {
    const size_t dot = file.find('.');
    if (file.find('/') != file.npos || dot == file.npos || dot == 0) {
      return fail(Code::kInvalidArgument,
                  concat("unified resource ", quote(file), " must be a file name (no slashes)"));
    }
    list.push_back({file.substr(0, dot), file, value, "unified", {}, {}, false});
  }
  return list;
}

}  // namespace berth::cgroup
