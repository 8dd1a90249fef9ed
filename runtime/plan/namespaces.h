// SPDX-License-Identifier: Apache-2.0
// Which namespaces are new, which are joined and which are inherited, and in how many clones that takes.
#pragma once

#include <cstdint>
#include <vector>

#include "runtime/base/fd.h"
#include "runtime/base/result.h"
#include "runtime/child/plan.h"
#include "runtime/oci/spec.h"

namespace berth::plan {

struct NamespacePlan {
  uint64_t fresh = 0;          // CLONE_NEW… of new namespaces, without the cgroup namespace
  bool fresh_cgroup = false;   // unshared by itself, after the cgroup has been entered (§3 trap 12)
  bool fresh_time = false;     // unshared before the second clone, so that offsets can be written
  std::vector<child::Join> joined;  // opened before any is entered (trap 5)
  std::vector<Fd> files;            // owns the descriptors of `joined`
  // A joined pid or user namespace, or a new user namespace beside joined ones, takes effect only for a second process.
  bool two_stages = false;

  bool new_user() const;
  bool has(uint64_t type) const;  // new or joined
};

// CLONE_NEW… of "pid", "network"…; 0 for an unknown name.
uint64_t namespace_flag(std::string_view type);

// Opens the paths. The types are checked by setns itself, which gets the explicit flag.
Result<NamespacePlan> plan_namespaces(const oci::Linux& spec);

}  // namespace berth::plan
