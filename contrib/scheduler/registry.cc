// SPDX-License-Identifier: Apache-2.0
#include "contrib/scheduler/registry.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "agent/scheduler/digest.h"
#include "agent/scheduler/fit_messages.h"
#include "runtime/base/log.h"
#include "runtime/base/strings.h"

namespace berth::scheduler {
namespace {

constexpr uint32_t kProtocol = 1;
constexpr size_t kMaxContainers = 20'000;  // of one node's state
constexpr size_t kMaxName = 253;

uint32_t millis(int64_t nanos) { return static_cast<uint32_t>(std::clamp<int64_t>(nanos / 1'000'000, 1, std::numeric_limits<uint32_t>::max())); }

Result<> check(const wire::Hello& hello) {
  const std::string& id = hello.node_id();
  const bool uuid = id.size() == 36 && std::all_of(id.begin(), id.end(), [](char c) {
                      return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || c == '-';
                    });
  if (!uuid) return fail(Code::kInvalidArgument, concat("node id ", quote(id.substr(0, 64)), ": not a UUID"));
  if (hello.node_name().empty() || hello.node_name().size() > kMaxName) return fail(Code::kInvalidArgument, "node name: empty or longer than 253 bytes");
  if (hello.proto_min() > kProtocol || hello.proto_max() < kProtocol) {
    return fail(Code::kFailedPrecondition, concat("protocol ", hello.proto_min(), " to ", hello.proto_max(), ": this scheduler speaks ", kProtocol));
  }
  if (hello.next_seq() == 0 || hello.first_seq() == 0 || hello.first_seq() > hello.next_seq()) {
    return fail(Code::kInvalidArgument, concat("event range ", hello.first_seq(), " to ", hello.next_seq(), ": impossible"));
  }
  return {};
}

}  // namespace

Result<std::unique_ptr<Registry>> Registry::open(const std::string& path, RegistryConfig config, int64_t now) {
  TRY_ASSIGN(auto store, Store::open(path));
  TRY_ASSIGN(auto stored, store->load());
  std::unique_ptr<Registry> out(new Registry(config, std::move(store)));
  for (auto& record : stored) {
    auto& node = out->nodes_[record.hello.node_id()];
    for (auto& state : record.containers) {
      node.digest ^= state_hash(state);
      const std::string id = state.id();
      node.containers[id] = std::move(state);
    }
    record.containers.clear();
    node.stored = std::move(record);
    node.lease = {false, now, now};
  }
  return out;
}

Result<Registry::Admission> Registry::hello(const wire::Hello& hello, int64_t now) {
  TRY(check(hello));
  const std::lock_guard lock(mutex_);
  auto& node = nodes_[hello.node_id()];
  const bool known = !node.stored.hello.node_id().empty();
  if (known && node.session != 0 && hello.agent_epoch() < node.stored.hello.agent_epoch()) {
    return fail(Code::kFailedPrecondition, concat("agent epoch ", hello.agent_epoch(), ": a newer agent of this node is connected"));
  }
  StoredNode next = node.stored;
  next.hello = hello;
  if (!known) {
    next.registered_wall = realtime_nanos();
    next.rev = 0;
  }
  if (hello.first_seq() > next.acked + 1) {
    if (next.acked > 0) log_warn("node no longer holds events", {{"node", hello.node_name()}, {"from", next.acked + 1}, {"to", hello.first_seq() - 1}});
    next.acked = hello.first_seq() - 1;
  }
  const bool current = known && node.stored.rev == hello.state_rev() && node.digest == hello.state_digest();
  if (current) next.rev = hello.state_rev();
  if (auto stored = store_->put_node(next); !stored) {
    if (!known) nodes_.erase(hello.node_id());
    return std::unexpected(std::move(stored).error());
  }
  node.stored = std::move(next);
  node.lease = {true, now, now};
  node.heard = true;
  by_session_.erase(node.session);
  node.session = ++sessions_;
  by_session_[node.session] = &node;
  node.awaiting_snapshot = !current;
  node.incoming.reset();

  Admission out;
  out.session = node.session;
  out.welcome.set_session_id(concat(store_->epoch(), "-", node.session));
  out.welcome.set_scheduler_epoch(store_->epoch());
  out.welcome.set_acked_through(node.stored.acked);
  out.welcome.set_need_snapshot(!current);
  out.welcome.set_hb_interval_ms(millis(config_.times.heartbeat));
  out.welcome.set_lease_ttl_ms(millis(config_.times.ttl));
  out.welcome.set_max_inflight_events(config_.max_inflight_events);
  return out;
}

Registry::Node* Registry::by_session(uint64_t session) {
  const auto it = by_session_.find(session);
  return it == by_session_.end() ? nullptr : it->second;
}

Result<Registry::Frames> Registry::frame(uint64_t session, const wire::AgentFrame& frame, int64_t now) {
  const std::lock_guard lock(mutex_);
  Node* node = by_session(session);
  if (node == nullptr) return fail(Code::kFailedPrecondition, "session was replaced by a newer one");
  node->lease.last_frame = now;
  Frames out;
  switch (frame.f_case()) {
    case wire::AgentFrame::kHb: on_heartbeat(*node, frame.hb(), out); break;
    case wire::AgentFrame::kEvents: TRY(on_events(*node, frame.events(), out)); break;
    case wire::AgentFrame::kDelta: TRY(on_delta(*node, frame.delta(), out)); break;
    case wire::AgentFrame::kSnapBegin: node->incoming.emplace(); break;
    case wire::AgentFrame::kSnapChunk: {
      if (!node->incoming) return fail(Code::kInvalidArgument, "snapshot chunk outside a snapshot");
      if (frame.snap_chunk().encoding() != wire::CHUNK_ENCODING_IDENTITY || !node->incoming->MergeFromString(frame.snap_chunk().payload())) {
        return fail(Code::kInvalidArgument, "snapshot chunk: unreadable");
      }
      if (static_cast<size_t>(node->incoming->containers_size()) > kMaxContainers) return fail(Code::kResourceExhausted, "snapshot: too many containers");
      break;
    }
    case wire::AgentFrame::kSnapEnd: TRY(on_snapshot_end(*node, frame.snap_end(), out)); break;
    case wire::AgentFrame::kHello: return fail(Code::kInvalidArgument, "second hello in a session");
    default: break;  // usage, replies, goodbye and frames of later versions only renew the lease
  }
  return out;
}

void Registry::resync(Node& node, const char* cause, Frames& out) {
  if (std::exchange(node.awaiting_snapshot, true)) return;  // asked already
  out.emplace_back().mutable_resync()->set_cause(cause);
}

void Registry::on_heartbeat(Node& node, const wire::Heartbeat& beat, Frames& out) {
  if (beat.has_health()) node.health = beat.health();
  out.emplace_back().mutable_hb()->set_n(beat.n());
  if (beat.state_rev() != node.stored.rev) {
    resync(node, "revision", out);
  } else if (beat.digest() != node.digest) {
    resync(node, "digest", out);
  }
}

Result<> Registry::on_events(Node& node, const wire::EventBatch& batch, Frames& out) {
  std::vector<const wire::Event*> fresh;
  uint64_t through = node.stored.acked;
  bool lost = false;
  for (const auto& event : batch.events()) {
    if (event.seq() <= through) continue;  // delivered twice
    if (event.seq() != through + 1) {
      return fail(Code::kAborted, concat("event ", event.seq(), " after ", through, ": a hole in the sequence"));
    }
    through = event.seq();
    lost |= event.type() == wire::EVENTS_LOST;
    fresh.push_back(&event);
  }
  if (!fresh.empty()) {
    const uint64_t before = std::exchange(node.stored.acked, through);
    auto stored = store_->put_events(node.stored, fresh);
    if (stored) stored = store_->sync();
    if (!stored) {
      node.stored.acked = before;
      return stored;
    }
  }
  out.emplace_back().mutable_ack()->set_through(node.stored.acked);
  if (lost) resync(node, "events lost", out);
  return {};
}

Result<> Registry::on_delta(Node& node, const wire::Delta& delta, Frames& out) {
  if (node.awaiting_snapshot) return {};
  if (delta.base_rev() != node.stored.rev || delta.rev() < delta.base_rev()) {
    resync(node, "revision", out);
    return {};
  }
  if (node.containers.size() + static_cast<size_t>(delta.upsert_size()) > kMaxContainers) return fail(Code::kResourceExhausted, "delta: too many containers");
  const auto drop = [&node](const std::string& id) {
    const auto it = node.containers.find(id);
    if (it == node.containers.end()) return;
    node.digest ^= state_hash(it->second);
    node.containers.erase(it);
  };
  for (const auto& state : delta.upsert()) {
    drop(state.id());
    node.digest ^= state_hash(state);
    node.containers[state.id()] = state;
  }
  for (const auto& id : delta.gone()) drop(id);
  if (delta.has_capacity()) *node.stored.hello.mutable_capacity() = delta.capacity();
  node.stored.rev = delta.rev();
  return store_->put_state(node.stored, delta);
}

Result<> Registry::on_snapshot_end(Node& node, const wire::SnapshotEnd& end, Frames& out) {
  if (!node.incoming) return fail(Code::kInvalidArgument, "snapshot end outside a snapshot");
  const auto body = *std::exchange(node.incoming, std::nullopt);
  std::map<std::string, wire::ContainerState> containers;
  uint64_t digest = 0;
  for (const auto& state : body.containers()) {
    if (containers.emplace(state.id(), state).second) digest ^= state_hash(state);
  }
  node.awaiting_snapshot = false;
  if (containers.size() != end.count() || digest != end.digest()) {
    log_warn("snapshot does not match its digest", {{"node", node.stored.hello.node_name()}});
    resync(node, "digest", out);
    return {};
  }
  node.containers = std::move(containers);
  node.digest = digest;
  node.stored.rev = end.rev();
  node.stored.containers.assign(body.containers().begin(), body.containers().end());
  auto stored = store_->replace_state(node.stored);
  node.stored.containers.clear();
  return stored;
}

void Registry::closed(uint64_t session, int64_t now) {
  const std::lock_guard lock(mutex_);
  Node* node = by_session(session);
  if (node == nullptr) return;
  by_session_.erase(session);
  node->session = 0;
  node->incoming.reset();
  node->lease.session = false;
  node->lease.session_changed = now;
}

bool Registry::expired(uint64_t session, int64_t now) const {
  const std::lock_guard lock(mutex_);
  const auto it = by_session_.find(session);
  return it == by_session_.end() || now >= it->second->lease.last_frame + config_.times.ttl;
}

}  // namespace berth::scheduler
