// SPDX-License-Identifier: Apache-2.0
#include "runtime/sys/process.h"

#include <cerrno>
#include <csignal>
#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runtime/base/log.h"
#include "runtime/base/strings.h"
#include "runtime/sys/file.h"
#include "runtime/sys/socket.h"

extern char** environ;

namespace berth::sys {
namespace {

// The stat line after the last ')': the command name may contain spaces and parentheses.
Result<std::vector<std::string>> stat_fields(pid_t pid) {
  TRY_ASSIGN(const auto line, read_file(concat("/proc/", pid, "/stat"), 4096));
  const size_t close = line.rfind(')');
  if (close == std::string::npos) return fail(Code::kInternal, concat("process ", pid, ": malformed stat"));
  std::vector<std::string> fields;
  for (const auto part : split(trim(std::string_view(line).substr(close + 1)), ' ')) fields.emplace_back(part);
  return fields;
}

struct SpawnFiles {
  posix_spawn_file_actions_t value;
  SpawnFiles() { ::posix_spawn_file_actions_init(&value); }
  ~SpawnFiles() { ::posix_spawn_file_actions_destroy(&value); }
  SpawnFiles(const SpawnFiles&) = delete;
  SpawnFiles& operator=(const SpawnFiles&) = delete;
};

struct SpawnAttributes {
  posix_spawnattr_t value;
  SpawnAttributes() { ::posix_spawnattr_init(&value); }
  ~SpawnAttributes() { ::posix_spawnattr_destroy(&value); }
  SpawnAttributes(const SpawnAttributes&) = delete;
  SpawnAttributes& operator=(const SpawnAttributes&) = delete;
};

std::vector<char*> c_strings(const std::vector<std::string>& strings) {
  std::vector<char*> pointers;
  for (const auto& text : strings) pointers.push_back(const_cast<char*>(text.c_str()));
  pointers.push_back(nullptr);
  return pointers;
}

// The descriptor map is applied through copies above every target number, so that {3→4, 4→3} works.
Result<std::vector<Fd>> map_fds(const SpawnRequest& request, posix_spawn_file_actions_t& actions) {
  std::vector<Fd> copies;
  bool standard[3] = {false, false, request.inherit_stderr};
  for (const auto& [ours, theirs] : request.fds) {
    Fd copy(::fcntl(ours, F_DUPFD_CLOEXEC, 100));
    if (!copy) return fail_errno("duplicate descriptor");
    ::posix_spawn_file_actions_adddup2(&actions, copy.get(), theirs);
    if (theirs < 3) standard[theirs] = true;
    copies.push_back(std::move(copy));
  }
  for (int fd = 0; fd < 3; ++fd) {
    if (!standard[fd]) ::posix_spawn_file_actions_addopen(&actions, fd, "/dev/null", fd == 0 ? O_RDONLY : O_WRONLY, 0);
  }
  return copies;
}

// Moves what the pollable descriptor has; false at its end.
bool drain(Fd& from, std::string& into, size_t limit) {
  char chunk[16384];
  const ssize_t got = ::read(from.get(), chunk, sizeof chunk);
  if (got < 0) return errno == EINTR || errno == EAGAIN;
  if (got == 0) return false;
  if (into.size() < limit) into.append(chunk, std::min(static_cast<size_t>(got), limit - into.size()));
  return true;
}

}  // namespace

Result<Fd> open_pidfd(pid_t pid) {
  Fd fd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  if (!fd) return fail_errno(concat("open pidfd of ", pid));
  return fd;
}

Result<> send_signal(const Fd& pidfd, int signal) {
  if (::syscall(SYS_pidfd_send_signal, pidfd.get(), signal, nullptr, 0) != 0) return fail_errno(concat("send signal ", signal));
  return {};
}

Result<std::optional<ExitStatus>> wait_child(const Fd& pidfd, bool block) {
  siginfo_t info{};
  while (::waitid(static_cast<idtype_t>(P_PIDFD), static_cast<id_t>(pidfd.get()), &info, WEXITED | (block ? 0 : WNOHANG)) != 0) {
    if (errno != EINTR) return fail_errno("wait for child");
  }
  if (info.si_pid == 0) return std::nullopt;
  ExitStatus status;
  if (info.si_code == CLD_EXITED) {
    status.code = info.si_status;
  } else {
    status.signal = info.si_status;
    status.code = 128 + info.si_status;
    status.core_dumped = info.si_code == CLD_DUMPED;
  }
  return status;
}

Result<> wait_ended(const Fd& pidfd, std::chrono::milliseconds timeout) {
  const long long until = monotonic_nanos() + timeout.count() * 1'000'000LL;
  while (true) {
    const long long left = (until - monotonic_nanos()) / 1'000'000;
    pollfd entry{pidfd.get(), POLLIN, 0};
    const int ready = ::poll(&entry, 1, static_cast<int>(std::max(0LL, left)));
    if (ready > 0) return {};
    if (ready == 0) return fail(Code::kDeadlineExceeded, "process did not end in time");
    if (errno != EINTR) return fail_errno("poll pidfd");
  }
}

Result<uint64_t> process_start_time(pid_t pid) {
  TRY_ASSIGN(const auto fields, stat_fields(pid));
  // fields[0] is field 3 (state), so field 22 is fields[19].
  if (fields.size() < 20) return fail(Code::kInternal, concat("process ", pid, ": short stat"));
  if (fields[0] == "Z" || fields[0] == "X") return fail(Code::kNotFound, concat("process ", pid, " has ended"));
  const auto ticks = parse_uint64(fields[19]);
  if (!ticks) return fail(Code::kInternal, concat("process ", pid, ": malformed start time"));
  return *ticks;
}

bool process_is_alive(pid_t pid, uint64_t start_time) {
  if (pid <= 0) return false;
  const auto now = process_start_time(pid);
  return now && *now == start_time;
}

ChildGuard::~ChildGuard() {
  if (!pidfd_) return;
  [[maybe_unused]] const auto killed = send_signal(pidfd_, SIGKILL);
  [[maybe_unused]] const auto reaped = wait_child(pidfd_, true);
}

Result<Spawned> spawn(const SpawnRequest& request) {
  SpawnFiles files;
  SpawnAttributes attributes;
  TRY_ASSIGN(const auto copies, map_fds(request, files.value));
  if (request.cwd) ::posix_spawn_file_actions_addchdir_np(&files.value, request.cwd->c_str());
  short flags = POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF;
  if (request.new_session) flags |= POSIX_SPAWN_SETSID;
  if (request.new_process_group) flags |= POSIX_SPAWN_SETPGROUP;
  sigset_t none, all;
  ::sigemptyset(&none);
  ::sigfillset(&all);
  ::posix_spawnattr_setsigmask(&attributes.value, &none);
  ::posix_spawnattr_setsigdefault(&attributes.value, &all);
  ::posix_spawnattr_setflags(&attributes.value, flags);
  auto argv = c_strings(request.argv);
  std::vector<char*> env;
  if (request.env) env = c_strings(*request.env);
  Spawned child;
  const std::string& program = request.program.empty() ? request.argv[0] : request.program;
  const int error = ::posix_spawn(&child.pid, program.c_str(), &files.value, &attributes.value, argv.data(),
                                  request.env ? env.data() : environ);
  if (error != 0) return fail_errno(concat("execute ", quote(program)), error);
  TRY_ASSIGN(child.pidfd, open_pidfd(child.pid));
  return child;
}

Result<Output> run(SpawnRequest request, std::string_view input, std::chrono::milliseconds timeout, size_t limit) {
  TRY_ASSIGN(auto in, make_pipe());
  TRY_ASSIGN(auto out, make_pipe());
  TRY_ASSIGN(auto err, make_pipe());
  request.fds.insert(request.fds.end(), {{in.first.get(), 0}, {out.second.get(), 1}, {err.second.get(), 2}});
  request.new_process_group = true;
  TRY_ASSIGN(auto child, spawn(request));
  in.first.reset();
  out.second.reset();
  err.second.reset();
  ::fcntl(in.second.get(), F_SETFL, O_NONBLOCK);
  ::fcntl(out.first.get(), F_SETFL, O_NONBLOCK);
  ::fcntl(err.first.get(), F_SETFL, O_NONBLOCK);
  Output result;
  if (input.empty()) in.second.reset();
  const long long until = monotonic_nanos() + timeout.count() * 1'000'000LL;
  while (true) {
    pollfd entries[4] = {{child.pidfd.get(), POLLIN, 0}, {out.first.get(), POLLIN, 0}, {err.first.get(), POLLIN, 0}, {in.second.get(), POLLOUT, 0}};
    const long long left = (until - monotonic_nanos()) / 1'000'000;
    if (left <= 0) {
      ::kill(-child.pid, SIGKILL);
      [[maybe_unused]] const auto reaped = wait_child(child.pidfd, true);
      return fail(Code::kDeadlineExceeded, concat(quote(request.argv[0]), " did not end within ", timeout.count(), " ms"));
    }
    if (::poll(entries, 4, static_cast<int>(left)) < 0 && errno != EINTR) return fail_errno("poll");
    if (entries[1].revents != 0 && !drain(out.first, result.out, limit)) out.first.reset();
    if (entries[2].revents != 0 && !drain(err.first, result.err, limit)) err.first.reset();
    if (entries[3].revents != 0) {
      const ssize_t put = ::write(in.second.get(), input.data(), input.size());
      if (put > 0) input.remove_prefix(static_cast<size_t>(put));
      if (input.empty() || (put < 0 && errno != EAGAIN && errno != EINTR)) in.second.reset();
    }
    if (entries[0].revents == 0) continue;
    // Ended: take what the pipes still hold, without waiting for grandchildren that keep them open.
    for (size_t before = result.out.size() + 1; out.first && before != result.out.size();) {
      before = result.out.size();
      if (!drain(out.first, result.out, limit)) break;
    }
    for (size_t before = result.err.size() + 1; err.first && before != result.err.size();) {
      before = result.err.size();
      if (!drain(err.first, result.err, limit)) break;
    }
    TRY_ASSIGN(const auto exit, wait_child(child.pidfd, true));
    result.exit = *exit;
    return result;
  }
}

}  // namespace berth::sys
