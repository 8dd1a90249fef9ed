// SPDX-License-Identifier: Apache-2.0
// What the spec builder must know of the machine and of this process, gathered once so that the builder stays pure.
#pragma once

#include <string>
#include <vector>

#include "runtime/base/result.h"
#include "runtime/cgroup/cgroup.h"

namespace berth::pods {

struct HostFacts {
  uint64_t bounding_capabilities = ~uint64_t{0};  // bit n: capability n, CapBnd of /proc/self/status
  int oom_score_adj = 0;                          // ours: the lowest that can be given when may_lower_oom is false
  bool may_lower_oom = true;                      // CAP_SYS_RESOURCE
  bool cgroup_v2 = false;
  bool hugetlb = false;  // the hierarchy in use limits huge pages
  bool apparmor = false;
  std::string host_name;
  std::string boot_id;
};

Result<HostFacts> gather_host_facts(const cgroup::Layout& layout);

}  // namespace berth::pods
