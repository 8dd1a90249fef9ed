// SPDX-License-Identifier: Apache-2.0
// ShimClient: the agent's (and the daemonless command's) side of runtime/shim/protocol.h, as typed calls.
//
// Every call opens its own connection, so one client may be used from many threads at once and a call that hangs keeps
// no other waiting. Every call has a deadline (kDeadlineExceeded): a stopped or stuck shim costs its caller that long
// and nothing more. A pod without a living shim is kUnavailable.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "runtime/base/fd.h"
#include "runtime/base/result.h"
#include "runtime/oci/spec.h"
#include "runtime/shim/protocol.h"

namespace berth::shims {

using std::chrono::milliseconds;

// What `create` needs; the bundle's config.json has been written before.
struct CreateOptions {
  std::string id;
  std::string bundle;     // absolute
  bool terminal = false;  // must equal the spec's process.terminal
  bool open_stdin = false;
  bool stdin_once = false;
  std::string log_path;  // absolute; "" = no log
  std::string cgroup_driver = "cgroupfs";
  // The root: overlay layers (top first) with upper and work, or else a plain directory.
  std::vector<std::string> lower;
  std::string upper;
  std::string work;
  std::string rootfs_path;
};

struct ContainerState {
  std::string id;
  std::string status;  // "created", "running", "paused", "stopped"
  pid_t pid = 0;
  uint64_t start_time = 0;   // of the pid, clock ticks since boot
  long long started_at = 0;  // unix nanoseconds
  std::optional<shim::ExitRecord> exit;
  std::map<std::string, std::string> cgroups;  // as container::State::cgroups: {"" → directory} on v2
};

// A process started by `exec`, or an attachment. Move-only; closing it detaches and leaves the process alone.
class ShimSession {
 public:
  ShimSession() = default;
  // Ours to write and read; invalid where not asked for. With an exec's terminal only `terminal` is valid.
  Fd stdin_writer;
  Fd stdout_reader;
  Fd stderr_reader;
  Fd terminal;

  pid_t pid() const { return pid_; }  // exec only; as the host sees it
  // Blocks until the process (attach: the container) has ended. `timeout` absent: for ever. `stop` (an eventfd or pipe
  // end, may be -1) becoming readable ends the wait with kCancelled. kUnavailable when the shim has gone.
  Result<shim::ExitRecord> wait(std::optional<milliseconds> timeout = {}, int stop = -1);

 private:
  friend class ShimClient;
  Fd connection_;
  pid_t pid_ = 0;
};

// Which streams, and where they lead. A descriptor ≥ 0 is handed to the process as it is (borrowed); otherwise an open
// stream is a new pipe whose other end stands in the session, and a closed one is /dev/null.
struct StreamOptions {
  bool open_stdin = false;
  bool open_stdout = true;
  bool open_stderr = true;
  int stdin_fd = -1;
  int stdout_fd = -1;
  int stderr_fd = -1;
};

struct ExecCall {
  std::string id;
  std::string exec_id;  // unique within the container while it runs; needed for resize
  oci::Process process;
  bool terminal = false;  // the streams are then ignored
  StreamOptions streams;
  milliseconds timeout{0};  // after it the whole tree is killed and the record says timed_out; 0: none
};

// An event of `watch`.
struct ShimEvent {
  enum class Kind : unsigned char { kExit, kOom };
  Kind kind = Kind::kExit;
  std::string id;
  shim::ExitRecord exit;  // kExit only
};

class ShimClient {
 public:
  // Writes <pod_dir>/pod.json, starts the shim in a session of its own and waits (ten seconds at most) until it has
  // made the pod's namespaces and listens. On error nothing is left running; the message is the shim's own.
  static Result<ShimClient> spawn(const std::string& shim_path, const std::string& pod_dir,
                                  const shim::PodSettings& settings, const std::string& log_level = "info");
  // To a shim that runs already, by <pod_dir>/shim.json. kNotFound when there is no such file, kUnavailable when its
  // process has ended. Nothing is sent.
  static Result<ShimClient> connect(const std::string& pod_dir);

  pid_t pid() const { return pid_; }
  uint64_t start_time() const { return start_time_; }
  // Pid 1 of the pod's shared pid namespace; 0 when it has none.
  pid_t pid_namespace_pid() const { return pid_namespace_pid_; }
  // /proc/<pid>/ns/<name> ("net", "ipc", "uts"; "pid" is the shared one), for the spec's namespace paths.
  std::string namespace_path(const std::string& name) const;
  bool alive() const;

  Result<> hello(milliseconds deadline = milliseconds(3000)) const;
  Result<pid_t> create(const CreateOptions& options, milliseconds deadline = milliseconds(120'000)) const;
  Result<> start(const std::string& id, milliseconds deadline = milliseconds(60'000)) const;
  Result<> kill(const std::string& id, int signal, bool all, milliseconds deadline = milliseconds(15'000)) const;
  Result<> remove(const std::string& id, bool force, milliseconds deadline = milliseconds(60'000)) const;
  Result<std::vector<ContainerState>> list(milliseconds deadline = milliseconds(3000)) const;
  Result<ContainerState> state(const std::string& id, milliseconds deadline = milliseconds(3000)) const;
  // The deadline is for the start of the process, not for its run.
  Result<ShimSession> exec(const ExecCall& call, milliseconds deadline = milliseconds(30'000)) const;
  Result<> resize(const std::string& id, const std::string& exec_id, unsigned width, unsigned height,
                  milliseconds deadline = milliseconds(3000)) const;
  // `lossless`: the container waits for a reader that is slow, as docker's foreground run does, instead of that reader
  // missing output. ShimSession::wait gives the container's exit.
  Result<ShimSession> attach(const std::string& id, const StreamOptions& streams, bool lossless = false,
                             milliseconds deadline = milliseconds(5000)) const;
  // The container's exit; at once when it has ended already. Arguments as in ShimSession::wait.
  Result<shim::ExitRecord> wait(const std::string& id, std::optional<milliseconds> timeout = {}, int stop = -1) const;
  // Calls `on_event` for every event until `stop` becomes readable (success) or the shim goes (kUnavailable).
  // `on_ready` is called once the shim has taken the subscription: from then on nothing is missed.
  Result<> watch(const std::function<void(const ShimEvent&)>& on_event, int stop,
                 const std::function<void()>& on_ready = {}) const;
  Result<> reopen_log(const std::string& id, milliseconds deadline = milliseconds(5000)) const;
  // A connected TCP socket to localhost:port as the pod sees it; kUnavailable when nobody listens.
  Result<Fd> dial(uint16_t port, milliseconds deadline = milliseconds(10'000)) const;
  Result<> update(const std::string& id, const oci::Resources& resources,
                  milliseconds deadline = milliseconds(15'000)) const;
  // Kills and deletes every container, unmounts what the shim mounted and ends it. Returns when its process has gone.
  // Success also when there is no shim any more.
  Result<> stop(milliseconds deadline = milliseconds(60'000)) const;

  // <pod_dir>/containers/<id>/exit.json, which stays when shim and container are gone. kNotFound while there is none.
  static Result<shim::ExitRecord> read_exit(const std::string& pod_dir, const std::string& id);

 private:
  std::string dir_;
  pid_t pid_ = 0;
  uint64_t start_time_ = 0;
  pid_t pid_namespace_pid_ = 0;
};

}  // namespace berth::shims
