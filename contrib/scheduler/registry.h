// SPDX-License-Identifier: Apache-2.0
// Registry: the scheduler's side of the protocol, without a network. Frames go in, answers come out; time is a parameter.
//
// Events are deduplicated by (node, seq), stored and synced before the Ack that names them is returned. State is applied
// by revision; a wrong base, or a digest that differs from a heartbeat's, leads to Resync. Thread-safe.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "agent/scheduler/proto/scheduler/v1/scheduler.pb.h"
#include "contrib/scheduler/lease.h"
#include "contrib/scheduler/store.h"
#include "runtime/base/result.h"

namespace berth::scheduler {

struct RegistryConfig {
  LeaseTimes times;
  uint32_t max_inflight_events = 1024;
};

class Registry {
 public:
  // Nodes of the store are DISCONNECTED at `now`, with a whole lease to come back.
  static Result<std::unique_ptr<Registry>> open(const std::string& path, RegistryConfig config, int64_t now);

  struct Admission {
    ::scheduler::v1::Welcome welcome;
    uint64_t session = 0;  // names the session in later calls; it replaces an older one of the node
  };
  // kInvalidArgument: not a usable Hello. kFailedPrecondition: protocol version, or an older agent_epoch than a live session's.
  Result<Admission> hello(const ::scheduler::v1::Hello& hello, int64_t now);
  // The answers, in order. kFailedPrecondition: the session was replaced; kAborted: a hole in the sequence; kInternal:
  // the store. On an error the stream ends and the node resends.
  Result<std::vector<::scheduler::v1::SchedulerFrame>> frame(uint64_t session, const ::scheduler::v1::AgentFrame& frame, int64_t now);
  void closed(uint64_t session, int64_t now);
  // Sessions whose lease has run out, or that were replaced: their streams are to be ended.
  bool expired(uint64_t session, int64_t now) const;

  ::scheduler::v1::ListNodesResponse list(const ::scheduler::v1::ListNodesRequest& request, int64_t now) const;
  Result<::scheduler::v1::GetNodeResponse> get(const std::string& node, int64_t now) const;
  Result<::scheduler::v1::ClusterFitResponse> fit(const ::scheduler::v1::ClusterFitRequest& request, int64_t now) const;
  Result<::scheduler::v1::ListEventsResponse> events(const ::scheduler::v1::ListEventsRequest& request) const;

 private:
  struct Node {
    StoredNode stored;  // its containers only while storing a snapshot
    std::map<std::string, ::scheduler::v1::ContainerState> containers;
    uint64_t digest = 0;
    Lease lease;
    bool heard = false;  // a frame since the scheduler started
    uint64_t session = 0;
    bool awaiting_snapshot = false;
    std::optional<::scheduler::v1::SnapshotBody> incoming;
    ::scheduler::v1::NodeHealth health;
  };
  using Frames = std::vector<::scheduler::v1::SchedulerFrame>;

  Registry(RegistryConfig config, std::unique_ptr<Store> store) : config_(config), store_(std::move(store)) {}
  Node* by_session(uint64_t session);
  Result<> on_events(Node& node, const ::scheduler::v1::EventBatch& batch, Frames& out);
  Result<> on_delta(Node& node, const ::scheduler::v1::Delta& delta, Frames& out);
  Result<> on_snapshot_end(Node& node, const ::scheduler::v1::SnapshotEnd& end, Frames& out);
  void on_heartbeat(Node& node, const ::scheduler::v1::Heartbeat& beat, Frames& out);
  static void resync(Node& node, const char* cause, Frames& out);
  ::scheduler::v1::NodeSummary summary(const Node& node, int64_t now) const;
  Result<const Node*> find(const std::string& name) const;

  const RegistryConfig config_;
  mutable std::mutex mutex_;
  std::unique_ptr<Store> store_;
  std::map<std::string, Node> nodes_;
  std::unordered_map<uint64_t, Node*> by_session_;  // live sessions only
  uint64_t sessions_ = 0;
};

}  // namespace berth::scheduler
