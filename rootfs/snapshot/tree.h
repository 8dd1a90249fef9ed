// SPDX-License-Identifier: Apache-2.0
// Removing and measuring trees that a container made: of any depth, changing meanwhile, links never followed, other
// mounts never entered. Neither uses more than a few descriptors or a stack that the tree decides about.
#pragma once

#include <cstdint>
#include <string>

#include "runtime/base/result.h"

namespace berth::rootfs {

// Removes `name` below `dirfd`; absent is success. kFailedPrecondition at a mount point.
Result<> remove_tree_at(int dirfd, const std::string& name);
Result<> remove_tree(const std::string& path);

struct TreeSize {
  uint64_t bytes = 0;   // allocated, each inode once
  uint64_t inodes = 0;
};
// What vanishes while it is measured is not counted. kNotFound when `path` itself is absent.
Result<TreeSize> measure_tree(const std::string& path);

}  // namespace berth::rootfs
