// SPDX-License-Identifier: Apache-2.0
// One descriptor walks down with openat(name) and up with openat(".."). Going up is checked against the inode that was
// left: if somebody moved the directory meanwhile, the walk stops there instead of leaving the tree.
#include "rootfs/snapshot/tree.h"

#include <cerrno>
#include <fcntl.h>
#include <set>
#include <sys/stat.h>
#include <unistd.h>
#include <vector>

#include "runtime/base/fd.h"
#include "runtime/base/strings.h"
#include "runtime/sys/file.h"

namespace berth::rootfs {
namespace {

constexpr int kOpenDirectory = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;

struct Level {
  dev_t device;
  ino_t inode;
  std::string name;                // in its parent
  std::vector<std::string> left;  // entries not visited yet
};

class Walk {
 public:
  // Calls `visit(dirfd, name, info)` for everything but directories, `leave(parent, name)` after a directory's content.
  template <typename Visit, typename Enter, typename Leave>
  Result<> run(int dirfd, const std::string& name, Visit visit, Enter enter, Leave leave) {
    TRY(descend(dirfd, name));
    while (!levels_.empty()) {
      auto& level = levels_.back();
      if (level.left.empty()) {
        const std::string done = level.name;
        levels_.pop_back();
        if (levels_.empty()) return leave(dirfd, done);
        TRY(ascend());
        TRY(leave(here_.get(), done));
        continue;
      }
      const std::string next = std::move(level.left.back());
      level.left.pop_back();
      struct stat info{};
      if (::fstatat(here_.get(), next.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) continue;
      if (!S_ISDIR(info.st_mode)) {
        TRY(visit(here_.get(), next, info));
        continue;
      }
      if (info.st_dev != device_) {
        TRY(enter(next, info, true));
        continue;
      }
      TRY(enter(next, info, false));
      if (auto down = descend(here_.get(), next); !down && down.error().sys_errno() != ENOENT) return down;
    }
    return {};
  }

 private:
  Result<> descend(int dirfd, const std::string& name) {
    Fd next(::openat(dirfd, name.c_str(), kOpenDirectory));
    if (!next) return fail_errno(concat("open ", quote(name)));
    struct stat info{};
    if (::fstat(next.get(), &info) != 0) return fail_errno(concat("stat ", quote(name)));
    if (levels_.empty()) device_ = info.st_dev;
    TRY_ASSIGN(auto names, sys::list_directory(next.get()), quote(name));
    levels_.push_back({info.st_dev, info.st_ino, name, std::move(names)});
    here_ = std::move(next);
    return {};
  }

  Result<> ascend() {
    Fd up(::openat(here_.get(), "..", kOpenDirectory));
    struct stat info{};
    if (!up || ::fstat(up.get(), &info) != 0) return fail_errno("open parent directory");
    if (info.st_dev != levels_.back().device || info.st_ino != levels_.back().inode) {
      return fail(Code::kAborted, "the tree was moved meanwhile");
    }
    here_ = std::move(up);
    return {};
  }

  Fd here_;
  dev_t device_ = 0;
  std::vector<Level> levels_;
};

}  // namespace

Result<> remove_tree_at(int dirfd, const std::string& name) {
  struct stat top{};
  if (::fstatat(dirfd, name.c_str(), &top, AT_SYMLINK_NOFOLLOW) != 0) {
    return errno == ENOENT ? Result<>{} : fail_errno(concat("stat ", quote(name)));
  }
  if (!S_ISDIR(top.st_mode)) {
    if (::unlinkat(dirfd, name.c_str(), 0) != 0 && errno != ENOENT) return fail_errno(concat("remove ", quote(name)));
    return {};
  }
  const auto visit = [](int parent, const std::string& child, const struct stat&) -> Result<> {
    if (::unlinkat(parent, child.c_str(), 0) != 0 && errno != ENOENT) return fail_errno(concat("remove ", quote(child)));
    return {};
  };
  const auto enter = [](const std::string& child, const struct stat&, bool mount_point) -> Result<> {
    if (mount_point) return fail(Code::kFailedPrecondition, concat("remove ", quote(child), ": it is a mount point"));
    return {};
  };
  const auto leave = [](int parent, const std::string& child) -> Result<> {
    if (::unlinkat(parent, child.c_str(), AT_REMOVEDIR) != 0 && errno != ENOENT) return fail_errno(concat("remove ", quote(child)));
    return {};
  };
  Walk walk;
  auto removed = walk.run(dirfd, name, visit, enter, leave);
  if (!removed && removed.error().sys_errno() == ENOENT) return {};
  return removed;
}

Result<> remove_tree(const std::string& path) { return remove_tree_at(AT_FDCWD, path); }

Result<TreeSize> measure_tree(const std::string& path) {
  TreeSize size;
  std::set<ino_t> linked;
  const auto count = [&](const struct stat& info) {
    if (info.st_nlink > 1 && !S_ISDIR(info.st_mode) && !linked.insert(info.st_ino).second) return;
    size.bytes += static_cast<uint64_t>(info.st_blocks) * 512;
    size.inodes += 1;
  };
  const auto visit = [&](int, const std::string&, const struct stat& info) -> Result<> {
    count(info);
    return {};
  };
  const auto enter = [&](const std::string&, const struct stat& info, bool mount_point) -> Result<> {
    if (!mount_point) count(info);
    return {};
  };
  const auto leave = [](int, const std::string&) -> Result<> { return {}; };
  struct stat top{};
  if (::lstat(path.c_str(), &top) != 0) return fail_errno(concat("measure ", quote(path)));
  count(top);
  Walk walk;
  auto walked = walk.run(AT_FDCWD, path, visit, enter, leave);
  if (!walked && walked.error().code() != Code::kAborted) return std::unexpected(std::move(walked).error());
  return size;
}

}  // namespace berth::rootfs
