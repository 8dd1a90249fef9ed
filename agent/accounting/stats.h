// SPDX-License-Identifier: Apache-2.0
// What a control group uses, as CRI counts it, read through held directories: never a word to a shim.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "runtime/base/result.h"
#include "runtime/cgroup/cgroup.h"
#include "runtime/cgroup/stats.h"

namespace berth::accounting {

// Absent: the kernel or hierarchy does not tell.
struct Usage {
  long long taken_at = 0;  // unix nanoseconds
  uint64_t cpu_nanos = 0;
  std::optional<uint64_t> cpu_nano_cores;  // since the sample before
  uint64_t memory_bytes = 0;
  uint64_t working_set_bytes = 0;  // usage without inactive file pages
  uint64_t rss_bytes = 0;
  uint64_t page_faults = 0;
  uint64_t major_page_faults = 0;
  std::optional<uint64_t> memory_limit_bytes;
  std::optional<uint64_t> swap_bytes;
  std::optional<uint64_t> swap_limit_bytes;
  std::optional<uint64_t> processes;
  std::optional<cgroup::Pressure> cpu_pressure;
  std::optional<cgroup::Pressure> memory_pressure;
  std::optional<cgroup::Pressure> io_pressure;
};

// Holds a cgroup's directories and the last sample of its CPU time. Thread-safe.
class Sampler {
 public:
  explicit Sampler(cgroup::Cgroup group) : group_(std::move(group)) {}
  Result<Usage> sample();

 private:
  std::mutex mutex_;
  cgroup::Cgroup group_;
  uint64_t last_cpu_nanos_ = 0;
  long long last_at_ = 0;  // CLOCK_MONOTONIC; 0: none yet
  std::optional<uint64_t> last_rate_;
};

struct InterfaceUsage {
  std::string name;
  uint64_t rx_bytes = 0;
  uint64_t rx_errors = 0;
  uint64_t tx_bytes = 0;
  uint64_t tx_errors = 0;
};
// The interfaces but loopback, of the network namespace of `pid` (/proc/PID/net/dev).
Result<std::vector<InterfaceUsage>> network_usage(pid_t pid);

// The pure part, for tests.
std::vector<InterfaceUsage> parse_net_dev(std::string_view text);

}  // namespace berth::accounting
