// SPDX-License-Identifier: Apache-2.0
#include "agent/pods/seccomp_default.h"

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <initializer_list>
#include <string_view>

#include "runtime/base/strings.h"
#include "runtime/oci/spec_json.h"
#include "runtime/sys/file.h"

namespace berth::pods {
namespace {

constexpr const char* kAllow = "SCMP_ACT_ALLOW";
constexpr const char* kErrno = "SCMP_ACT_ERRNO";

// Allowed for every container.
constexpr std::string_view kAlways =
    "accept accept4 access adjtimex alarm bind brk cachestat capget capset chdir chmod chown chown32 clock_adjtime "
    "clock_adjtime64 clock_getres clock_getres_time64 clock_gettime clock_gettime64 clock_nanosleep "
    "clock_nanosleep_time64 close close_range connect copy_file_range creat dup dup2 dup3 epoll_create epoll_create1 "
    "epoll_ctl epoll_ctl_old epoll_pwait epoll_pwait2 epoll_wait epoll_wait_old eventfd eventfd2 execve execveat exit "
    "exit_group faccessat faccessat2 fadvise64 fadvise64_64 fallocate fanotify_mark fchdir fchmod fchmodat fchmodat2 "
    "fchown fchown32 fchownat fcntl fcntl64 fdatasync fgetxattr flistxattr flock fork fremovexattr fsetxattr fstat "
    "fstat64 fstatat64 fstatfs fstatfs64 fsync ftruncate ftruncate64 futex futex_requeue futex_time64 futex_wait "
    "futex_waitv futex_wake futimesat getcpu getcwd getdents getdents64 getegid getegid32 geteuid geteuid32 getgid "
    "getgid32 getgroups getgroups32 getitimer getpeername getpgid getpgrp getpid getppid getpriority getrandom "
    "getresgid getresgid32 getresuid getresuid32 getrlimit get_robust_list getrusage getsid getsockname getsockopt "
    "get_thread_area gettid gettimeofday getuid getuid32 getxattr getxattrat inotify_add_watch inotify_init "
    "inotify_init1 inotify_rm_watch io_cancel ioctl io_destroy io_getevents io_pgetevents io_pgetevents_time64 "
    "ioprio_get ioprio_set io_setup io_submit ipc kill landlock_add_rule landlock_create_ruleset "
    "landlock_restrict_self lchown lchown32 lgetxattr link linkat listen listmount listxattr listxattrat llistxattr "
    "_llseek "
    "lremovexattr lseek lsetxattr lstat lstat64 madvise map_shadow_stack membarrier memfd_create memfd_secret mincore "
    "mkdir mkdirat mknod mknodat mlock mlock2 mlockall mmap mmap2 mprotect mq_getsetattr mq_notify mq_open "
    "mq_timedreceive mq_timedreceive_time64 mq_timedsend mq_timedsend_time64 mq_unlink mremap mseal msgctl msgget "
    "msgrcv "
    "msgsnd msync munlock munlockall munmap name_to_handle_at nanosleep newfstatat _newselect open openat openat2 "
    "pause "
    "pidfd_open pidfd_send_signal pipe pipe2 pkey_alloc pkey_free pkey_mprotect poll ppoll ppoll_time64 prctl pread64 "
    "preadv preadv2 prlimit64 process_mrelease pselect6 pselect6_time64 pwrite64 pwritev pwritev2 read readahead "
    "readlink readlinkat readv recv recvfrom recvmmsg recvmmsg_time64 recvmsg remap_file_pages removexattr "
    "removexattrat "
    "rename renameat renameat2 restart_syscall rmdir rseq rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo "
    "rt_sigreturn rt_sigsuspend rt_sigtimedwait rt_sigtimedwait_time64 rt_tgsigqueueinfo sched_getaffinity "
    "sched_getattr sched_getparam sched_get_priority_max sched_get_priority_min sched_getscheduler "
    "sched_rr_get_interval sched_rr_get_interval_time64 sched_setaffinity sched_setattr sched_setparam "
    "sched_setscheduler sched_yield seccomp select semctl semget semop semtimedop semtimedop_time64 send sendfile "
    "sendfile64 sendmmsg sendmsg sendto setfsgid setfsgid32 setfsuid setfsuid32 setgid setgid32 setgroups setgroups32 "
    "setitimer setpgid setpriority setregid setregid32 setresgid setresgid32 setresuid setresuid32 setreuid setreuid32 "
    "setrlimit set_robust_list setsid setsockopt set_thread_area set_tid_address setuid setuid32 setxattr setxattrat "
    "shmat "
    "shmctl shmdt shmget shutdown sigaltstack signalfd signalfd4 sigprocmask sigreturn socketpair splice stat stat64 "
    "statfs statfs64 statmount statx symlink symlinkat sync sync_file_range syncfs sysinfo tee tgkill time "
    "timer_create "
    "timer_delete timer_getoverrun timer_gettime timer_gettime64 timer_settime timer_settime64 timerfd_create "
    "timerfd_gettime timerfd_gettime64 timerfd_settime timerfd_settime64 times tkill truncate truncate64 ugetrlimit "
    "umask uname unlink unlinkat utime utimensat utimensat_time64 utimes vfork vmsplice wait4 waitid waitpid write "
    "writev arch_prctl modify_ldt ptrace process_vm_readv process_vm_writev";

struct CapabilityRule {
  std::string_view capability;
  std::string_view names;
};
// Opened by a capability; without it the kernel would mostly refuse as well, but the code is not even reached.
constexpr CapabilityRule kByCapability[] = {
    {"CAP_DAC_READ_SEARCH", "open_by_handle_at"},
    {"CAP_SYS_ADMIN",
     "bpf clone clone3 fanotify_init fsconfig fsmount fsopen fspick lookup_dcookie mount mount_setattr move_mount "
     "open_tree perf_event_open quotactl quotactl_fd setdomainname sethostname setns syslog umount umount2 unshare"},
    {"CAP_SYS_BOOT", "reboot"},
    {"CAP_SYS_CHROOT", "chroot"},
    {"CAP_SYS_MODULE", "delete_module init_module finit_module"},
    {"CAP_SYS_PACCT", "acct"},
    {"CAP_SYS_PTRACE", "kcmp pidfd_getfd process_madvise"},
    {"CAP_SYS_RAWIO", "iopl ioperm"},
    {"CAP_SYS_TIME", "settimeofday stime clock_settime clock_settime64"},
    {"CAP_SYS_TTY_CONFIG", "vhangup"},
    {"CAP_SYS_NICE", "get_mempolicy mbind set_mempolicy set_mempolicy_home_node"},
    {"CAP_SYSLOG", "syslog"},
    {"CAP_BPF", "bpf"},
    {"CAP_PERFMON", "perf_event_open"},
};

// Every namespace flag of clone(2): CLONE_NEWNS, CGROUP, UTS, IPC, USER, PID, NET.
constexpr uint64_t kNamespaceFlags = 0x7E020000;
constexpr uint64_t kPersonalities[] = {0x0, 0x8, 0x20000, 0x20008, 0xffffffff};
// Other families reach kernel code that containers have no use for (AF_ALG, AF_VSOCK, the old protocols). The kernel
// looks at 32 bits of the argument only, so the comparison must mask, or a high bit set by the caller would pass the
// filter.
constexpr int kFamilies[] = {AF_UNIX, AF_INET, AF_INET6, AF_NETLINK, AF_PACKET};

std::vector<std::string> words(std::string_view text) {
  std::vector<std::string> result;
  for (const std::string_view word : split(text, ' ')) {
    if (!word.empty()) result.emplace_back(word);
  }
  return result;
}

oci::SeccompRule rule(std::vector<std::string> names, const char* action, std::vector<oci::SeccompArg> args = {}) {
  oci::SeccompRule made;
  made.names = std::move(names);
  made.action = action;
  made.args = std::move(args);
  return made;
}

std::vector<std::string> native_architectures() {
#if defined(__x86_64__)
  return {"SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"};
#elif defined(__aarch64__)
  return {"SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"};
#else
  return {};
#endif
}

Result<oci::Seccomp> profile_from_file(const std::string& path) {
  if (path.empty()) return fail(Code::kInvalidArgument, "seccomp profile Localhost has no localhost_ref");
  if (!path.starts_with('/'))
    return fail(Code::kInvalidArgument, concat("seccomp profile ", quote(path), " is not an absolute path"));
  TRY_ASSIGN(const std::string text, sys::read_file(path, 1u << 20), "seccomp profile");
  TRY_ASSIGN(oci::Seccomp profile, oci::parse_seccomp(text), concat("seccomp profile ", quote(path)));
  return profile;
}

}  // namespace

oci::Seccomp default_seccomp(const std::vector<std::string>& capabilities) {
  const auto holds = [&](std::string_view name) {
    return std::find(capabilities.begin(), capabilities.end(), name) != capabilities.end();
  };
  oci::Seccomp profile;
  profile.default_action = kErrno;
  profile.default_errno_ret = EPERM;
  profile.architectures = native_architectures();
  profile.syscalls.push_back(rule(words(kAlways), kAllow));
  for (const int family : kFamilies) {
    profile.syscalls.push_back(rule({"socket"}, kAllow, {{0, 0xffffffff, uint64_t(family), "SCMP_CMP_MASKED_EQ"}}));
  }
  for (const uint64_t value : kPersonalities) {
    profile.syscalls.push_back(rule({"personality"}, kAllow, {{0, value, 0, "SCMP_CMP_EQ"}}));
  }
  for (const CapabilityRule& entry : kByCapability) {
    if (holds(entry.capability)) profile.syscalls.push_back(rule(words(entry.names), kAllow));
  }
  if (!holds("CAP_SYS_ADMIN")) {
    profile.syscalls.push_back(rule({"clone"}, kAllow, {{0, kNamespaceFlags, 0, "SCMP_CMP_MASKED_EQ"}}));
    // Its flags lie in memory where no filter can look; ENOSYS makes libraries fall back to clone.
    oci::SeccompRule clone3 = rule({"clone3"}, kErrno);
    clone3.errno_ret = ENOSYS;
    profile.syscalls.push_back(std::move(clone3));
  }
  return profile;
}

Result<std::optional<oci::Seccomp>> container_seccomp(const ::runtime::v1::LinuxContainerSecurityContext& context,
                                                      const std::vector<std::string>& capabilities) {
  using Profile = ::runtime::v1::SecurityProfile;
  if (context.privileged()) return std::nullopt;
  if (context.has_seccomp()) {
    switch (context.seccomp().profile_type()) {
      case Profile::RuntimeDefault:
        return default_seccomp(capabilities);
      case Profile::Unconfined:
        return std::nullopt;
      case Profile::Localhost: {
        TRY_ASSIGN(oci::Seccomp profile, profile_from_file(context.seccomp().localhost_ref()));
        return profile;
      }
      default:
        return fail(Code::kInvalidArgument, "seccomp profile type is unknown");
    }
  }
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
  const std::string& old = context.seccomp_profile_path();
#pragma GCC diagnostic pop
  if (old.empty() || old == "unconfined") return std::nullopt;
  if (old == "runtime/default" || old == "docker/default") return default_seccomp(capabilities);
  constexpr std::string_view kLocalhost = "localhost/";
  if (!old.starts_with(kLocalhost))
    return fail(Code::kInvalidArgument, concat("seccomp profile ", quote(old), " is unknown"));
  TRY_ASSIGN(oci::Seccomp profile, profile_from_file(old.substr(kLocalhost.size())));
  return profile;
}

}  // namespace berth::pods
