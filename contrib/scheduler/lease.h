// SPDX-License-Identifier: Apache-2.0
// A node's state from the receiver's monotonic clock alone. No clock is compared across machines.
#pragma once

#include <algorithm>
#include <cstdint>

#include "agent/scheduler/proto/scheduler/v1/scheduler.pb.h"

namespace berth::scheduler {

// All times in nanoseconds of one monotonic clock.
struct LeaseTimes {
  int64_t heartbeat = 5'000'000'000;
  int64_t ttl = 15'000'000'000;
  int64_t gone_after = 24ll * 3600 * 1'000'000'000;  // of being unreachable
};

struct Lease {
  bool session = false;         // a stream is open
  int64_t session_changed = 0;  // when it opened or ended
  int64_t last_frame = 0;       // any frame renews; the start of the scheduler counts as one
};

struct LeaseState {
  ::scheduler::v1::NodeState state;
  int64_t since;
};

// A silent stream is as unreachable as none: a partition resets no connection.
inline LeaseState lease_state(const Lease& lease, const LeaseTimes& times, int64_t now) {
  const int64_t expiry = lease.last_frame + times.ttl;
  if (now >= expiry + times.gone_after) return {::scheduler::v1::GONE, expiry + times.gone_after};
  if (now >= expiry) return {::scheduler::v1::UNREACHABLE, expiry};
  return {lease.session ? ::scheduler::v1::CONNECTED : ::scheduler::v1::DISCONNECTED, lease.session_changed};
}

// New work goes to connected nodes, and to those that dropped their stream less than a heartbeat ago.
inline bool placeable(const LeaseState& state, const LeaseTimes& times, int64_t now) {
  if (state.state == ::scheduler::v1::CONNECTED) return true;
  return state.state == ::scheduler::v1::DISCONNECTED && now - state.since < times.heartbeat;
}

}  // namespace berth::scheduler
