// SPDX-License-Identifier: Apache-2.0
// Between the protocol's messages and the arithmetic of agent/accounting. Inline: both ends of the protocol use it.
#pragma once

#include <cstdint>
#include <set>
#include <string>

#include "agent/accounting/capacity.h"
#include "agent/accounting/fit.h"
#include "agent/scheduler/proto/scheduler/v1/scheduler.pb.h"

namespace berth::scheduler {

namespace wire = ::scheduler::v1;

inline wire::Kind kind_of(const std::string& name) {
  if (name == "cpu") return wire::KIND_COMPRESSIBLE;
  if (name == "slots") return wire::KIND_SLOT;
  return name.find('/') == std::string::npos ? wire::KIND_INCOMPRESSIBLE : wire::KIND_DEVICE;
}

inline wire::Capacity to_wire(const accounting::NodeCapacity& capacity, uint64_t rev) {
  wire::Capacity out;
  out.set_rev(rev);
  for (const auto& [name, amount] : capacity) {
    auto* resource = out.add_resources();
    resource->set_name(name);
    resource->set_capacity(amount.capacity);
    resource->set_allocatable(amount.allocatable());
    resource->set_kind(kind_of(name));
  }
  return out;
}

// C, allocated, reserved and overcommit as the node reported them; c from the request.
inline accounting::FitInput fit_input(const wire::Capacity& capacity, const wire::FitRequest& request) {
  accounting::FitInput input;
  for (const auto& resource : capacity.resources()) {
    input.capacity[resource.name()] = request.raw_capacity() ? resource.capacity() : resource.allocatable();
    if (resource.allocated() != 0) input.allocated[resource.name()] = resource.allocated();
    if (resource.reserved() != 0) input.reserved[resource.name()] = resource.reserved();
    if (resource.over_num() != 0) input.overcommit[resource.name()] = {resource.over_num(), resource.over_den()};
  }
  for (const auto& amount : request.shape()) input.shape[amount.name()] = amount.value();
  return input;
}

inline const char* state_name(const accounting::Dimension& d) {
  if (d.state == accounting::Dimension::State::kMissing) return "MISSING";
  return d.state == accounting::Dimension::State::kExhausted ? "EXHAUSTED" : "OK";
}

inline wire::FitResponse to_wire(const accounting::FitResult& result, uint64_t capacity_rev) {
  wire::FitResponse out;
  out.set_capacity_rev(capacity_rev);
  if (result.error != accounting::FitError::kNone) {
    out.set_error(accounting::fit_error_name(result.error));
    for (const auto& name : result.error_dims) out.add_error_dims(name);
    return out;
  }
  out.set_unbounded(result.unbounded);
  out.set_r(result.r);
  out.set_r_real(result.r_real.text());
  out.set_binding(result.binding);
  for (const auto& name : result.co_binding) out.add_co_binding(name);
  out.set_h(result.h);
  out.set_h_binding(result.h_binding);
  for (const auto& d : result.dims) {
    auto* dim = out.add_dims();
    dim->set_name(d.name);
    dim->set_unbounded(d.unbounded);
    if (d.unbounded) continue;
    dim->set_n(d.n);
    dim->set_ratio(d.ratio.text());
    dim->set_h(d.h);
    dim->set_deficit(d.deficit);
    dim->set_state(state_name(d));
  }
  return out;
}

inline wire::FitResponse answer(const wire::Capacity& capacity, const wire::FitRequest& request) {
  return to_wire(accounting::fit(fit_input(capacity, request)), capacity.rev());
}

// Sums what containers hold of their node: requests, and one slot per pod. One that has exited holds nothing.
class Allocated {
 public:
  void add(const wire::ContainerState& state) {
    if (state.phase() == wire::CONTAINER_PHASE_EXITED) return;
    ++containers_;
    pods_.insert(state.pod_id());
    for (const auto& amount : state.requests()) {
      auto& sum = sums_[amount.name()];
      if (amount.value() > 0 && __builtin_add_overflow(sum, amount.value(), &sum)) sum = INT64_MAX;
    }
  }
  void fill(wire::Capacity& capacity) const {
    for (auto& resource : *capacity.mutable_resources()) {
      const auto it = sums_.find(resource.name());
      resource.set_allocated(resource.name() == "slots" ? pods() : it == sums_.end() ? 0 : it->second);
    }
  }
  uint32_t containers() const { return containers_; }
  uint32_t pods() const { return static_cast<uint32_t>(pods_.size()); }

 private:
  accounting::Amounts sums_;
  std::set<std::string> pods_;
  uint32_t containers_ = 0;
};

}  // namespace berth::scheduler
