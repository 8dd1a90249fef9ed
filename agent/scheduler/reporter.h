// SPDX-License-Identifier: Apache-2.0
// Reporter: tells an upstream scheduler what this node holds and what lives on it.
//
// Lifecycle events get a sequence number and a row in <root>/reports.db before lifecycle() returns; they are synced before
// they are sent and deleted when the scheduler has acknowledged them, so a killed agent or scheduler loses none and
// repeats none. Containers' states travel as snapshot and deltas under a revision and a digest.
// Workloads do not depend on the scheduler: without one, events wait in the log and everything else goes on.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "agent/accounting/capacity.h"
#include "agent/pods/engine.h"
#include "runtime/base/result.h"

namespace berth::scheduler {

// What the scheduler is told of one container.
struct ContainerInfo {
  enum class Phase : unsigned char { kCreated, kRunning, kExited };
  std::string id;
  std::string pod_id;
  std::string pod_uid;
  std::string pod_name;
  std::string pod_namespace;
  std::string name;
  uint32_t attempt = 0;
  Phase phase = Phase::kCreated;
  runtime::v1::LinuxContainerResources resources;  // as CRI gave them; requests are derived (allocation.h)
  int32_t exit_code = 0;                           // kExited
};

// All containers of the engine, and one of them: what set_containers() and Config::lookup want.
std::vector<ContainerInfo> containers_of(pods::Engine& engine);
std::optional<ContainerInfo> container_of(pods::Engine& engine, const std::string& id);

// Thread-safe. Only open() and stop() may block for long (disk; end of threads).
class Reporter {
 public:
  struct Config {
    std::string address;  // "unix:///path" or "host:port"
    std::string root = "/var/lib/berth";  // reports.db is created here
    std::string node_name;                // empty: the host's name
    std::string version;
    std::map<std::string, std::string> labels;
    accounting::NodeCapacity capacity;
    // Called on the reporter's thread when a container was created, to learn its pod and resources; may be empty.
    std::function<std::optional<ContainerInfo>(const std::string& container_id)> lookup;
    // Containers that were placed elsewhere and must stop here; called on the reporter's thread. May be empty.
    std::function<void(const std::vector<std::string>& container_ids)> on_fence;
    unsigned backoff_base_ms = 100;  // reconnect: rand(0, min(cap, base * 2^n))
    unsigned backoff_cap_ms = 15000;
  };

  struct Status {
    bool connected = false;  // a session is open and welcomed
    bool isolated = false;   // no heartbeat answered for a lease's length
    std::string node_id;
    uint64_t agent_epoch = 0;
    uint64_t scheduler_epoch = 0;
    uint64_t last_seq = 0;       // newest event written
    uint64_t acked_through = 0;  // newest event acknowledged
    uint64_t state_rev = 0;
    uint64_t sessions = 0;    // welcomed so far
    uint64_t snapshots = 0;   // sent so far
    uint64_t heartbeats = 0;  // answered so far
    uint64_t events_lost = 0;
  };

  // Opens the log; no thread and no connection yet. Errors: kInvalidArgument (address), those of the disk.
  static Result<std::unique_ptr<Reporter>> open(Config config);
  virtual ~Reporter() = default;

  // Begins to connect. Call set_containers() before, so that the first Hello already carries the node's state.
  virtual void start() = 0;
  // Records the event. Never waits for the network.
  virtual void lifecycle(const pods::LifecycleEvent& event) = 0;
  // Replaces the whole set (start, recovery), or adds/changes one container (creation, resize).
  virtual void set_containers(const std::vector<ContainerInfo>& containers) = 0;
  virtual void set_container(const ContainerInfo& container) = 0;
  virtual void set_capacity(const accounting::NodeCapacity& capacity) = 0;
  // Whether the node can run pods, and why not.
  virtual void set_ready(bool ready, const std::string& message) = 0;
  virtual Status status() const = 0;
  // Says goodbye, ends the threads. Idempotent; the destructor calls it.
  virtual void stop() = 0;
};

}  // namespace berth::scheduler
