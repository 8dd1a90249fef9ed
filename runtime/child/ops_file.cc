// SPDX-License-Identifier: Apache-2.0
// Nodes, links, streams, the working directory.
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <termios.h>

#include "runtime/child/calls.h"

namespace berth::child {
namespace {

constexpr uint64_t kNullDevice = 0x103;  // makedev(1, 3)

long stat_fd(int fd, struct stat* info) { return call(SYS_newfstatat, fd, "", info, AT_EMPTY_PATH); }

bool is_null(int fd) {
  struct stat info;
  return stat_fd(fd, &info) == 0 && S_ISCHR(info.st_mode) && info.st_rdev == kNullDevice;
}

// The file /dev/console to bind on: made if missing, never through a link (CVE-2025-52565).
long open_console_target(Context& context) {
  const char* name = nullptr;
  const long dev = open_parent(context.plan->root, "/dev/console", &name);
  if (dev < 0) return dev;
  const int dirfd = static_cast<int>(dev);
  long result = call(SYS_mknodat, dirfd, name, S_IFREG | 0600, 0);
  if (result == 0 || result == -EEXIST) result = call(SYS_openat, dirfd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC, 0);
  close_fd(dirfd);
  if (result < 0) return result;
  struct stat info;
  const int target = static_cast<int>(result);
  const long got = stat_fd(target, &info);
  if (got == 0 && (S_ISREG(info.st_mode) || S_ISCHR(info.st_mode))) return target;
  close_fd(target);
  context.detail = kWrongNode;
  return got < 0 ? got : -EINVAL;
}

long open_ptmx(Context& context, const Op& op) {
  long ptmx = -ENOENT;
  if (op.slot >= 0 && context.slots[op.slot] >= 0) {
    ptmx = call(SYS_openat, context.slots[op.slot], "ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC | O_NOFOLLOW, 0);
  } else {
    ptmx = open_in(context.plan->root, "/dev/pts/ptmx", O_RDWR | O_NOCTTY, RESOLVE_NO_SYMLINKS);
  }
  if (ptmx < 0) return ptmx;
  struct statfs info;
  if (call(SYS_fstatfs, static_cast<int>(ptmx), &info) == 0 && info.f_type == DEVPTS_SUPER_MAGIC) return ptmx;
  close_fd(static_cast<int>(ptmx));
  context.detail = kNotDevpts;
  return -ENODEV;
}

long use_terminal(int slave, const Op& op) {
  struct winsize size = {};
  size.ws_row = static_cast<unsigned short>(op.args[0]);
  size.ws_col = static_cast<unsigned short>(op.args[1]);
  long result = 0;
  if (size.ws_row != 0 || size.ws_col != 0) result = call(SYS_ioctl, slave, TIOCSWINSZ, &size);
  if (result == 0) result = call(SYS_ioctl, slave, TIOCSCTTY, 0);
  for (int fd = 0; fd < 3 && result >= 0; ++fd) result = call(SYS_dup3, slave, fd, 0);
  return result < 0 ? result : 0;
}

}  // namespace

long op_mknod(Context& context, const Op& op) {
  const char* name = nullptr;
  const long parent = open_parent(context.plan->root, op.path, &name);
  if (parent < 0) return parent;
  const int dirfd = static_cast<int>(parent);
  const auto mode = static_cast<unsigned>(op.args[0]);
  long result = call(SYS_mknodat, dirfd, name, mode, op.args[1]);
  if (result == -EEXIST) {
    struct stat info;
    result = call(SYS_newfstatat, dirfd, name, &info, AT_SYMLINK_NOFOLLOW);
    const bool same = result == 0 && (info.st_mode & S_IFMT) == (mode & S_IFMT) && (S_ISFIFO(mode) || info.st_rdev == op.args[1]);
    if (!same) {
      context.detail = kWrongNode;
      result = -EEXIST;
    }
  }
  if (result == 0 && (op.args[2] != 0 || op.args[3] != 0)) {
    result = call(SYS_fchownat, dirfd, name, op.args[2], op.args[3], AT_SYMLINK_NOFOLLOW);
  }
  close_fd(dirfd);
  return result;
}

long op_symlink(Context& context, const Op& op) {
  if ((op.flags & kOnlyIfMissing) != 0) {
    struct stat info;
    if (call(SYS_newfstatat, AT_FDCWD, op.text, &info, AT_SYMLINK_NOFOLLOW) < 0) return 0;
  }
  const char* name = nullptr;
  const long parent = open_parent(context.plan->root, op.path, &name);
  if (parent < 0) return parent;
  const long result = call(SYS_symlinkat, op.text, static_cast<int>(parent), name);
  close_fd(static_cast<int>(parent));
  return result == -EEXIST ? 0 : result;
}

long op_console(Context& context, const Op& op) {
  const long master = open_ptmx(context, op);
  if (master < 0) return master;
  const int ptmx = static_cast<int>(master);
  int locked = 0;
  long result = call(SYS_ioctl, ptmx, TIOCSPTLCK, &locked);
  if (result == 0) result = call(SYS_ioctl, ptmx, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
  const int slave = static_cast<int>(result);
  if (result >= 0) result = call(SYS_fchown, slave, op.args[2], -1);
  if (result == -EPERM || result == -EINVAL || result == -EROFS) result = 0;
  if (result == 0 && op.value != 0) {  // exec'd processes leave /dev/console alone
    result = open_console_target(context);
    if (result >= 0) {
      const int target = static_cast<int>(result);
      result = call(SYS_open_tree, slave, "", 1u | O_CLOEXEC | AT_EMPTY_PATH);
      if (result >= 0) {
        const int tree = static_cast<int>(result);
        result = move_mount_to(tree, target);
        close_fd(tree);
      }
      close_fd(target);
    }
  }
  if (result == 0) result = use_terminal(slave, op);
  if (result == 0) result = send_report(context, ReportKind::kConsole, 0, ptmx);
  if (slave > 2) close_fd(slave);
  close_fd(ptmx);
  return result < 0 ? result : 0;
}

long op_stdio(Context&, const Op& op) {
  for (int fd = 0; fd < 3; ++fd) {
    const int from = static_cast<int>(op.args[fd]);
    if (from < 0) continue;
    // The parent hands over copies above 2, so no stream overwrites the source of another.
    const long result = call(SYS_dup3, from, fd, 0);
    if (result < 0) return result;
  }
  return 0;
}

long op_null_stdio(Context& context, const Op&) {
  for (int fd = 0; fd < 3; ++fd) {
    if (!is_null(fd)) continue;
    const long own = open_in(context.plan->root, "/dev/null", O_RDWR | O_NOCTTY | O_NONBLOCK, RESOLVE_NO_SYMLINKS);
    if (own < 0) return 0;  // an image without the node keeps the host's
    if (is_null(static_cast<int>(own))) call(SYS_dup3, static_cast<int>(own), fd, 0);
    close_fd(static_cast<int>(own));
  }
  return 0;
}

long op_own_stdio(Context&, const Op& op) {
  for (int fd = 0; fd < 3; ++fd) {
    struct stat info;
    if (stat_fd(fd, &info) < 0 || (S_ISCHR(info.st_mode) && info.st_rdev == kNullDevice)) continue;
    if (info.st_uid == op.args[0]) continue;
    const long result = call(SYS_fchown, fd, op.args[0], -1);
    if (result < 0 && result != -EINVAL && result != -EPERM && result != -EROFS) return result;
  }
  return 0;
}

long op_chdir(Context& context, const Op& op) {
  if ((op.flags & kMakeMissing) != 0) {
    const long made = make_directory(context.plan->root, op.path);
    if (made >= 0) close_fd(static_cast<int>(made));
    return 0;  // what cannot be made or opened is for chdir itself to complain about
  }
  const long result = call(SYS_chdir, op.path);
  if ((result == -EPERM || result == -EACCES) && (op.flags & kRetryLater) != 0) return 0;
  if (result < 0) return result;
  // A magic link could have led out of the root; the kernel then says "(unreachable)" (CVE-2024-21626).
  char where[4096];
  const long size = call(SYS_getcwd, where, sizeof where);
  if (size > 0 && where[0] == '/') return 0;
  context.detail = kCwdOutside;
  return size < 0 ? size : -ENOENT;
}

long op_lookup(Context& context, const Op& op) {
  long first_error = -ENOENT;
  for (uint32_t i = 0; i < op.count; ++i) {
    struct stat info;
    long result = call(SYS_newfstatat, AT_FDCWD, op.list[i], &info, 0);
    if (result == 0 && S_ISDIR(info.st_mode)) result = (op.flags & kSearched) != 0 ? -ENOENT : -EISDIR;
    if (result == 0) result = call(SYS_faccessat2, AT_FDCWD, op.list[i], X_OK, AT_EACCESS);
    if (result == -ENOSYS) result = call(SYS_faccessat, AT_FDCWD, op.list[i], X_OK);
    if (result == 0) {
      context.chosen = op.list[i];
      return 0;
    }
    if (first_error == -ENOENT && result != -ENOTDIR) first_error = result;
  }
  return first_error;
}

long op_close_fds(Context&, const Op& op) {
  unsigned from = 3;
  for (uint32_t i = 0; i < op.count; ++i) {
    const auto kept = static_cast<unsigned>(op.keep[i]);
    if (kept < from) continue;
    if (kept > from) call(SYS_close_range, from, kept - 1, 0u);
    from = kept + 1;
  }
  return call(SYS_close_range, from, ~0u, 0u);
}

long op_write_file(Context& context, const Op& op) {
  open_how how{};
  how.flags = O_WRONLY | O_CLOEXEC;
  how.resolve = op.fd == AT_FDCWD && op.slot < 0 ? 0 : RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS;
  const long fd = call(SYS_openat2, pick(context, op), op.path, &how, sizeof how);
  if (fd < 0) return fd;
  const long result = call(SYS_write, static_cast<int>(fd), op.text, static_cast<unsigned long>(op.count));
  close_fd(static_cast<int>(fd));
  return result < 0 ? result : 0;
}

}  // namespace berth::child
