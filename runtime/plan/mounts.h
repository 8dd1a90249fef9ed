// SPDX-License-Identifier: Apache-2.0
// spec.mounts, devices, masked and read-only paths → operations. Bind sources are opened here, in the caller's mount
// namespace and with its credentials (§3 trap 32); everything inside the root is left to the child's descriptors.
#pragma once

#include <map>
#include <string>

#include "runtime/base/result.h"
#include "runtime/cgroup/cgroup.h"
#include "runtime/oci/spec.h"
#include "runtime/plan/builder.h"

namespace berth::plan {

struct MountContext {
  const oci::Spec& spec;
  Builder& builder;
  const cgroup::Layout* cgroups = nullptr;           // null: no cgroup file system
  std::map<std::string, std::string> cgroup_paths = {};   // Cgroup::paths()
  bool user_namespace = false;   // new or joined: device nodes are bound, not made
  bool cgroup_namespace = false;
  bool network_namespace = true;  // without one, a user namespace may not mount sysfs
  int user_namespace_fd = -1;    // for idmapped mounts without mappings of their own
  // Results.
  int devpts_slot = -1;          // of a devpts mounted on /dev/pts
  bool dev_is_bind = false;      // then no default nodes
};

// All of the container's mounts, in order, with /dev populated in between where it belongs.
Result<> add_mounts(MountContext& context);
// Default and configured nodes, symbolic links of /dev. After add_mounts.
Result<> add_devices(MountContext& context);
// linux.readonlyPaths, linux.maskedPaths and what is made read-only last (tmpfs with "ro").
void add_path_protection(MountContext& context);

// Lexical: "a//b/../c" → "/a/c"; never climbs above "/".
std::string clean_path(std::string_view path);

}  // namespace berth::plan
