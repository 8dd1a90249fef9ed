// SPDX-License-Identifier: Apache-2.0
#include "runtime/sys/mount.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <linux/mount.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "runtime/base/strings.h"

namespace berth::sys {
namespace {

constexpr unsigned kRecursive = 0x8000;  // AT_RECURSIVE

Result<> set_attributes(int mount, mount_attr attributes, bool recursive, std::string_view doing) {
  const unsigned flags = AT_EMPTY_PATH | (recursive ? kRecursive : 0);
  if (::syscall(SYS_mount_setattr, mount, "", flags, &attributes, sizeof attributes) != 0) return fail_errno(doing);
  return {};
}

}  // namespace

Result<Fd> clone_mount(const std::string& path, bool recursive) {
  const unsigned flags = 1u /* OPEN_TREE_CLONE */ | O_CLOEXEC | (recursive ? kRecursive : 0);
  Fd fd(static_cast<int>(::syscall(SYS_open_tree, AT_FDCWD, path.c_str(), flags)));
  if (!fd) return fail_errno(concat("clone mount ", quote(path)));
  return fd;
}

Result<> set_mount_attributes(int mount, uint64_t set, uint64_t clear, uint64_t propagation, bool recursive) {
  mount_attr attributes{};
  attributes.attr_set = set;
  attributes.attr_clr = clear;
  attributes.propagation = propagation;
  return set_attributes(mount, attributes, recursive, "set mount attributes");
}

Result<> map_mount_ids(int mount, int user_namespace, bool recursive) {
  mount_attr attributes{};
  attributes.attr_set = MOUNT_ATTR_IDMAP;
  attributes.userns_fd = static_cast<uint64_t>(user_namespace);
  return set_attributes(mount, attributes, recursive, "map ids of mount");
}

Result<bool> is_procfs(int fd) {
  struct statfs info {};
  if (::fstatfs(fd, &info) != 0) return fail_errno("fstatfs");
  return info.f_type == PROC_SUPER_MAGIC;
}

}  // namespace berth::sys
