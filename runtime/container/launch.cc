// SPDX-License-Identifier: Apache-2.0
#include "runtime/container/launch.h"

#include <cerrno>
#include <csignal>
#include <cstring>
#include <fcntl.h>
#include <linux/sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "runtime/base/log.h"
#include "runtime/base/strings.h"
#include "runtime/container/self_exe.h"
#include "runtime/plan/container.h"
#include "runtime/sys/file.h"
#include "runtime/sys/process.h"
#include "runtime/sys/socket.h"

namespace berth::container {
namespace {

// The child runs in a copy of our address space; the plan and all it points to are in it.
Result<Launched> clone_child(const LaunchRequest& request, const child::Plan& plan) {
  int pidfd = -1;
  clone_args args{};
  args.flags = request.flags | CLONE_PIDFD;
  args.pidfd = reinterpret_cast<uint64_t>(&pidfd);
  args.exit_signal = SIGCHLD;
  if (request.cgroup >= 0) {
    args.flags |= CLONE_INTO_CGROUP;
    args.cgroup = static_cast<uint64_t>(request.cgroup);
  }
  const long pid = ::syscall(SYS_clone3, &args, sizeof args);
  if (pid < 0) return fail_errno("clone container process");
  if (pid == 0) child::run(plan);
  Launched out;
  out.pid = static_cast<pid_t>(pid);
  out.pidfd = Fd(pidfd);
  return out;
}

Result<> send_go(int sync) {
  if (::send(sync, "", 1, MSG_NOSIGNAL) != 1) return fail_errno("answer container process");
  return {};
}

// The first process has made the second, which is our child too (CLONE_PARENT), and ends.
Result<> take_second(Launched& child, pid_t pid) {
  TRY(sys::wait_child(child.pidfd, true));
  child.pidfd.reset();
  TRY_ASSIGN(child.pidfd, sys::open_pidfd(pid));
  child.pid = pid;
  return {};
}

std::unexpected<Error> died(const Launched& child) {
  const auto exit = sys::wait_child(child.pidfd, true);
  if (!exit || !*exit) return fail(Code::kInternal, "container init ended without a report");
  if ((*exit)->signal == SIGKILL) return fail(Code::kInternal, "container init was OOM-killed (memory limit too low?) or killed");
  if ((*exit)->signal != 0) return fail(Code::kInternal, concat("container init was ended by signal ", (*exit)->signal));
  return fail(Code::kInternal, concat("container init ended with exit status ", (*exit)->code, " and without a report"));
}

std::unexpected<Error> rejected(const LaunchRequest& request, const child::Report& report) {
  return std::unexpected<Error>(std::in_place, code_from_errno(report.error), report.error,
                                plan::failure_text(request.builder, report));
}

// One report; true when the conversation is over.
Result<bool> handle(const LaunchRequest& request, Launched& child, const child::Report& report, std::vector<Fd>& fds) {
  switch (report.kind) {
    case child::ReportKind::kFailed: return rejected(request, report);
    case child::ReportKind::kReady: return true;
    case child::ReportKind::kConsole:
      if (fds.size() != 1) return fail(Code::kInternal, "the child sent no terminal");
      child.console = std::move(fds.front());
      return false;
    case child::ReportKind::kForked:
      TRY(take_second(child, report.value));
      if (request.at_birth) TRY(request.at_birth(child));
      TRY(send_go(request.sync));
      return false;
    case child::ReportKind::kSyncPoint:
      if (request.at_sync) TRY(request.at_sync(report.value, report.detail, child));
      TRY(send_go(request.sync));
      return false;
  }
  return fail(Code::kInternal, "malformed report from the child");
}

Result<> converse(const LaunchRequest& request, Launched& child) {
  while (true) {
    TRY_ASSIGN(auto message, sys::receive_message(request.sync, 4096));
    if (message.closed) {
      if (request.until_exec) return {};
      return died(child);
    }
    child::Report report{};
    if (message.data.size() != sizeof report) return fail(Code::kInternal, "malformed report from the child");
    std::memcpy(&report, message.data.data(), sizeof report);
    TRY_ASSIGN(const bool over, handle(request, child, report, message.fds));
    if (over) return {};
  }
}

void end_child(Launched& child) {
  if (!child.pidfd) return;
  (void)sys::send_signal(child.pidfd, SIGKILL);
  (void)sys::wait_child(child.pidfd, true);
}

}  // namespace

Result<Launched> launch(const LaunchRequest& request, Fd child_sync) {
  if (!executable_is_protected()) log_debug("the runtime's binary is on a writable mount");
  child::Plan plan;
  plan.ops = request.builder.ops().data();
  plan.count = static_cast<uint32_t>(request.builder.ops().size());
  plan.sync = child_sync.get();
  plan.root = request.root;
  TRY_ASSIGN(Launched child, clone_child(request, plan));
  child_sync.reset();  // or the end of the child would never be seen
  auto talked = converse(request, child);
  if (!talked) {
    end_child(child);
    return std::unexpected(std::move(talked).error());
  }
  return child;
}

Result<Fd> copy_above(int fd, int floor) {
  Fd copy(::fcntl(fd, F_DUPFD_CLOEXEC, floor));
  if (!copy) return fail_errno("duplicate descriptor");
  return copy;
}

Result<> send_descriptor(const std::string& path, int fd, const std::string& name) {
  TRY_ASSIGN(const Fd socket, sys::connect_unix(path, SOCK_STREAM), concat("connect to ", quote(path)));
  const int fds[] = {fd};
  return sys::send_message(socket.get(), name, fds);
}

Result<> write_pid_file(const std::string& path, pid_t pid) {
  if (path.empty()) return {};
  return sys::replace_file(path, std::to_string(pid), 0644, false);
}

Result<> hand_over_listener(const Launched& child, int number, const std::string& path, const std::string& state) {
  const Fd listener(static_cast<int>(::syscall(SYS_pidfd_getfd, child.pidfd.get(), number, 0)));
  if (!listener) return fail_errno("fetch seccomp listener");
  TRY_ASSIGN(const Fd socket, sys::connect_unix(path, SOCK_STREAM), "failed to connect with seccomp agent");
  const int fds[] = {listener.get()};
  return sys::send_message(socket.get(), state, fds);
}

Result<> deliver_console(Fd& console, const std::string& socket) {
  if (!console || socket.empty()) return {};
  unsigned number = 0;
  if (::ioctl(console.get(), 0x80045430 /* TIOCGPTN */, &number) != 0) return fail_errno("number of the terminal");
  TRY(send_descriptor(socket, console.get(), concat("/dev/pts/", number)), "send console");
  console.reset();
  return {};
}

}  // namespace berth::container
