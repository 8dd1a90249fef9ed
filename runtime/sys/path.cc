// SPDX-License-Identifier: Apache-2.0
// The walker keeps a stack of directory descriptors, one per component below the root: ".." pops (never past the root),
// a link's target is prepended to what is left of the path, an absolute target empties the stack first. Forty links are
// the limit, as in the kernel. Each step is an openat with O_NOFOLLOW|O_PATH, so an exchange of a component between two
// steps can only lead to another object inside the tree.
#include "runtime/sys/path.h"

#include <cerrno>
#include <deque>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <vector>

#include "runtime/base/strings.h"

namespace berth::sys {
namespace {

constexpr int kMaxLinks = 40;
constexpr int kMaxRaceRetries = 128;
bool walker_forced = false;

int call_openat2(int dirfd, const char* path, int flags, unsigned mode, unsigned long long resolve) {
  open_how how{};
  how.flags = static_cast<unsigned long long>(flags | O_CLOEXEC);
  how.mode = (flags & (O_CREAT | O_TMPFILE)) != 0 ? mode : 0;
  how.resolve = resolve;
  // EAGAIN: a rename or mount raced with "..", the kernel asks to try again.
  for (int attempt = 0; attempt < kMaxRaceRetries; ++attempt) {
    const long fd = ::syscall(SYS_openat2, dirfd, path, &how, sizeof how);
    if (fd >= 0 || (errno != EAGAIN && errno != EINTR)) return static_cast<int>(fd);
  }
  return -1;
}

bool openat2_is_absent() {
  static const bool absent = [] {
    const Fd fd(call_openat2(AT_FDCWD, ".", O_PATH, 0, 0));
    return !fd && (errno == ENOSYS || errno == EPERM);
  }();
  return absent || walker_forced;
}

Result<std::string> read_link(int fd, const std::string& name) {
  std::string target(4096, '\0');
  const ssize_t size = ::readlinkat(fd, "", target.data(), target.size());
  if (size < 0) return fail_errno(concat("read link ", quote(name)));
  target.resize(static_cast<size_t>(size));
  return target;
}

void push_front(std::deque<std::string>& parts, std::string_view path) {
  const auto pieces = split(path, '/');
  for (auto piece = pieces.rbegin(); piece != pieces.rend(); ++piece) {
    if (!piece->empty() && *piece != ".") parts.emplace_front(*piece);
  }
}

struct Walk {
  int root;
  bool follow;
  std::vector<Fd> stack;
  int links = 0;

  int here() const { return stack.empty() ? root : stack.back().get(); }
};

Result<Fd> open_last(const Walk& walk, const std::string& name, int flags, unsigned mode) {
  Fd fd(::openat(walk.here(), name.c_str(), flags | O_NOFOLLOW | O_CLOEXEC, mode));
  if (!fd) return fail_errno(concat("open ", quote(name)));
  return fd;
}

Result<Fd> walk_path(int root, const std::string& path, int flags, unsigned mode, bool follow) {
  Walk walk{root, follow, {}, 0};
  std::deque<std::string> left;
  push_front(left, path);
  while (!left.empty()) {
    const std::string name = left.front();
    left.pop_front();
    if (name == "..") {
      if (walk.stack.empty()) {
        if (!follow) return fail_errno(concat("open ", quote(path)), EXDEV);
      } else {
        walk.stack.pop_back();
      }
      continue;
    }
    Fd step(::openat(walk.here(), name.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
    if (!step) {
      if (errno == ENOENT && left.empty() && (flags & O_CREAT) != 0) return open_last(walk, name, flags, mode);
      return fail_errno(concat("open ", quote(path)));
    }
    struct stat info{};
    if (::fstat(step.get(), &info) != 0) return fail_errno(concat("stat ", quote(path)));
    const bool keep_link = left.empty() && (flags & O_NOFOLLOW) != 0;
    if (S_ISLNK(info.st_mode) && !keep_link) {
      if (!follow || ++walk.links > kMaxLinks) return fail_errno(concat("open ", quote(path)), ELOOP);
      TRY_ASSIGN(const auto target, read_link(step.get(), name));
      if (target.starts_with('/')) walk.stack.clear();
      push_front(left, target);
      continue;
    }
    if (left.empty()) return open_last(walk, name, flags, mode);
    walk.stack.push_back(std::move(step));
  }
  Fd fd(::openat(walk.here(), ".", (flags & ~(O_CREAT | O_EXCL | O_NOFOLLOW)) | O_CLOEXEC));
  if (!fd) return fail_errno(concat("open ", quote(path)));
  return fd;
}

Result<Fd> open_resolved(int root, const std::string& path, int flags, unsigned mode, unsigned long long resolve, bool follow) {
  if (path.find('\0') != std::string::npos) return fail(Code::kInvalidArgument, concat("open ", quote(path), ": path contains NUL"));
  if (openat2_is_absent()) return walk_path(root, path, flags, mode, follow);
  Fd fd(call_openat2(root, path.empty() ? "." : path.c_str(), flags, mode, resolve));
  if (!fd) return fail_errno(concat("open ", quote(path)));
  return fd;
}

// Splits "a/b/c" into its parent and last component, ignoring empty and "." components at the end.
std::pair<std::string, std::string> split_last(std::string path) {
  while (!path.empty() && path.back() == '/') path.pop_back();
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) return {"", path};
  return {path.substr(0, slash), path.substr(slash + 1)};
}

}  // namespace

Result<Fd> open_in_root(int root, const std::string& path, int flags, unsigned mode) {
  return open_resolved(root, path, flags, mode, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS, true);
}

Result<Fd> open_beneath(int root, const std::string& path, int flags, unsigned mode) {
  return open_resolved(root, path, flags, mode, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS, false);
}

Result<Fd> make_directories_in_root(int root, const std::string& path, unsigned mode) {
  if (auto whole = open_in_root(root, path, O_PATH | O_DIRECTORY); whole || whole.error().sys_errno() != ENOENT) return whole;
  Fd here;
  std::string done;
  for (const auto part : split(path, '/')) {
    if (part.empty() || part == ".") continue;
    const std::string name(part);
    const int parent = here ? here.get() : root;
    const std::string next = concat(done, "/", name);
    auto opened = open_in_root(root, next, O_PATH | O_DIRECTORY);
    if (!opened && opened.error().sys_errno() == ENOENT) {
      if (name == "..") return fail(Code::kInvalidArgument, concat("create ", quote(path), ": \"..\" after a missing directory"));
      // A dangling link here gives EEXIST and then ENOENT below: refused, not followed to an invented place.
      if (::mkdirat(parent, name.c_str(), mode) != 0 && errno != EEXIST) return fail_errno(concat("create directory ", quote(next)));
      opened = open_in_root(root, next, O_PATH | O_DIRECTORY);
    }
    if (!opened) return opened;
    here = std::move(*opened);
    done = next;
  }
  if (!here) return open_in_root(root, ".", O_PATH | O_DIRECTORY);
  return here;
}

Result<Fd> make_file_in_root(int root, const std::string& path, unsigned mode) {
  if (auto whole = open_in_root(root, path, O_PATH); whole || whole.error().sys_errno() != ENOENT) return whole;
  const auto [folder, name] = split_last(path);
  TRY_ASSIGN(const Fd parent, make_directories_in_root(root, folder));
  Fd fd(::openat(parent.get(), name.c_str(), O_CREAT | O_EXCL | O_WRONLY | O_NOFOLLOW | O_CLOEXEC, mode));
  if (!fd && errno != EEXIST) return fail_errno(concat("create ", quote(path)));
  return open_in_root(parent.get(), name, O_PATH | O_NOFOLLOW);
}

std::string fd_path(int fd) { return concat("/proc/self/fd/", fd); }

void force_path_walker(bool on) { walker_forced = on; }

}  // namespace berth::sys
