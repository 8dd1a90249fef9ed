// SPDX-License-Identifier: Apache-2.0
// Processes by pidfd: identity never rests on a pid alone.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <sys/types.h>
#include <utility>
#include <vector>

#include "runtime/base/fd.h"
#include "runtime/base/result.h"

namespace berth::sys {

// How a process ended: `code` is its exit status, or 128 + signal when a signal ended it.
struct ExitStatus {
  int code = 0;
  int signal = 0;
  bool core_dumped = false;
};

Result<Fd> open_pidfd(pid_t pid);
Result<> send_signal(const Fd& pidfd, int signal);
// waitid(P_PIDFD): reaps a child. `block` false: nothing when it still runs. EINTR is retried.
Result<std::optional<ExitStatus>> wait_child(const Fd& pidfd, bool block);
// Waits until the process (any, not only a child) has ended; kDeadlineExceeded after `timeout`.
Result<> wait_ended(const Fd& pidfd, std::chrono::milliseconds timeout);

// Field 22 of /proc/PID/stat (clock ticks since boot): with the pid it names a process for ever. kNotFound when gone or zombie.
Result<uint64_t> process_start_time(pid_t pid);
// True when `pid` exists, is no zombie, and started at `start_time`.
bool process_is_alive(pid_t pid, uint64_t start_time);

// Kills and reaps its child in the destructor unless commit()ted.
class ChildGuard {
 public:
  explicit ChildGuard(Fd pidfd) : pidfd_(std::move(pidfd)) {}
  ChildGuard(ChildGuard&&) = default;
  ChildGuard& operator=(ChildGuard&&) = delete;
  ~ChildGuard();
  const Fd& pidfd() const { return pidfd_; }
  Fd commit() { return std::move(pidfd_); }

 private:
  Fd pidfd_;
};

struct SpawnRequest {
  std::vector<std::string> argv;                 // argv[0] is an absolute path unless `program` is set
  std::string program;                           // what to execute when it is not argv[0]
  std::optional<std::vector<std::string>> env;   // absent: the caller's environment
  std::vector<std::pair<int, int>> fds;          // {ours, child's}; stdin, stdout, stderr default to /dev/null
  std::optional<std::string> cwd;
  bool new_session = false;                      // setsid
  bool new_process_group = false;
  bool inherit_stderr = false;
};

struct Spawned {
  pid_t pid = 0;
  Fd pidfd;
};

// posix_spawn with an explicit descriptor map: everything else is CLOEXEC, and no atfork handler runs (gRPC installs
// some). The agent is multi-threaded and creates processes only through this call.
Result<Spawned> spawn(const SpawnRequest& request);

struct Output {
  ExitStatus exit;
  std::string out;
  std::string err;
};
// Runs to the end with `input` on standard input; each stream capped at `limit` bytes. At the deadline the process group
// is killed and kDeadlineExceeded returned; a child that keeps the pipes open after the exit is not waited for.
Result<Output> run(SpawnRequest request, std::string_view input, std::chrono::milliseconds timeout, size_t limit = 1u << 20);

}  // namespace berth::sys
