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

bool makes_processes(int argc, char** argv) {
  if (argc > 0 && base_name(argv[0]).find("shim") != std::string_view::npos) return true;
  for (int i = 1; i < argc; ++i) {
    const std::string_view word = argv[i];
    if (word == "create" || word == "run" || word == "exec" || word == "restore") return true;
  }
  return false;
}

// execveat names the process after a descriptor; people look for its own name.
void restore_name(int argc, char** argv) {
  char name[16] = {};
  if (argc > 0 && ::prctl(PR_GET_NAME, name) == 0 && name[0] >= '0' && name[0] <= '9') {
    ::prctl(PR_SET_NAME, base_name(argv[0]).data());
  }
}

// Before main, and before anything of the process has state: nothing is lost by starting anew.
[[gnu::constructor]] void protect_at_start(int argc, char** argv, char** envp) {
  if (!makes_processes(argc, argv)) return;
  protect_executable(argv, envp);
  restore_name(argc, argv);
}

}  // namespace

bool executable_is_protected() {
  struct statfs info {};
  return ::statfs("/proc/self/exe", &info) == 0 && (info.f_flags & kReadOnly) != 0;
}

void protect_executable(char** argv, char** envp) {
  if (executable_is_protected()) return;
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
