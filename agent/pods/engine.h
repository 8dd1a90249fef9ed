// SPDX-License-Identifier: Apache-2.0
// Engine: the requests of pods and containers, in the words of CRI. Every front — the CRI server, the daemonless `berth`
// command — builds CRI messages and calls these functions; a front holds translation and presentation only.
//
// An engine serves one namespace of the store ("k8s" for CRI, "default" for people): it neither lists nor touches the
// pods of another. Images and layers are shared. Records live in <root>/state.db (SQLite), written before each side
// effect; shims hold what lives. Several processes may run engines on one store at the same time (daemonless use): reads
// go to the records, exits come from the shims' exit records.
//
// Thread-safe. Functions block until done; requests for one pod are serialised, pods run in parallel, lists and status
// never wait for either. A repeated RunPodSandbox/CreateContainer with the same metadata joins the one in progress, and
// gets the finished object's id when the first caller had gone away.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cri/proto/runtime/v1/api.pb.h"
#include "rootfs/images.h"
#include "runtime/base/fd.h"
#include "runtime/base/result.h"
#include "runtime/shim/protocol.h"

namespace berth::pods {

namespace v1 = ::runtime::v1;

struct EngineConfig {
  std::string root = "/var/lib/berth";
  std::string state = "/run/berth";
  std::string name_space = "k8s";
  std::string shim_path;  // absolute path of berth-shim; empty: beside this program
  std::string cgroup_driver = "auto";
  std::string network = "auto";  // auto | cni | builtin
  std::string cni_conf_dir = "/etc/cni/net.d";
  std::string cni_bin_dir = "/usr/lib/cni:/opt/cni/bin";
};

// What becomes of a pod or container; the source of CRI events and of the scheduler's lifecycle events.
struct LifecycleEvent {
  enum class Kind : unsigned char {
    kSandboxCreated, kSandboxReady, kSandboxStopped, kSandboxRemoved,
    kContainerCreated, kContainerStarted, kContainerOom, kContainerExited, kContainerRemoved,
  };
  Kind kind = Kind::kSandboxCreated;
  std::string pod_id;
  std::string container_id;  // empty for sandbox events
  std::string pod_uid;
  uint32_t attempt = 0;
  long long wall_nanos = 0;
  std::optional<shim::ExitRecord> exit;
};

// A process started by exec, or an attachment. Without a terminal the three descriptors are pipes' ends; with one,
// `terminal` is the pty master and the others are invalid. attach with stdin=false leaves stdin invalid, and so on.
struct Streams {
  Fd stdin_writer;
  Fd stdout_reader;
  Fd stderr_reader;
  Fd terminal;
};

class ExecSession {
 public:
  virtual ~ExecSession() = default;
  virtual Streams& streams() = 0;
  virtual Result<> resize(unsigned width, unsigned height) = 0;
  // Blocks until the process has ended (exec) or the container has (attach).
  virtual Result<shim::ExitRecord> wait() = 0;
  // Makes a wait() that is blocked in another thread, and any later one, return kCancelled soon: the client has gone and
  // its thread must not outlive the connection (C07). The process is left alone.
  virtual void cancel_wait() {}
};

struct ExecOptions {
  std::vector<std::string> command;
  bool terminal = false;
  bool open_stdin = false;
  bool open_stdout = true;
  bool open_stderr = true;
  std::vector<std::string> env;           // added to the container's (berth exec -e)
  std::optional<std::string> working_dir; // berth exec -w
  std::optional<std::string> user;        // berth exec -u
};

struct AttachOptions {
  bool open_stdin = false;
  bool open_stdout = true;
  bool open_stderr = true;
};

class Engine {
 public:
  // Opens the store. `recover` (berthd): reconciles records with shims, cgroups, network results, and finishes or removes
  // what was interrupted; a daemonless front passes false and pays for nothing that it does not use.
  static Result<std::unique_ptr<Engine>> open(EngineConfig config, std::shared_ptr<rootfs::Images> images, bool recover);
  virtual ~Engine() = default;

  virtual Result<std::string> run_pod_sandbox(const v1::RunPodSandboxRequest& request) = 0;  // pod id
  virtual Result<> stop_pod_sandbox(const std::string& pod_id) = 0;
  virtual Result<> remove_pod_sandbox(const std::string& pod_id) = 0;
  virtual Result<v1::PodSandboxStatusResponse> pod_sandbox_status(const std::string& pod_id, bool verbose) = 0;
  virtual Result<v1::ListPodSandboxResponse> list_pod_sandbox(const v1::ListPodSandboxRequest& request) = 0;

  virtual Result<std::string> create_container(const v1::CreateContainerRequest& request) = 0;  // container id
  virtual Result<> start_container(const std::string& id) = 0;
  virtual Result<> stop_container(const std::string& id, std::chrono::seconds grace) = 0;
  virtual Result<> remove_container(const std::string& id) = 0;
  virtual Result<v1::ContainerStatusResponse> container_status(const std::string& id, bool verbose) = 0;
  virtual Result<v1::ListContainersResponse> list_containers(const v1::ListContainersRequest& request) = 0;
  virtual Result<> update_container_resources(const v1::UpdateContainerResourcesRequest& request) = 0;
  virtual Result<> reopen_container_log(const std::string& id) = 0;
  virtual Result<> kill_container(const std::string& id, int signal) = 0;
  // Blocks until the container has ended.
  virtual Result<shim::ExitRecord> wait_container(const std::string& id) = 0;

  virtual Result<v1::ExecSyncResponse> exec_sync(const v1::ExecSyncRequest& request) = 0;
  virtual Result<std::unique_ptr<ExecSession>> exec(const std::string& id, const ExecOptions& options) = 0;
  virtual Result<std::unique_ptr<ExecSession>> attach(const std::string& id, const AttachOptions& options) = 0;
  // A TCP connection to localhost:port inside the pod's network namespace.
  virtual Result<Fd> dial(const std::string& pod_id, uint16_t port) = 0;

  virtual Result<v1::ContainerStats> container_stats(const std::string& id) = 0;
  virtual Result<v1::ListContainerStatsResponse> list_container_stats(const v1::ListContainerStatsRequest& request) = 0;
  virtual Result<v1::PodSandboxStats> pod_sandbox_stats(const std::string& pod_id) = 0;
  virtual Result<v1::ListPodSandboxStatsResponse> list_pod_sandbox_stats(const v1::ListPodSandboxStatsRequest& request) = 0;

  // Names for people: resolves a full id, a unique id prefix, or a container's metadata name to the full container id.
  // kNotFound / kInvalidArgument (ambiguous) with docker's words.
  virtual Result<std::string> resolve_container(const std::string& name_or_id) = 0;

  // "cgroupfs" or "systemd": what `auto` came to.
  virtual std::string cgroup_driver() const = 0;
  // Empty when pods can get a network, else why not (NetworkReady's message).
  virtual std::string network_problem() = 0;

  // Called for every lifecycle event of this engine's namespace, from the thread that caused or saw it, in order per
  // container, before the RPC that caused it returns. Set once, before the engine is used.
  virtual void on_event(std::function<void(const LifecycleEvent&)> observer) = 0;
};

}  // namespace berth::pods
