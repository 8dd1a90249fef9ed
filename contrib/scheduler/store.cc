// SPDX-License-Identifier: Apache-2.0
#include "contrib/scheduler/store.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>

#include "runtime/sys/file.h"

namespace berth::scheduler {
namespace {

namespace wire = ::scheduler::v1;

constexpr uint64_t kEventsKeptPerNode = 100'000;
constexpr const char* kSchema =
    "CREATE TABLE IF NOT EXISTS meta(key TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS nodes(id BLOB PRIMARY KEY, hello BLOB NOT NULL, acked INTEGER NOT NULL, rev INTEGER NOT NULL,"
    " registered INTEGER NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS containers(node BLOB NOT NULL, id BLOB NOT NULL, state BLOB NOT NULL, PRIMARY KEY(node, id)) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS events(arrival INTEGER PRIMARY KEY, node BLOB NOT NULL, seq INTEGER NOT NULL, payload BLOB NOT NULL,"
    " UNIQUE(node, seq));";

}  // namespace

Result<std::unique_ptr<Store>> Store::open(const std::string& path) {
  TRY_ASSIGN(Database db, Database::open(path));
  TRY(db.execute(kSchema), concat("open ", quote(path)));
  std::unique_ptr<Store> store(new Store(std::move(db)));
  TRY(store->db_.execute("INSERT INTO meta VALUES('epoch', 1) ON CONFLICT(key) DO UPDATE SET value = value + 1"));
  TRY_ASSIGN(auto query, store->db_.prepare("SELECT value FROM meta WHERE key = 'epoch'"));
  TRY(query.step());
  store->epoch_ = query.number(0);
  TRY_ASSIGN(store->wal_, sys::open_path(path + "-wal", O_RDONLY));
  TRY(store->sync());
  return store;
}

Result<> Store::sync() {
  if (::fdatasync(wal_.get()) != 0) return fail_errno(concat("sync ", quote(db_.path())));
  return {};
}

Result<std::vector<StoredNode>> Store::load() {
  std::vector<StoredNode> out;
  TRY_ASSIGN(auto nodes, db_.prepare("SELECT hello, acked, rev, registered FROM nodes"));
  TRY_ASSIGN(auto containers, db_.prepare("SELECT state FROM containers WHERE node = ?"));
  for (;;) {
    TRY_ASSIGN(const bool row, nodes.step());
    if (!row) return out;
    auto& node = out.emplace_back();
    if (!node.hello.ParseFromString(nodes.text(0))) return fail(Code::kDataLoss, concat(quote(db_.path()), ": unreadable node"));
    node.acked = nodes.number(1);
    node.rev = nodes.number(2);
    node.registered_wall = nodes.integer(3);
    containers.reset();
    const std::string id = node.hello.node_id();
    containers.bind(id);
    for (;;) {
      TRY_ASSIGN(const bool more, containers.step());
      if (!more) break;
      if (!node.containers.emplace_back().ParseFromString(containers.text(0))) {
        return fail(Code::kDataLoss, concat(quote(db_.path()), ": unreadable container of node ", quote(id)));
      }
    }
  }
}

Result<> Store::put_node(const StoredNode& node) {
  TRY_ASSIGN(auto upsert, db_.prepare("INSERT OR REPLACE INTO nodes VALUES(?, ?, ?, ?, ?)"));
  const std::string hello = node.hello.SerializeAsString();
  return upsert.bind(node.hello.node_id()).bind(hello).bind(node.acked).bind(node.rev).bind(node.registered_wall).run();
}

Result<> Store::put_container(const std::string& node_id, const wire::ContainerState& state) {
  TRY_ASSIGN(auto upsert, db_.prepare("INSERT OR REPLACE INTO containers VALUES(?, ?, ?)"));
  const std::string payload = state.SerializeAsString();
  return upsert.bind(node_id).bind(state.id()).bind(payload).run();
}

Result<> Store::put_state(const StoredNode& node, const wire::Delta& delta) {
  const std::string& id = node.hello.node_id();
  TRY_ASSIGN(auto transaction, Transaction::begin(db_), "store delta");
  for (const auto& state : delta.upsert()) TRY(put_container(id, state), "store delta");
  for (const auto& gone : delta.gone()) {
    TRY_ASSIGN(auto erase, db_.prepare("DELETE FROM containers WHERE node = ? AND id = ?"));
    TRY(erase.bind(id).bind(gone).run(), "store delta");
  }
  TRY(put_node(node), "store delta");
  return transaction.commit();
}

Result<> Store::replace_state(const StoredNode& node) {
  const std::string& id = node.hello.node_id();
  TRY_ASSIGN(auto transaction, Transaction::begin(db_), "store snapshot");
  TRY_ASSIGN(auto erase, db_.prepare("DELETE FROM containers WHERE node = ?"));
  TRY(erase.bind(id).run(), "store snapshot");
  for (const auto& state : node.containers) TRY(put_container(id, state), "store snapshot");
  TRY(put_node(node), "store snapshot");
  return transaction.commit();
}

Result<> Store::put_events(const StoredNode& node, const std::vector<const wire::Event*>& events) {
  const std::string& id = node.hello.node_id();
  TRY_ASSIGN(auto transaction, Transaction::begin(db_), "store events");
  TRY_ASSIGN(auto insert, db_.prepare("INSERT OR IGNORE INTO events(node, seq, payload) VALUES(?, ?, ?)"));
  for (const auto* event : events) {
    const std::string payload = event->SerializeAsString();
    insert.reset();
    TRY(insert.bind(id).bind(event->seq()).bind(payload).run(), "store events");
  }
  if (node.acked > kEventsKeptPerNode) {
    TRY_ASSIGN(auto prune, db_.prepare("DELETE FROM events WHERE node = ? AND seq <= ?"));
    TRY(prune.bind(id).bind(node.acked - kEventsKeptPerNode).run(), "store events");
  }
  TRY_ASSIGN(auto acked, db_.prepare("UPDATE nodes SET acked = ? WHERE id = ?"));
  TRY(acked.bind(node.acked).bind(id).run(), "store events");
  return transaction.commit();
}

Result<std::vector<std::pair<std::string, wire::Event>>> Store::events(const std::string& node_id, uint64_t from, uint32_t limit) {
  const bool one = !node_id.empty();
  TRY_ASSIGN(auto query, db_.prepare(one && from > 0 ? "SELECT node, payload FROM events WHERE node = ? AND seq >= ? ORDER BY seq LIMIT ?"
                                     : one           ? "SELECT node, payload FROM events WHERE node = ? ORDER BY seq DESC LIMIT ?"
                                                     : "SELECT node, payload FROM events ORDER BY arrival DESC LIMIT ?"));
  if (one) query.bind(node_id);
  if (one && from > 0) query.bind(from);
  query.bind(static_cast<int64_t>(limit));
  std::vector<std::pair<std::string, wire::Event>> out;
  for (;;) {
    TRY_ASSIGN(const bool row, query.step());
    if (!row) break;
    auto& [node, event] = out.emplace_back();
    node = query.text(0);
    if (!event.ParseFromString(query.text(1))) return fail(Code::kDataLoss, concat(quote(db_.path()), ": unreadable event"));
  }
  if (!(one && from > 0)) std::reverse(out.begin(), out.end());
  return out;
}

}  // namespace berth::scheduler
