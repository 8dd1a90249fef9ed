// SPDX-License-Identifier: Apache-2.0
#include "runtime/shim/pod_setup.h"

#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>

#include "runtime/base/strings.h"
#include "runtime/sys/file.h"
#include "runtime/sys/path.h"
#include "runtime/sys/process.h"

namespace berth::shim {
namespace {

Result<> raise_loopback() {
  const Fd control(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!control) return fail_errno("socket");
  ifreq request{};
  ::memcpy(request.ifr_name, "lo", 3);
  if (::ioctl(control.get(), SIOCGIFFLAGS, &request) != 0) return fail_errno("read flags of \"lo\"");
  request.ifr_flags = static_cast<short>(request.ifr_flags | IFF_UP);
  if (::ioctl(control.get(), SIOCSIFFLAGS, &request) != 0) return fail_errno("bring up \"lo\"");
  return {};
}

// "net.ipv4.conf.eth0/1.forwarding" → "net/ipv4/conf/eth0.1/forwarding": as sysctl(8), '/' stands for a dot in a name.
std::string sysctl_path(std::string_view key) {
  std::string path(key);
  const bool slashes_first =
      path.find('/') != std::string::npos && (path.find('.') == std::string::npos || path.find('/') < path.find('.'));
  if (slashes_first) return path;
  for (char& c : path) c = c == '.' ? '/' : c == '/' ? '.' : c;
  return path;
}

Result<> write_sysctl(int root, const std::string& key, const std::string& value) {
  TRY_ASSIGN(const auto file, sys::open_beneath(root, sysctl_path(key), O_WRONLY), concat("sysctl ", quote(key)));
  TRY(sys::write_all(file.get(), value), concat("sysctl ", quote(key)));
  return {};
}

[[noreturn]] void run_pod_init() {
  ::prctl(PR_SET_NAME, "berth-init");
  // A shim that is killed takes the namespace and all that lives in it along: nobody else knows this process.
  ::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
  ::setsid();
  ::syscall(SYS_close_range, 0u, ~0u, 0u);
  [[maybe_unused]] const int moved = ::chdir("/");
  // Blocked signals reach pid 1 of a namespace only if it asks for them: TERM and the others are ignored.
  sigset_t all;
  ::sigfillset(&all);
  ::sigprocmask(SIG_SETMASK, &all, nullptr);
  sigset_t child;
  ::sigemptyset(&child);
  ::sigaddset(&child, SIGCHLD);
  while (true) {
    while (::waitpid(-1, nullptr, WNOHANG) > 0) {
    }
    siginfo_t info;
    ::sigwaitinfo(&child, &info);
  }
}

}  // namespace

Result<> check_sysctls(const PodSettings& settings) {
  for (const auto& [key, value] : settings.sysctls) {
    const std::string path = sysctl_path(key);
    for (const auto part : split(path, '/')) {
      if (part.empty() || part == "." || part == "..")
        return fail(Code::kInvalidArgument, concat("sysctl ", quote(key), ": malformed name"));
    }
    const bool network = path.starts_with("net/");
    const bool ipc = path.starts_with("kernel/msg") || path == "kernel/sem" || path.starts_with("kernel/shm") ||
                     path.starts_with("fs/mqueue/");
    if (!network && !ipc)
      return fail(Code::kInvalidArgument, concat("sysctl ", quote(key), ": is not of a pod's namespaces"));
    if (network && !settings.new_network)
      return fail(Code::kInvalidArgument, concat("sysctl ", quote(key), ": pod uses the host's network"));
    if (ipc && !settings.new_ipc)
      return fail(Code::kInvalidArgument, concat("sysctl ", quote(key), ": pod uses the host's ipc"));
  }
  return {};
}

Result<> enter_namespaces(const PodSettings& settings) {
  TRY(check_sysctls(settings));
  const int flags = (settings.new_network ? CLONE_NEWNET : 0) | (settings.new_ipc ? CLONE_NEWIPC : 0) |
                    (settings.new_uts ? CLONE_NEWUTS : 0);
  if (flags != 0 && ::unshare(flags) != 0) return fail_errno("make the pod's namespaces");
  if (settings.new_network) TRY(raise_loopback());
  if (settings.new_uts && !settings.hostname.empty() &&
      ::sethostname(settings.hostname.c_str(), settings.hostname.size()) != 0) {
    return fail_errno(concat("set hostname ", quote(settings.hostname)));
  }
  if (settings.sysctls.empty()) return {};
  TRY_ASSIGN(const auto root, sys::open_path("/proc/sys", O_PATH | O_DIRECTORY));
  for (const auto& [key, value] : settings.sysctls) TRY(write_sysctl(root.get(), key, value));
  return {};
}

Result<> mount_shm(const PodSettings& settings, const std::string& dir) {
  if (!settings.new_ipc || settings.shm_bytes <= 0) return {};
  const std::string target = concat(dir, "/shm");
  TRY(sys::make_directories(target, 0700));
  TRY(unmount_shm(dir));  // of a shim that died here before
  const auto options = concat("mode=1777,size=", settings.shm_bytes);
  if (::mount("shm", target.c_str(), "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, options.c_str()) != 0) {
    return fail_errno(concat("mount ", quote(target)));
  }
  return {};
}

Result<> unmount_shm(const std::string& dir) {
  const std::string target = concat(dir, "/shm");
  while (::umount2(target.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW) == 0) {
  }
  if (errno != EINVAL && errno != ENOENT) return fail_errno(concat("unmount ", quote(target)));
  return {};
}

Result<PodInit> start_pod_init(const PodSettings& settings) {
  PodInit init;
  if (!settings.shared_pid) return init;
  const long pid = ::syscall(SYS_clone, CLONE_NEWPID | SIGCHLD, nullptr, nullptr, nullptr, nullptr);
  if (pid < 0) return fail_errno("start the pod's init");
  if (pid == 0) run_pod_init();
  init.pid = static_cast<pid_t>(pid);
  TRY_ASSIGN(init.pidfd, sys::open_pidfd(init.pid));
  return init;
}

}  // namespace berth::shim
