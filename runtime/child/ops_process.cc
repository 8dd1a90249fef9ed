// SPDX-License-Identifier: Apache-2.0
// Namespaces, the second clone, seccomp, hooks and the end: execve.
#include <csignal>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sys/prctl.h>

#include "runtime/child/calls.h"

namespace berth::child {
namespace {

constexpr uint32_t kMaxJoins = 16;
constexpr unsigned long kSignalSetSize = 8;
constexpr unsigned kCloexec = 1u << 2;  // CLOSE_RANGE_CLOEXEC

// Every signal handler of the parent's is gone after execve anyway, but ignored signals and the mask would stay.
void reset_signals() {
  struct {
    void* handler;
    unsigned long flags;
    void* restorer;
    uint64_t mask;
  } action = {};
  for (int signal = 1; signal <= 64; ++signal) {
    if (signal == SIGKILL || signal == SIGSTOP) continue;
    call(SYS_rt_sigaction, signal, &action, nullptr, kSignalSetSize);
  }
  const uint64_t none = 0;
  call(SYS_rt_sigprocmask, SIG_SETMASK, &none, nullptr, kSignalSetSize);
}

long wait_hook(int pidfd, long pid, uint64_t timeout_ms, int* status) {
  pollfd entry{pidfd, POLLIN, 0};
  timespec timeout{static_cast<time_t>(timeout_ms / 1000), static_cast<long>(timeout_ms % 1000) * 1'000'000};
  const long ready = call(SYS_ppoll, &entry, 1, timeout_ms == 0 ? nullptr : &timeout, nullptr, kSignalSetSize);
  if (ready == 0) call(SYS_kill, static_cast<int>(pid), SIGKILL);
  long got = -EINTR;
  while (got == -EINTR) got = call(SYS_wait4, static_cast<int>(pid), status, 0x40000000 /* __WALL */, nullptr);
  if (got < 0) return got;
  return ready == 0 ? -ETIMEDOUT : 0;
}

}  // namespace

long op_join(Context&, const Op& op) {
  bool joined[kMaxJoins] = {};
  long last_error = 0;
  // First what the host owns, then the user namespace, then what that one owns (§3 trap 6).
  for (int round = 0; round < 3; ++round) {
    last_error = 0;
    for (uint32_t i = 0; i < op.count && i < kMaxJoins; ++i) {
      const bool user = op.joins[i].type == CLONE_NEWUSER;
      if (joined[i] || user != (round == 1)) continue;
      const long result = call(SYS_setns, op.joins[i].fd, op.joins[i].type);
      if (result == 0) {
        joined[i] = true;
        if (user) {
          call(SYS_setresgid, 0, 0, 0);
          const long become = call(SYS_setresuid, 0, 0, 0);
          if (become < 0) return become;
        }
        continue;
      }
      if (result != -EPERM || user || round == 2) return result;
      last_error = result;
    }
  }
  return last_error;
}

long op_fork(Context& context, const Op& op) {
  clone_args args{};
  args.flags = CLONE_PARENT | op.args[0];
  const long pid = call(SYS_clone3, &args, sizeof args);
  if (pid < 0) return pid;
  if (pid > 0) {
    const long sent = send_report(context, ReportKind::kForked, static_cast<int>(pid), -1);
    if (sent < 0) call(SYS_kill, static_cast<int>(pid), SIGKILL);
    ::_exit(0);
  }
  call(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
  return wait_go(context);
}

long op_seccomp(Context& context, const Op& op) {
  sock_fprog program{};
  program.len = static_cast<unsigned short>(op.args[0]);
  program.filter = reinterpret_cast<sock_filter*>(op.args[1]);
  const long result = call(SYS_seccomp, SECCOMP_SET_MODE_FILTER, op.args[2], &program);
  if (result < 0 || (op.args[2] & SECCOMP_FILTER_FLAG_NEW_LISTENER) == 0) return result;
  // The parent fetches the listener with pidfd_getfd. write and read only: a filter may not notify on these.
  const Report report{ReportKind::kSyncPoint, 0, 0, op.value, static_cast<int32_t>(result)};
  const long sent = call(SYS_write, context.plan->sync, &report, sizeof report);
  if (sent < 0) return sent;
  const long go = wait_go(context);
  close_fd(static_cast<int>(result));
  return go;
}

long op_gate(Context&, const Op& op) {
  char byte = 0;
  long got = -EINTR;
  while (got == -EINTR) got = call(SYS_read, op.fd, &byte, 1UL);
  close_fd(op.fd);
  return got < 0 ? got : 0;
}

long op_hook(Context& context, const Op& op) {
  call(SYS_lseek, op.fd, 0L, SEEK_SET);
  int pidfd = -1;
  clone_args args{};
  args.flags = CLONE_PIDFD;
  args.pidfd = reinterpret_cast<uint64_t>(&pidfd);
  args.exit_signal = SIGCHLD;
  const long pid = call(SYS_clone3, &args, sizeof args);
  if (pid < 0) return pid;
  if (pid == 0) {
    reset_signals();
    call(SYS_dup3, op.fd, 0, 0);
    call(SYS_close_range, 3u, ~0u, kCloexec);
    call(SYS_execve, op.path, op.list, op.env);
    ::_exit(127);
  }
  int status = 0;
  const long result = wait_hook(pidfd, pid, op.args[0], &status);
  close_fd(pidfd);
  if (result < 0) return result;
  if (status == 0) return 0;
  context.detail = kHookStatus;
  return -EIO;
}

long op_exec(Context& context, const Op& op) {
  reset_signals();
  call(SYS_close_range, static_cast<unsigned>(op.value), ~0u, kCloexec);
  return call(SYS_execve, context.chosen != nullptr ? context.chosen : op.path, op.list, op.env);
}

}  // namespace berth::child
