// SPDX-License-Identifier: Apache-2.0
#include "runtime/container/self_exe.h"

#include <cstring>
#include <fcntl.h>
#include <linux/mount.h>
#include <string_view>
#include <sys/prctl.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace berth::container {
namespace {

constexpr long kReadOnly = 1;  // ST_RDONLY

std::string_view base_name(const char* path) {
  const char* slash = std::strrchr(path, '/');
  return slash != nullptr ? slash + 1 : path;
}

// execveat names the process after a descriptor; people look for its own name.
void restore_name(char** argv) {
  char name[16] = {};
  if (argv[0] != nullptr && ::prctl(PR_GET_NAME, name) == 0 && name[0] >= '0' && name[0] <= '9') {
    ::prctl(PR_SET_NAME, base_name(argv[0]).data());
  }
}

}  // namespace

bool executable_is_protected() {
  struct statfs info {};
  return ::statfs("/proc/self/exe", &info) == 0 && (info.f_flags & kReadOnly) != 0;
}

void protect_executable(char** argv, char** envp) {
  if (executable_is_protected()) {
    restore_name(argv);
    return;
  }
  const long tree = ::syscall(SYS_open_tree, AT_FDCWD, "/proc/self/exe", 1u /* OPEN_TREE_CLONE */ | O_CLOEXEC);
  if (tree < 0) return;
  mount_attr attributes{};
  attributes.attr_set = MOUNT_ATTR_RDONLY;
  attributes.propagation = 1u << 18;  // MS_PRIVATE
  const int fd = static_cast<int>(tree);
  if (::syscall(SYS_mount_setattr, fd, "", AT_EMPTY_PATH, &attributes, sizeof attributes) == 0) {
    ::syscall(SYS_execveat, fd, "", argv, envp, AT_EMPTY_PATH);
  }
  ::close(fd);
}

}  // namespace berth::container
