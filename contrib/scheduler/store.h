// SPDX-License-Identifier: Apache-2.0
// What the scheduler keeps: nodes with their state, containers, and the events received. One SQLite file.
// Commits reach the page cache; sync() the disk, before events are acknowledged. Not thread-safe: the registry locks.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "agent/scheduler/proto/scheduler/v1/scheduler.pb.h"
#include "agent/scheduler/sqlite.h"

namespace berth::scheduler {

struct StoredNode {
  ::scheduler::v1::Hello hello;  // the latest; its capacity is kept current
  uint64_t acked = 0;
  uint64_t rev = 0;
  int64_t registered_wall = 0;  // unix nanoseconds of the first Hello
  std::vector<::scheduler::v1::ContainerState> containers;
};

class Store {
 public:
  // The scheduler's epoch grows by one with each open and is synced.
  static Result<std::unique_ptr<Store>> open(const std::string& path);

  uint64_t epoch() const { return epoch_; }
  Result<std::vector<StoredNode>> load();

  // Without its containers.
  Result<> put_node(const StoredNode& node);
  Result<> put_state(const StoredNode& node, const ::scheduler::v1::Delta& delta);
  Result<> replace_state(const StoredNode& node);
  // Stores events of (node, seq); one that is there already stays as it is. The node's acked moves with them.
  Result<> put_events(const StoredNode& node, const std::vector<const ::scheduler::v1::Event*>& events);
  Result<> sync();

  // Ascending by seq from `from` when a node is given; else the newest `limit` by arrival, oldest first.
  Result<std::vector<std::pair<std::string, ::scheduler::v1::Event>>> events(const std::string& node_id, uint64_t from, uint32_t limit);

 private:
  explicit Store(Database db) : db_(std::move(db)) {}
  Result<> put_container(const std::string& node_id, const ::scheduler::v1::ContainerState& state);

  Database db_;
  Fd wal_;
  uint64_t epoch_ = 0;
};

}  // namespace berth::scheduler
