// SPDX-License-Identifier: Apache-2.0
#include "agent/scheduler/node_state.h"

#include <utility>

#include "agent/scheduler/allocation.h"
#include "agent/scheduler/digest.h"
#include "agent/scheduler/fit_messages.h"

namespace berth::scheduler {
namespace {

wire::ContainerPhase wire_phase(ContainerInfo::Phase phase) {
  switch (phase) {
    case ContainerInfo::Phase::kCreated: return wire::CONTAINER_PHASE_CREATED;
    case ContainerInfo::Phase::kRunning: return wire::CONTAINER_PHASE_RUNNING;
    case ContainerInfo::Phase::kExited: return wire::CONTAINER_PHASE_EXITED;
  }
  return wire::CONTAINER_PHASE_UNSPECIFIED;
}

}  // namespace

NodeState::NodeState(uint64_t rev, uint64_t digest_at_rev, const accounting::NodeCapacity& capacity)
    : capacity_(capacity), rev_(rev), loaded_digest_(digest_at_rev), sent_rev_(rev) {}

wire::Capacity NodeState::capacity() const { return to_wire(capacity_, capacity_rev_); }

wire::Capacity NodeState::allocated_capacity() const {
  Allocated sum;
  for (const auto& [id, state] : containers_) sum.add(state);
  wire::Capacity out = capacity();
  sum.fill(out);
  return out;
}

void NodeState::changed(const std::string& id) {
  ++rev_;
  dirty_.insert(id);
}

bool NodeState::put(wire::ContainerState state) {
  const uint64_t hash = state_hash(state);
  const std::string id = state.id();
  const auto it = containers_.find(id);
  if (it != containers_.end()) {
    const uint64_t old = state_hash(it->second);
    if (old == hash) return false;
    digest_ ^= old;
  }
  digest_ ^= hash;
  containers_[id] = std::move(state);
  changed(id);
  return true;
}

bool NodeState::erase(const std::string& id) {
  const auto it = containers_.find(id);
  if (it == containers_.end()) return false;
  digest_ ^= state_hash(it->second);
  containers_.erase(it);
  changed(id);
  return true;
}

wire::ContainerState NodeState::from_info(const ContainerInfo& info) const {
  wire::ContainerState out;
  out.set_id(info.id);
  out.set_pod_id(info.pod_id);
  out.set_pod_uid(info.pod_uid);
  out.set_pod_name(info.pod_name);
  out.set_pod_namespace(info.pod_namespace);
  out.set_name(info.name);
  out.set_attempt(info.attempt);
  out.set_phase(wire_phase(info.phase));
  if (info.phase == ContainerInfo::Phase::kExited) out.mutable_exit()->set_code(info.exit_code);
  const auto memory = capacity_.find("memory");
  const auto allocation = allocation_of(info.resources, memory == capacity_.end() ? 0 : memory->second.capacity);
  for (const auto& [name, value] : allocation.requests) {
    auto* amount = out.add_requests();
    amount->set_name(name);
    amount->set_value(value);
  }
  out.set_estimated(allocation.estimated);
  return out;
}

bool NodeState::apply(const pods::LifecycleEvent& event) {
  using Kind = pods::LifecycleEvent::Kind;
  if (event.kind == Kind::kSandboxRemoved) {
    std::vector<std::string> gone;
    for (const auto& [id, state] : containers_) {
      if (state.pod_id() == event.pod_id) gone.push_back(id);
    }
    for (const auto& id : gone) erase(id);
    return !gone.empty();
  }
  if (event.container_id.empty()) return false;
  if (event.kind == Kind::kContainerRemoved) return erase(event.container_id);

  wire::ContainerState state;
  if (const auto it = containers_.find(event.container_id); it != containers_.end()) state = it->second;
  state.set_id(event.container_id);
  if (state.pod_id().empty()) state.set_pod_id(event.pod_id);
  if (state.pod_uid().empty()) state.set_pod_uid(event.pod_uid);
  state.set_attempt(event.attempt);
  if (event.kind == Kind::kContainerCreated) state.set_phase(wire::CONTAINER_PHASE_CREATED);
  if (event.kind == Kind::kContainerStarted) state.set_phase(wire::CONTAINER_PHASE_RUNNING);
  if (event.kind == Kind::kContainerExited) {
    state.set_phase(wire::CONTAINER_PHASE_EXITED);
    state.mutable_exit()->set_code(event.exit ? event.exit->code : 255);
    state.mutable_exit()->set_oom(event.exit && event.exit->oom);
  }
  return put(std::move(state));
}

bool NodeState::set_all(const std::vector<ContainerInfo>& containers) {
  const uint64_t before = rev_;
  const auto dirty_before = dirty_;
  std::set<std::string> present;
  for (const auto& info : containers) {
    present.insert(info.id);
    put(from_info(info));
  }
  std::vector<std::string> gone;
  for (const auto& [id, state] : containers_) {
    if (!present.contains(id)) gone.push_back(id);
  }
  for (const auto& id : gone) erase(id);
  // The first set after a start may be the very state of the revision that was stored: then nothing has changed.
  if (!std::exchange(loaded_, true) && digest_ == loaded_digest_ && before == sent_rev_) {
    rev_ = before;
    dirty_ = dirty_before;
    sent_digest_ = digest_;
  }
  return rev_ != before;
}

bool NodeState::set(const ContainerInfo& container) { return put(from_info(container)); }

bool NodeState::describe(const ContainerInfo& container) {
  const auto it = containers_.find(container.id);
  if (it == containers_.end()) return false;
  auto state = from_info(container);
  state.set_phase(it->second.phase());
  state.clear_exit();
  if (it->second.has_exit()) *state.mutable_exit() = it->second.exit();
  return put(std::move(state));
}

bool NodeState::set_capacity(const accounting::NodeCapacity& capacity) {
  if (to_wire(capacity, 0).SerializeAsString() == to_wire(capacity_, 0).SerializeAsString()) return false;
  capacity_ = capacity;
  ++capacity_rev_;
  ++rev_;
  capacity_dirty_ = true;
  return true;
}

wire::Delta NodeState::take_delta() {
  wire::Delta delta;
  delta.set_base_rev(sent_rev_);
  delta.set_rev(rev_);
  for (const auto& id : dirty_) {
    const auto it = containers_.find(id);
    if (it != containers_.end()) {
      *delta.add_upsert() = it->second;
    } else {
      delta.add_gone(id);
    }
  }
  if (capacity_dirty_) *delta.mutable_capacity() = capacity();
  mark_sent();
  return delta;
}

std::vector<wire::AgentFrame> NodeState::take_snapshot(uint64_t as_of_seq, size_t chunk_bytes) {
  std::vector<wire::AgentFrame> frames(1);
  const auto count = static_cast<uint32_t>(containers_.size());
  frames[0].mutable_snap_begin()->set_rev(rev_);
  frames[0].mutable_snap_begin()->set_count(count);
  wire::SnapshotBody body;
  size_t bytes = 0;
  const auto flush = [&] {
    if (body.containers_size() == 0) return;
    frames.emplace_back().mutable_snap_chunk()->set_payload(body.SerializeAsString());
    body.Clear();
    bytes = 0;
  };
  for (const auto& [id, state] : containers_) {
    *body.add_containers() = state;
    bytes += state.ByteSizeLong();
    if (bytes >= chunk_bytes) flush();
  }
  flush();
  auto* end = frames.emplace_back().mutable_snap_end();
  end->set_rev(rev_);
  end->set_count(count);
  end->set_digest(digest_);
  end->set_as_of_seq(as_of_seq);
  if (capacity_dirty_) {
    // A snapshot carries no capacity; an empty delta on top of it does.
    auto* delta = frames.emplace_back().mutable_delta();
    delta->set_base_rev(rev_);
    delta->set_rev(rev_);
    *delta->mutable_capacity() = capacity();
  }
  mark_sent();
  return frames;
}

void NodeState::mark_sent() {
  dirty_.clear();
  capacity_dirty_ = false;
  sent_rev_ = rev_;
  sent_digest_ = digest_;
}

}  // namespace berth::scheduler
