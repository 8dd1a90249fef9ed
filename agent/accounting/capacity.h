// SPDX-License-Identifier: Apache-2.0
// What a node has, and what of it may be given away. All amounts int64 in base units: cpu milli-cores, bytes, counts.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "runtime/base/result.h"

namespace berth::accounting {

// One resource of the node. allocatable = max(0, capacity - system_reserved - eviction_reserved - carved_out).
struct ResourceCapacity {
  int64_t capacity = 0;
  int64_t system_reserved = 0;
  int64_t eviction_reserved = 0;
  int64_t carved_out = 0;  // memory given to hugepages, which is not memory any more
  int64_t allocatable() const;
};

// By resource name: cpu, memory, ephemeral-storage, pids, slots, hugepages-2Mi…
using NodeCapacity = std::map<std::string, ResourceCapacity>;

struct CapacityConfig {
  std::string root = "/var/lib/berth";            // whose file system is the ephemeral storage
  std::map<std::string, int64_t> system_reserved; // base units, by resource name
  int64_t memory_eviction_bytes = 100ll << 20;
  unsigned storage_eviction_percent = 10;
  int64_t slots = 110;  // pods the node takes
  std::string proc = "/proc";  // for tests
  std::string sys = "/sys";
};

// Reads the machine: online cpus, MemTotal, statvfs of the root, min(pid_max, threads-max), hugepage pools.
Result<NodeCapacity> read_capacity(const CapacityConfig& config);

}  // namespace berth::accounting
