// SPDX-License-Identifier: Apache-2.0
#include "agent/scheduler/event_log.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include <algorithm>

#include "runtime/base/log.h"
#include "runtime/sys/file.h"

namespace berth::scheduler {
namespace {

constexpr const char* kSchema =
    "CREATE TABLE IF NOT EXISTS events(seq INTEGER PRIMARY KEY, payload BLOB NOT NULL);"
    "CREATE TABLE IF NOT EXISTS meta(key TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;";

// RFC 4122 version 4.
std::string new_uuid() {
  std::string h = random_hex(16);
  h[12] = '4';
  h[16] = "89ab"[static_cast<unsigned char>(h[16]) % 4];
  return concat(h.substr(0, 8), "-", h.substr(8, 4), "-", h.substr(12, 4), "-", h.substr(16, 4), "-", h.substr(20));
}

Result<Database> open_database(const std::string& path) {
  TRY_ASSIGN(Database db, Database::open(path));
  // Checkpoints are the worker's, never an append's.
  TRY(db.execute("PRAGMA wal_autocheckpoint=0"), concat("open ", quote(path)));
  TRY(db.execute(kSchema), concat("open ", quote(path)));
  return db;
}

}  // namespace

Result<std::unique_ptr<EventLog>> EventLog::open(const std::string& path) {
  auto db = open_database(path);
  if (!db && db.error().code() == Code::kDataLoss) {
    log_error("report log is damaged and was moved aside; the node registers anew", {{"path", path}, {"cause", db.error().message()}});
    for (const char* suffix : {"", "-wal", "-shm"}) {
      (void)::rename((path + suffix).c_str(), concat(path, ".corrupt", suffix).c_str());
    }
    db = open_database(path);
  }
  if (!db) return std::unexpected(std::move(db).error());
  std::unique_ptr<EventLog> log(new EventLog(std::move(*db)));
  TRY(log->load(), concat("open ", quote(path)));
  return log;
}

Result<> EventLog::load() {
  TRY(load_identity());
  acked_ = value("acked_through");
  last_ = acked_;
  TRY_ASSIGN(auto newest, db_.prepare("SELECT max(seq) FROM events"));
  TRY_ASSIGN(const bool row, newest.step());
  if (row) last_ = std::max(last_, newest.number(0));
  TRY_ASSIGN(wal_, sys::open_path(db_.path() + "-wal", O_RDONLY));
  return sync();  // the epoch must never be seen twice
}

Result<> EventLog::load_identity() {
  TRY_ASSIGN(identity_.node_id, get("node_id"));
  TRY_ASSIGN(const std::string boot_id, get("boot_id"));
  TRY_ASSIGN(const std::string boot, sys::read_file("/proc/sys/kernel/random/boot_id"));
  identity_.boot_id = std::string(trim(boot));
  identity_.rebooted = !boot_id.empty() && boot_id != identity_.boot_id;
  identity_.agent_epoch = value("agent_epoch") + 1;
  if (identity_.node_id.empty()) identity_.node_id = new_uuid();
  TRY_ASSIGN(auto transaction, Transaction::begin(db_));
  TRY(put("node_id", identity_.node_id));
  TRY(put("boot_id", identity_.boot_id));
  TRY(put("agent_epoch", std::to_string(identity_.agent_epoch)));
  return transaction.commit();
}

Result<std::string> EventLog::get(const std::string& key) {
  TRY_ASSIGN(auto query, db_.prepare("SELECT value FROM meta WHERE key = CAST(? AS TEXT)"));
  TRY_ASSIGN(const bool row, query.bind(key).step());
  return row ? query.text(0) : std::string();
}

Result<> EventLog::put(const std::string& key, const std::string& value) {
  TRY_ASSIGN(auto upsert, db_.prepare("INSERT OR REPLACE INTO meta(key, value) VALUES(CAST(? AS TEXT), ?)"));
  return upsert.bind(key).bind(value).run();
}

uint64_t EventLog::value(const std::string& key) {
  const std::lock_guard lock(mutex_);
  const auto text = get(key);
  return text ? parse_uint64(*text).value_or(0) : 0;
}

Result<> EventLog::set_value(const std::string& key, uint64_t value) {
  const std::lock_guard lock(mutex_);
  return put(key, std::to_string(value));
}

Result<uint64_t> EventLog::append(::scheduler::v1::Event& event, uint64_t digest) {
  const std::lock_guard lock(mutex_);
  event.set_seq(last_ + 1);
  const std::string payload = event.SerializeAsString();
  TRY_ASSIGN(auto transaction, Transaction::begin(db_), "record event");
  TRY_ASSIGN(auto insert, db_.prepare("INSERT INTO events(seq, payload) VALUES(?, ?)"), "record event");
  TRY(insert.bind(event.seq()).bind(payload).run(), "record event");
  TRY(put("state_rev", std::to_string(event.state_rev())), "record event");
  TRY(put("state_digest", std::to_string(digest)), "record event");
  TRY(transaction.commit(), "record event");
  return ++last_;
}

Result<std::vector<::scheduler::v1::Event>> EventLog::read_after(uint64_t seq, size_t max_count, size_t max_bytes) {
  const std::lock_guard lock(mutex_);
  std::vector<::scheduler::v1::Event> out;
  TRY_ASSIGN(auto query, db_.prepare("SELECT payload FROM events WHERE seq > ? ORDER BY seq LIMIT ?"));
  query.bind(seq).bind(static_cast<int64_t>(max_count));
  size_t bytes = 0;
  while (bytes < max_bytes) {
    TRY_ASSIGN(const bool row, query.step());
    if (!row) break;
    const std::string payload = query.text(0);
    bytes += payload.size();
    if (!out.emplace_back().ParseFromString(payload)) return fail(Code::kDataLoss, concat("event after ", seq, ": unreadable"));
  }
  return out;
}

Result<> EventLog::sync() {
  // Without the lock: appends go on meanwhile, and the caller only relies on what was written before.
  if (::fdatasync(wal_.get()) != 0) return fail_errno(concat("sync ", quote(db_.path())));
  return {};
}

Result<> EventLog::acknowledge(uint64_t seq) {
  const std::lock_guard lock(mutex_);
  if (seq <= acked_) return {};
  TRY_ASSIGN(auto transaction, Transaction::begin(db_), "delete acknowledged events");
  TRY_ASSIGN(auto erase, db_.prepare("DELETE FROM events WHERE seq <= ?"), "delete acknowledged events");
  TRY(erase.bind(seq).run(), "delete acknowledged events");
  TRY(put("acked_through", std::to_string(seq)), "delete acknowledged events");
  TRY(transaction.commit(), "delete acknowledged events");
  acked_ = seq;
  last_ = std::max(last_, seq);
  return {};
}

Result<> EventLog::checkpoint() {
  TRY_ASSIGN(Database other, Database::open(db_.path()));
  return other.execute("PRAGMA wal_checkpoint(PASSIVE)");
}

uint64_t EventLog::last_seq() const {
  const std::lock_guard lock(mutex_);
  return last_;
}

uint64_t EventLog::acked_through() const {
  const std::lock_guard lock(mutex_);
  return acked_;
}

}  // namespace berth::scheduler
