// SPDX-License-Identifier: Apache-2.0
// The digest of a node's state: the XOR over its containers of a 64-bit hash of (id, canonical state). Order-free, and
// kept up in constant time per change; both ends compute it, so that drift shows within one heartbeat.
#pragma once

#include <cstdint>
#include <string>

#include "agent/scheduler/proto/scheduler/v1/scheduler.pb.h"

namespace berth::scheduler {

// FNV-1a of the serialised state with a final mix; ContainerState has no maps, so its serialisation is canonical.
inline uint64_t state_hash(const ::scheduler::v1::ContainerState& state) {
  uint64_t hash = 0xcbf29ce484222325u;
  for (const char c : state.SerializeAsString()) {
    hash ^= static_cast<unsigned char>(c);
    hash *= 0x100000001b3u;
  }
  hash ^= hash >> 30;
  hash *= 0xbf58476d1ce4e5b9u;
  hash ^= hash >> 27;
  hash *= 0x94d049bb133111ebu;
  return hash ^ (hash >> 31);
}

}  // namespace berth::scheduler
