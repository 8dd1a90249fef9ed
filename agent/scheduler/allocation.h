// SPDX-License-Identifier: Apache-2.0
// What a container holds of its node, from what CRI says of it. kubelet passes cpu requests as cpu shares and limits as
// quota and memory limit, but no memory request: that is exact for Guaranteed pods and an estimate for others.
#pragma once

#include <cstdint>

#include "agent/accounting/fit.h"
#include "agent/scheduler/reporter.h"

namespace berth::scheduler {

struct Allocation {
  accounting::Amounts requests;
  bool estimated = false;
};

// `memory_capacity`: the node's RAM in bytes, for the inversion of oom_score_adj = 1000 - 1000 * request / capacity.
Allocation allocation_of(const runtime::v1::LinuxContainerResources& resources, int64_t memory_capacity);

}  // namespace berth::scheduler
