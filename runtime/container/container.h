// SPDX-License-Identifier: Apache-2.0
// The life cycle of one OCI container (runtime-spec 1.3): what berth-oci prints and berth-shim drives.
//
// State lives below `root` (`<root>/<id>/`): state.json, the resolved config.json, exec.fifo. Every call takes the root,
// reads what it needs and holds nothing between calls, so a process may be killed at any point and another carry on.
// Not thread-safe within a process: callers are single-threaded (create forks).
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "runtime/base/fd.h"
#include "runtime/base/result.h"
#include "runtime/oci/spec.h"
#include "runtime/sys/process.h"

namespace berth::container {

enum class Status : unsigned char { kCreating, kCreated, kRunning, kPaused, kStopped };
std::string_view status_name(Status status);  // "creating" … as `runc state` prints them

enum class CgroupDriver : unsigned char { kCgroupfs, kSystemd, kDisabled };

// What a process is given as descriptors 0, 1, 2. Borrowed; -1 inherits the caller's.
struct Stdio {
  int in = -1;
  int out = -1;
  int err = -1;
};

struct CreateRequest {
  std::string root;    // absolute directory of states, created 0700 when missing
  std::string id;      // [A-Za-z0-9_+.-]+, not "." or ".."
  std::string bundle;  // absolute; relative spec.root.path starts here
  oci::Spec spec;      // already parsed; validated by create()
  // The root file system as a detached mount (fsmount), attached only inside the container's mount namespace. When
  // invalid, spec.root.path is bound instead.
  Fd rootfs_mount;
  Stdio stdio;
  // spec.process.terminal: a connected socket that receives the pty master (SCM_RIGHTS); when it is invalid the master
  // is returned in Created::console.
  std::string console_socket;
  std::string pid_file;
  std::string pidfd_socket;
  CgroupDriver cgroup_driver = CgroupDriver::kCgroupfs;
  unsigned preserve_fds = 0;
  bool no_pivot = false;
  bool no_new_keyring = false;
};

struct Created {
  pid_t pid = 0;
  Fd pidfd;    // the container's init, a child of the caller
  Fd console;  // pty master, when asked for a terminal without console_socket
};

// Makes the container up to the point where init waits to execve: namespaces, cgroup, mounts, hooks, seccomp prepared.
// On error everything is rolled back. kAlreadyExists when the id is taken.
Result<Created> create(CreateRequest request);

// Lets init execve (§3 trap 2: the fifo). kFailedPrecondition with runc's words when it is not "created".
Result<> start(const std::string& root, const std::string& id);

struct ExecRequest {
  std::string root;
  std::string id;
  oci::Process process;
  Stdio stdio;
  std::string console_socket;
  std::string pid_file;
  std::string pidfd_socket;
  std::string sub_cgroup;  // exec --cgroup, relative to the container's
  unsigned preserve_fds = 0;
  bool ignore_paused = false;
};
// A second process in the container's namespaces, cgroup, capabilities and seccomp; already exec'd when this returns.
Result<Created> exec(ExecRequest request);

struct State {
  std::string id;
  std::string oci_version;
  std::string bundle;
  std::string rootfs;
  std::string created;  // RFC 3339 with nanoseconds
  std::map<std::string, std::string> annotations;
  std::string owner;
  Status status = Status::kStopped;
  pid_t pid = 0;  // 0 when stopped
  uint64_t pid_start_time = 0;
  // Absolute directories of the container's cgroup: {"" → path} on v2, one per controller on v1 ("memory", "pids"…).
  std::map<std::string, std::string> cgroups;
};
Result<State> state(const std::string& root, const std::string& id);
Result<std::vector<State>> list(const std::string& root);

// Signals init; `all`, or SIGKILL without a pid namespace of its own, reaches every process of the cgroup.
Result<> kill(const std::string& root, const std::string& id, int signal, bool all);
// Removes a stopped container (force: kills it first; absent is then success). Also finishes what a killed create left.
Result<> remove(const std::string& root, const std::string& id, bool force);
Result<> pause(const std::string& root, const std::string& id);
Result<> resume(const std::string& root, const std::string& id);
Result<> update(const std::string& root, const std::string& id, const oci::Resources& resources);
Result<std::vector<pid_t>> processes(const std::string& root, const std::string& id);

}  // namespace berth::container
