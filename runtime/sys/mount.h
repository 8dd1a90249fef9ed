// SPDX-License-Identifier: Apache-2.0
// Mounts as descriptors (open_tree, mount_setattr): closing one that was never attached unmounts it.
#pragma once

#include <cstdint>
#include <string>

#include "runtime/base/fd.h"
#include "runtime/base/result.h"

namespace berth::sys {

// A detached copy of the mount that `path` (trusted, absolute) lies on, rooted there; with `recursive` of everything below.
Result<Fd> clone_mount(const std::string& path, bool recursive);
// mount_setattr(2) of the mount (or, `recursive`, the tree): MOUNT_ATTR_… to set and clear, MS_… propagation (0: kept).
Result<> set_mount_attributes(int mount, uint64_t set, uint64_t clear, uint64_t propagation, bool recursive);
// MOUNT_ATTR_IDMAP with the mapping of a user namespace; before the mount is attached.
Result<> map_mount_ids(int mount, int user_namespace, bool recursive);
// Whether a descriptor lies on procfs.
Result<bool> is_procfs(int fd);

}  // namespace berth::sys
