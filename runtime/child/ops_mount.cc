// SPDX-License-Identifier: Apache-2.0
// Mounts: made as descriptors, configured, and only then moved onto a target that was opened inside the root.
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "runtime/child/calls.h"

namespace berth::child {
namespace {

constexpr unsigned kClone = 1u;  // OPEN_TREE_CLONE
constexpr uint64_t kAttrReadonly = 0x1;
constexpr uint64_t kAttrHarmless = 0x1 | 0x2 | 0x4 | 0x8;  // ro nosuid nodev noexec
constexpr unsigned long kMsMove = 8192;
constexpr unsigned long kMsRecursiveSlave = 16384 | (1UL << 19);

long set_attr(int fd, unsigned flags, uint64_t set, uint64_t clear, uint64_t propagation) {
  mount_attr attr{};
  attr.attr_set = set;
  attr.attr_clr = clear;
  attr.propagation = propagation;
  return call(SYS_mount_setattr, fd, "", AT_EMPTY_PATH | flags, &attr, sizeof attr);
}

bool is_on(int fd, long magic) {
  struct statfs info;
  return call(SYS_fstatfs, fd, &info) == 0 && info.f_type == magic;
}

// The file to mount on; an existing entry of any kind will do, links are followed inside the root.
long make_file(int root, const char* path) {
  const long there = open_in(root, path, O_PATH, 0);
  if (there != -ENOENT) return there;
  const char* name = nullptr;
  const long parent = open_parent(root, path, &name);
  if (parent < 0) return parent;
  const long made = call(SYS_mknodat, static_cast<int>(parent), name, S_IFREG | 0644, 0);
  close_fd(static_cast<int>(parent));
  if (made < 0 && made != -EEXIST) return made;
  return open_in(root, path, O_PATH, 0);
}

long open_target(const Context& context, const Op& op) {
  const int root = context.plan->root;
  if ((op.flags & kAtRoot) != 0) return call(SYS_openat, AT_FDCWD, op.path, O_PATH | O_DIRECTORY | O_CLOEXEC, 0);
  if ((op.flags & kFile) != 0) return make_file(root, op.path);
  if ((op.flags & kNoSymlinks) == 0) return make_directory(root, op.path);
  const long there = open_in(root, op.path, O_PATH | O_DIRECTORY, RESOLVE_NO_SYMLINKS);
  if (there != -ENOENT) return there;
  const long made = make_directory(root, op.path);
  if (made < 0) return made;
  close_fd(static_cast<int>(made));
  return open_in(root, op.path, O_PATH | O_DIRECTORY, RESOLVE_NO_SYMLINKS);
}

// A tmpfs over a directory of the image looks like that directory (§3 trap 25).
long copy_mode(int mount, const struct stat& covered) {
  const long top = call(SYS_openat, mount, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
  if (top < 0) return top;
  long result = call(SYS_fchown, static_cast<int>(top), covered.st_uid, covered.st_gid);
  if (result == -EPERM || result == -EINVAL) result = 0;  // an owner that has no number in our user namespace
  if (result == 0) result = call(SYS_fchmod, static_cast<int>(top), covered.st_mode & 07777);
  close_fd(static_cast<int>(top));
  return result;
}

long stat_fd(int fd, struct stat* info) { return call(SYS_newfstatat, fd, "", info, AT_EMPTY_PATH); }

// The caller's /dev/null, still visible since nothing is pivoted yet; never the image's (CVE-2025-31133).
long clone_null() {
  const long fd = call(SYS_open_tree, AT_FDCWD, "/dev/null", kClone | O_CLOEXEC);
  if (fd < 0) return fd;
  struct stat info;
  const long result = stat_fd(static_cast<int>(fd), &info);
  if (result == 0 && S_ISCHR(info.st_mode) && info.st_rdev == 0x103) return fd;
  close_fd(static_cast<int>(fd));
  return -ENODEV;
}

// The first mask is a new tmpfs, the others are clones of its mount: one super block for all.
long clone_empty(Context& context) {
  if (context.empty_tmpfs >= 0) return call(SYS_open_tree, context.empty_tmpfs, "", kClone | O_CLOEXEC | AT_EMPTY_PATH);
  const long fs = call(SYS_fsopen, "tmpfs", 1u);
  if (fs < 0) return fs;
  const int fd = static_cast<int>(fs);
  call(SYS_fsconfig, fd, FSCONFIG_SET_STRING, "nr_blocks", "1", 0);
  call(SYS_fsconfig, fd, FSCONFIG_SET_STRING, "nr_inodes", "1", 0);
  call(SYS_fsconfig, fd, FSCONFIG_SET_STRING, "mode", "755", 0);
  long result = call(SYS_fsconfig, fd, FSCONFIG_CMD_CREATE, nullptr, nullptr, 0);
  if (result == 0) result = call(SYS_fsmount, fd, 1u, kAttrHarmless);
  close_fd(fd);
  return result;
}

}  // namespace

long op_new_mount(Context& context, const Op& op) {
  const long fs = call(SYS_fsopen, op.text, 1u /* FSOPEN_CLOEXEC */);
  if (fs < 0) return fs;
  const int fd = static_cast<int>(fs);
  long result = 0;
  for (uint32_t i = 0; i + 1 < op.count && result >= 0; i += 2) {
    const char* value = op.list[i + 1];
    const unsigned command = value == nullptr ? FSCONFIG_SET_FLAG : FSCONFIG_SET_STRING;
    result = call(SYS_fsconfig, fd, command, op.list[i], value, 0);
  }
  if (result >= 0) result = call(SYS_fsconfig, fd, FSCONFIG_CMD_CREATE, nullptr, nullptr, 0);
  if (result >= 0) result = call(SYS_fsmount, fd, 1u /* FSMOUNT_CLOEXEC */, op.attr_set);
  close_fd(fd);
  if (result < 0) return result;
  context.slots[op.slot] = static_cast<int>(result);
  return 0;
}

long op_attach(Context& context, const Op& op) {
  const int mount = pick(context, op);
  if (mount < 0) return 0;  // the mount itself was tolerated to fail
  const long target = open_target(context, op);
  if (target < 0) return target;
  const int at = static_cast<int>(target);
  long result = 0;
  if ((op.flags & (kMayBeProc | kAtRoot)) == 0 && is_on(at, PROC_SUPER_MAGIC)) {
    context.detail = kTargetOnProc;
    result = -EPERM;
  }
  struct stat covered;
  if (result == 0 && (op.flags & kCopyMode) != 0) {
    result = stat_fd(at, &covered);
    if (result == 0) result = copy_mode(mount, covered);
  }
  if (result == 0) result = move_mount_to(mount, at);
  close_fd(at);
  return result;
}

long op_set_attr(Context& context, const Op& op) {
  const int mount = pick(context, op);
  if (mount < 0) return 0;
  const unsigned flags = (op.flags & kRecursive) != 0 ? 0x8000u /* AT_RECURSIVE */ : 0;
  return set_attr(mount, flags, op.attr_set, op.attr_clear, op.propagation);
}

long op_mask(Context& context, const Op& op) {
  const long target = open_in(context.plan->root, op.path, O_PATH, 0);
  if (target == -ENOENT || target == -ENOTDIR) return 0;
  if (target < 0) return target;
  const int at = static_cast<int>(target);
  struct stat info;
  long result = stat_fd(at, &info);
  const bool directory = result == 0 && S_ISDIR(info.st_mode);
  long mask = result;
  if (result == 0) mask = directory ? clone_empty(context) : clone_null();
  if (mask < 0) {
    close_fd(at);
    return mask;
  }
  result = move_mount_to(static_cast<int>(mask), at);
  close_fd(at);
  if (directory && context.empty_tmpfs < 0 && result == 0) {
    context.empty_tmpfs = static_cast<int>(mask);
  } else {
    close_fd(static_cast<int>(mask));
  }
  return result;
}

long op_readonly(Context& context, const Op& op) {
  const long target = open_in(context.plan->root, op.path, O_PATH, 0);
  if (target == -ENOENT || target == -ENOTDIR) return 0;
  if (target < 0) return target;
  const int at = static_cast<int>(target);
  long result = call(SYS_open_tree, at, "", kClone | O_CLOEXEC | AT_EMPTY_PATH | 0x8000u);
  if (result >= 0) {
    const int tree = static_cast<int>(result);
    result = set_attr(tree, 0, kAttrReadonly, 0, 0);
    if (result == 0) result = move_mount_to(tree, at);
    close_fd(tree);
  }
  close_fd(at);
  return result;
}

long op_pivot(Context& context, const Op& op) {
  const long old_root = call(SYS_openat, AT_FDCWD, "/", O_PATH | O_DIRECTORY | O_CLOEXEC, 0);
  if (old_root < 0) return old_root;
  long result = call(SYS_fchdir, context.plan->root);
  if (result == 0 && (op.flags & kNoPivot) != 0) {
    result = call(SYS_mount, ".", "/", nullptr, kMsMove, nullptr);
    if (result == 0) result = call(SYS_chroot, ".");
  } else if (result == 0) {
    result = call(SYS_pivot_root, ".", ".");
    if (result == 0) result = call(SYS_fchdir, static_cast<int>(old_root));
    // Nothing of the unmount below may travel to the caller's namespace.
    if (result == 0) result = call(SYS_mount, "", ".", "", kMsRecursiveSlave, nullptr);
    if (result == 0) result = call(SYS_umount2, ".", 2 /* MNT_DETACH */);
  }
  close_fd(static_cast<int>(old_root));
  if (result == 0) result = call(SYS_chdir, "/");
  return result;
}

}  // namespace berth::child
