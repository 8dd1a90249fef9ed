// SPDX-License-Identifier: Apache-2.0
// The state that is reported: containers by id, the capacity, a revision that grows with each change and a digest; and
// what of it has changed since it was last sent. Not thread-safe: the reporter locks.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "agent/accounting/capacity.h"
#include "agent/pods/engine.h"
#include "agent/scheduler/proto/scheduler/v1/scheduler.pb.h"
#include "agent/scheduler/reporter.h"

namespace berth::scheduler {

class NodeState {
 public:
  NodeState(uint64_t rev, uint64_t digest_at_rev, const accounting::NodeCapacity& capacity);

  uint64_t rev() const { return rev_; }
  uint64_t digest() const { return digest_; }
  size_t size() const { return containers_.size(); }
  ::scheduler::v1::Capacity capacity() const;
  // The same with `allocated` summed over the containers that hold resources, and slots over their pods.
  ::scheduler::v1::Capacity allocated_capacity() const;

  // Each returns whether anything changed. The revision counts changes.
  bool apply(const pods::LifecycleEvent& event);
  bool set_all(const std::vector<ContainerInfo>& containers);
  bool set(const ContainerInfo& container);
  // As set(), but keeps the phase that events have given, and ignores containers that are gone.
  bool describe(const ContainerInfo& container);
  bool set_capacity(const accounting::NodeCapacity& capacity);

  // What is to be sent on top of the revision sent last; nothing when that is current.
  bool dirty() const { return sent_rev_ != rev_; }
  ::scheduler::v1::Delta take_delta();
  // Begin, chunks and end; marks everything as sent. Chunks hold at most about `chunk_bytes`.
  std::vector<::scheduler::v1::AgentFrame> take_snapshot(uint64_t as_of_seq, size_t chunk_bytes = 200u << 10);
  // The scheduler holds this revision already.
  void mark_sent();
  uint64_t sent_rev() const { return sent_rev_; }
  uint64_t sent_digest() const { return sent_digest_; }

 private:
  bool put(::scheduler::v1::ContainerState state);
  bool erase(const std::string& id);
  void changed(const std::string& id);
  ::scheduler::v1::ContainerState from_info(const ContainerInfo& info) const;

  std::map<std::string, ::scheduler::v1::ContainerState> containers_;
  accounting::NodeCapacity capacity_;
  uint64_t capacity_rev_ = 1;
  uint64_t rev_ = 0;
  uint64_t digest_ = 0;
  uint64_t loaded_digest_ = 0;  // of the state at the start's revision, known before its containers are
  bool loaded_ = false;
  std::set<std::string> dirty_;
  bool capacity_dirty_ = false;
  uint64_t sent_rev_ = 0;
  uint64_t sent_digest_ = 0;
};

}  // namespace berth::scheduler
