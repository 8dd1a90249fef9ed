// SPDX-License-Identifier: Apache-2.0
// The durable, ordered log of events not yet acknowledged, and the node's identity towards the scheduler.
//
// append() returns when the event survives the death of this process (page cache); sync() when it survives that of the
// machine. Senders sync before they send, so a number that was ever sent is never given to another event.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "agent/scheduler/proto/scheduler/v1/scheduler.pb.h"
#include "agent/scheduler/sqlite.h"
#include "runtime/base/fd.h"
#include "runtime/base/result.h"

namespace berth::scheduler {

struct Identity {
  std::string node_id;  // UUID, made once
  std::string boot_id;
  uint64_t agent_epoch = 0;  // +1 at each open
  bool rebooted = false;     // the machine booted since the last open
};

// Thread-safe.
class EventLog {
 public:
  // Opens or creates `path`. A file that is no database is moved aside (".corrupt") and logged: the node starts anew.
  static Result<std::unique_ptr<EventLog>> open(const std::string& path);

  const Identity& identity() const { return identity_; }

  // Gives the event its seq and stores it, with the state's revision and digest that include it.
  Result<uint64_t> append(::scheduler::v1::Event& event, uint64_t digest);
  // At most `max_count` events and about `max_bytes` after `seq`, ascending.
  Result<std::vector<::scheduler::v1::Event>> read_after(uint64_t seq, size_t max_count, size_t max_bytes);
  // Everything appended so far reaches the disk.
  Result<> sync();
  // Deletes events through `seq`. A scheduler that knows of more than this log holds moves the numbering past that.
  Result<> acknowledge(uint64_t seq);

  uint64_t last_seq() const;       // newest written, 0: none ever
  uint64_t acked_through() const;
  uint64_t first_seq() const { return acked_through() + 1; }

  // Moves written pages from the write-ahead log into the file, on a connection of its own: appends go on meanwhile.
  Result<> checkpoint();

  // Small values kept beside the log: "scheduler_epoch", "state_rev", "state_digest".
  uint64_t value(const std::string& key);
  Result<> set_value(const std::string& key, uint64_t value);

 private:
  explicit EventLog(Database db) : db_(std::move(db)) {}
  Result<> load();
  Result<> load_identity();
  Result<std::string> get(const std::string& key);
  Result<> put(const std::string& key, const std::string& value);

  mutable std::mutex mutex_;
  Database db_;
  Fd wal_;
  Identity identity_;
  uint64_t last_ = 0;
  uint64_t acked_ = 0;
};

}  // namespace berth::scheduler
