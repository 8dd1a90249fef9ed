// SPDX-License-Identifier: Apache-2.0
#include "agent/scheduler/allocation.h"

#include <algorithm>
#include <limits>
#include <string>

#include "runtime/base/strings.h"

namespace berth::scheduler {
namespace {

constexpr int64_t kMinShares = 2;            // kubelet's "no request"
constexpr int64_t kGuaranteedScore = -997;   // kubelet's oom_score_adj of Guaranteed pods
constexpr int64_t kBestEffortScore = 1000;
constexpr int64_t kLowestBurstableScore = 3;
constexpr int64_t kMax = std::numeric_limits<int64_t>::max();

int64_t scaled(int64_t value, int64_t num, int64_t den, bool up) {
  const __int128 product = static_cast<__int128>(value) * num + (up ? den - 1 : 0);
  const __int128 out = product / den;
  return out > kMax ? kMax : static_cast<int64_t>(out);
}

// shares = floor(milli * 1024 / 1000), so rounding up inverts it exactly. Never from cgroup v2's cpu.weight, which is coarser.
void add_cpu(const runtime::v1::LinuxContainerResources& r, Allocation& out) {
  if (r.cpu_shares() > kMinShares) {
    out.requests["cpu"] = scaled(r.cpu_shares(), 1000, 1024, true);
  } else if (r.cpu_shares() == 0 && r.cpu_quota() > 0 && r.cpu_period() > 0) {
    out.requests["cpu"] = scaled(r.cpu_quota(), 1000, r.cpu_period(), true);  // only a limit: request = limit
    out.estimated = true;
  }
}

void add_memory(const runtime::v1::LinuxContainerResources& r, int64_t capacity, Allocation& out) {
  const int64_t limit = std::max<int64_t>(r.memory_limit_in_bytes(), 0);
  const int64_t score = r.oom_score_adj();
  if (score >= kBestEffortScore) return;
  if (score >= kLowestBurstableScore && capacity > 0) {
    // The score stands for a range of requests; its upper end promises nobody memory that is spoken for.
    const int64_t request = scaled(capacity, kBestEffortScore - score + 1, 1000, false);
    out.requests["memory"] = limit > 0 ? std::min(limit, request) : request;
    out.estimated = true;
  } else if (limit > 0) {
    out.requests["memory"] = limit;
    out.estimated |= score != kGuaranteedScore;
  }
}

}  // namespace

Allocation allocation_of(const runtime::v1::LinuxContainerResources& resources, int64_t memory_capacity) {
  Allocation out;
  add_cpu(resources, out);
  add_memory(resources, memory_capacity, out);
  for (const auto& page : resources.hugepage_limits()) {
    // CRI spells page sizes "2MB", "1GB" and means powers of two.
    std::string size = page.page_size();
    if (size.ends_with('B')) size.back() = 'i';
    if (page.limit() > 0) out.requests["hugepages-" + size] = static_cast<int64_t>(std::min<uint64_t>(page.limit(), static_cast<uint64_t>(kMax)));
  }
  return out;
}

}  // namespace berth::scheduler
