// SPDX-License-Identifier: Apache-2.0
// The registry's answers to operators.
#include <algorithm>
#include <limits>

#include "agent/scheduler/fit_messages.h"
#include "contrib/scheduler/registry.h"
#include "runtime/base/log.h"
#include "runtime/base/strings.h"

namespace berth::scheduler {
namespace {

constexpr uint32_t kDefaultEvents = 1000;
constexpr uint32_t kMaxEvents = 10'000;

void add_saturating(int64_t& sum, int64_t value) {
  if (__builtin_add_overflow(sum, value, &sum)) sum = std::numeric_limits<int64_t>::max();
}

}  // namespace

wire::NodeSummary Registry::summary(const Node& node, int64_t now) const {
  const auto& hello = node.stored.hello;
  const auto state = lease_state(node.lease, config_.times, now);
  wire::NodeSummary out;
  out.set_node_id(hello.node_id());
  out.set_name(hello.node_name());
  out.set_state(state.state);
  out.set_state_age_ms(std::max<int64_t>(now - state.since, 0) / 1'000'000);
  out.set_registered_age_ms(std::max<int64_t>(realtime_nanos() - node.stored.registered_wall, 0) / 1'000'000);
  out.set_silent_ms(node.heard ? std::max<int64_t>(now - node.lease.last_frame, 0) / 1'000'000 : -1);
  out.set_state_rev(node.stored.rev);
  out.set_acked_through(node.stored.acked);
  Allocated allocated;
  for (const auto& [id, container] : node.containers) allocated.add(container);
  out.set_pods(allocated.pods());
  out.set_containers(allocated.containers());
  *out.mutable_capacity() = hello.capacity();
  allocated.fill(*out.mutable_capacity());
  *out.mutable_labels() = hello.labels();
  out.set_version(hello.version());
  out.set_boot_id(hello.boot_id());
  *out.mutable_health() = node.health;
  return out;
}

wire::ListNodesResponse Registry::list(const wire::ListNodesRequest& request, int64_t now) const {
  const std::lock_guard lock(mutex_);
  wire::FitRequest shape;
  *shape.mutable_shape() = request.fit_shape();
  wire::ListNodesResponse out;
  for (const auto& [id, node] : nodes_) *out.add_nodes() = summary(node, now);
  std::sort(out.mutable_nodes()->begin(), out.mutable_nodes()->end(),
            [](const auto& a, const auto& b) { return std::tie(a.name(), a.node_id()) < std::tie(b.name(), b.node_id()); });
  if (request.fit_shape_size() > 0) {
    for (const auto& node : out.nodes()) *out.add_fits() = answer(node.capacity(), shape);
  }
  return out;
}

Result<const Registry::Node*> Registry::find(const std::string& name) const {
  const Node* found = nullptr;
  bool exact = false;
  unsigned matches = 0;
  for (const auto& [id, node] : nodes_) {
    const bool whole = id == name || node.stored.hello.node_name() == name;
    if (!whole && (exact || name.empty() || !id.starts_with(name))) continue;
    if (whole && !exact) matches = 0;
    exact |= whole;
    found = &node;
    ++matches;
  }
  if (matches == 0) return fail(Code::kNotFound, concat("no such node: ", name));
  if (matches > 1) return fail(Code::kInvalidArgument, concat("node ", quote(name), ": names more than one node"));
  return found;
}

Result<wire::GetNodeResponse> Registry::get(const std::string& name, int64_t now) const {
  const std::lock_guard lock(mutex_);
  TRY_ASSIGN(const Node* node, find(name));
  wire::GetNodeResponse out;
  *out.mutable_node() = summary(*node, now);
  for (const auto& [id, state] : node->containers) *out.add_containers() = state;
  *out.mutable_runtimes() = node->stored.hello.runtimes();
  return out;
}

Result<wire::ClusterFitResponse> Registry::fit(const wire::ClusterFitRequest& request, int64_t now) const {
  wire::ListNodesResponse nodes;
  if (request.node().empty()) {
    nodes = list({}, now);
  } else {
    TRY_ASSIGN(auto one, get(request.node(), now));
    *nodes.add_nodes() = one.node();
  }
  wire::ClusterFitResponse out;
  int64_t total_r = 0;
  int64_t total_h = 0;
  for (const auto& node : nodes.nodes()) {
    auto* fit = out.add_nodes();
    fit->set_node_id(node.node_id());
    fit->set_name(node.name());
    fit->set_state(node.state());
    fit->set_placeable(placeable({node.state(), now - node.state_age_ms() * 1'000'000}, config_.times, now));
    *fit->mutable_fit() = answer(node.capacity(), request.request());
    if (!fit->placeable() || fit->fit().unbounded() || !fit->fit().error().empty()) continue;
    add_saturating(total_r, fit->fit().r());
    add_saturating(total_h, fit->fit().h());
  }
  out.set_total_r(total_r);
  out.set_total_h(total_h);
  return out;
}

Result<wire::ListEventsResponse> Registry::events(const wire::ListEventsRequest& request) const {
  const std::lock_guard lock(mutex_);
  std::string node_id;
  if (!request.node().empty()) {
    TRY_ASSIGN(const Node* node, find(request.node()));
    node_id = node->stored.hello.node_id();
  }
  const uint32_t limit = request.limit() == 0 ? kDefaultEvents : std::min(request.limit(), kMaxEvents);
  TRY_ASSIGN(const auto events, store_->events(node_id, request.from_seq(), limit));
  wire::ListEventsResponse out;
  for (const auto& [node, event] : events) {
    auto* received = out.add_events();
    received->set_node_id(node);
    if (const auto it = nodes_.find(node); it != nodes_.end()) received->set_node_name(it->second.stored.hello.node_name());
    *received->mutable_event() = event;
  }
  return out;
}

}  // namespace berth::scheduler
