// SPDX-License-Identifier: Apache-2.0
// Paths inside the root: every step is openat2 with the root as "/" (CVE-2021-30465, CVE-2024-45310, CVE-2026-41579).
#include <fcntl.h>
#include <linux/mount.h>
#include <sys/stat.h>

#include "runtime/child/calls.h"

namespace berth::child {
namespace {

constexpr unsigned long kPathSize = 4096;
constexpr int kMaxLinks = 40;
constexpr int kMaxRetries = 128;

// Appends to a path buffer; false when it is full.
bool append(char* buffer, unsigned long& size, const char* text, unsigned long text_size) {
  if (size + text_size + 1 > kPathSize) return false;
  for (unsigned long i = 0; i < text_size; ++i) buffer[size + i] = text[i];
  size += text_size;
  buffer[size] = '\0';
  return true;
}

// path[start, end) (terminated at `end`; `after` stood there) names a link to nothing yet: the path becomes what the link
// says and the rest.
long expand_link(int parent, char* path, unsigned long start, unsigned long end, char after) {
  char target[kPathSize];
  char joined[kPathSize];
  const long got = call(SYS_readlinkat, parent, path + start, target, sizeof target - 1);
  if (got <= 0) return -ENOENT;
  unsigned long size = 0;
  bool fits = true;
  if (target[0] != '/') fits = append(joined, size, path, start);
  fits = fits && append(joined, size, target, static_cast<unsigned long>(got));
  if (after == '/') fits = fits && append(joined, size, "/", 1) && append(joined, size, path + end + 1, length(path + end + 1));
  if (!fits) return -ENAMETOOLONG;
  for (unsigned long i = 0; i <= size; ++i) path[i] = joined[i];
  return 1;
}

// One pass over the components: 0 with the directory in `out`, 1 when a link was expanded and the pass starts again.
long make_pass(int root, char* path, int* out) {
  long current = open_in(root, ".", O_PATH | O_DIRECTORY, 0);
  unsigned long at = 0;
  while (current >= 0) {
    while (path[at] == '/') ++at;
    if (path[at] == '\0') break;
    unsigned long end = at;
    while (path[end] != '\0' && path[end] != '/') ++end;
    const char after = path[end];
    path[end] = '\0';
    long next = open_in(root, path, O_PATH | O_DIRECTORY, 0);
    if (next == -ENOENT) {
      const long made = call(SYS_mkdirat, static_cast<int>(current), path + at, 0755);
      if (made == 0 || made == -EEXIST) next = open_in(root, path, O_PATH | O_DIRECTORY, 0);
      if (made < 0 && made != -EEXIST) next = made;
      if (next == -ENOENT) {
        const long expanded = expand_link(static_cast<int>(current), path, at, end, after);
        close_fd(static_cast<int>(current));
        return expanded;
      }
    }
    path[end] = after;
    close_fd(static_cast<int>(current));
    current = next;
    at = end;
  }
  if (current < 0) return current;
  *out = static_cast<int>(current);
  return 0;
}

}  // namespace

long open_in(int root, const char* path, uint64_t flags, uint64_t resolve) {
  open_how how{};
  how.flags = flags | O_CLOEXEC;
  how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS | resolve;
  long fd = -EAGAIN;
  // EAGAIN: a rename or a mount raced with ".."; the kernel asks to try again.
  for (int attempt = 0; attempt < kMaxRetries && (fd == -EAGAIN || fd == -EINTR); ++attempt) {
    fd = call(SYS_openat2, root, path, &how, sizeof how);
  }
  return fd;
}

long make_directory(int root, const char* path) {
  const long there = open_in(root, path, O_PATH | O_DIRECTORY, 0);
  if (there != -ENOENT) return there;
  char work[kPathSize];
  unsigned long size = 0;
  if (!append(work, size, path, length(path))) return -ENAMETOOLONG;
  for (int links = 0; links < kMaxLinks; ++links) {
    int fd = -1;
    const long result = make_pass(root, work, &fd);
    if (result == 0) return fd;
    if (result < 0) return result;
  }
  return -ELOOP;
}

long open_parent(int root, const char* path, const char** name) {
  unsigned long last = length(path);
  while (last > 0 && path[last - 1] != '/') --last;
  *name = path + last;
  if (last <= 1) return open_in(root, ".", O_PATH | O_DIRECTORY, 0);
  char work[kPathSize];
  unsigned long size = 0;
  if (!append(work, size, path, last)) return -ENAMETOOLONG;
  return make_directory(root, work);
}

long move_mount_to(int mount, int target) {
  return call(SYS_move_mount, mount, "", target, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH);
}

}  // namespace berth::child
