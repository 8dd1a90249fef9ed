// SPDX-License-Identifier: Apache-2.0
// The parent's side of a plan: clone, the conversation with the child, and what it leaves: a prepared process.
#pragma once

#include <functional>
#include <string>

#include "runtime/base/fd.h"
#include "runtime/base/result.h"
#include "runtime/child/plan.h"
#include "runtime/plan/builder.h"

namespace berth::container {

// A child as it is known during the conversation.
struct Launched {
  pid_t pid = 0;
  Fd pidfd;
  Fd console;  // pty master, once the child has sent it
};

struct LaunchRequest {
  const plan::Builder& builder;
  int sync = -1;        // the parent's end of the socket; borrowed
  int root = -1;
  uint64_t flags = 0;   // CLONE_NEW… of the first clone
  int cgroup = -1;      // CLONE_INTO_CGROUP, or -1
  bool until_exec = false;  // true: returns when execve has succeeded; false: at kReady
  // Called at each sync point; the child goes on when it returns success. `detail` is the report's.
  std::function<Result<>(int point, int detail, const Launched&)> at_sync = {};
  // Called as soon as the final process exists, before it makes anything.
  std::function<Result<>(const Launched&)> at_birth = {};
};

// On error the child is dead and reaped. `child_sync` is the child's end of the socket.
Result<Launched> launch(const LaunchRequest& request, Fd child_sync);

// A copy of `fd` with a number above `floor` (streams and preserved descriptors must not collide).
Result<Fd> copy_above(int fd, int floor);

// Connects to the path socket and sends one descriptor with `name` as data (console and pidfd sockets).
Result<> send_descriptor(const std::string& path, int fd, const std::string& name);

// Digits only, made under a temporary name and renamed (§3 trap 74).
Result<> write_pid_file(const std::string& path, pid_t pid);

// Fetches the seccomp listener number `number` out of the child and hands it to the agent at `path` with the
// ContainerProcessState JSON `state`.
Result<> hand_over_listener(const Launched& child, int number, const std::string& path, const std::string& state);

// Sends a console to where it was asked for: to the socket, or back to the caller in `console`.
Result<> deliver_console(Fd& console, const std::string& socket);

}  // namespace berth::container
