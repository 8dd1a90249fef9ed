// SPDX-License-Identifier: Apache-2.0
#include "agent/state/store.h"

#include <sqlite3.h>

#include "runtime/base/strings.h"

namespace berth::state {
namespace {

constexpr int kSchemaVersion = 1;

constexpr const char* kSchema = R"(
CREATE TABLE IF NOT EXISTS pods(
  id TEXT PRIMARY KEY, name_space TEXT NOT NULL, name TEXT NOT NULL, config BLOB NOT NULL, runtime_handler TEXT NOT NULL,
  state INTEGER NOT NULL, created_at INTEGER NOT NULL, ips TEXT NOT NULL, cgroup_parent TEXT NOT NULL,
  own_cgroup INTEGER NOT NULL, network_attached INTEGER NOT NULL, shim_pid INTEGER NOT NULL,
  shim_start_time INTEGER NOT NULL, pid_namespace_pid INTEGER NOT NULL, boot_id TEXT NOT NULL,
  UNIQUE(name_space, name));
CREATE TABLE IF NOT EXISTS containers(
  id TEXT PRIMARY KEY, pod_id TEXT NOT NULL REFERENCES pods(id), name_space TEXT NOT NULL, name TEXT NOT NULL,
  config BLOB NOT NULL, image_id TEXT NOT NULL, image_ref TEXT NOT NULL, image_name TEXT NOT NULL,
  state INTEGER NOT NULL, created_at INTEGER NOT NULL, started_at INTEGER NOT NULL, finished_at INTEGER NOT NULL,
  exit_code INTEGER NOT NULL, reason TEXT NOT NULL, message TEXT NOT NULL, log_path TEXT NOT NULL,
  cgroup_path TEXT NOT NULL, resources BLOB NOT NULL, user BLOB NOT NULL, stop_signal INTEGER NOT NULL,
  pid INTEGER NOT NULL, UNIQUE(pod_id, name));
)";

constexpr const char* kPodColumns =
    "id, name_space, name, config, runtime_handler, state, created_at, ips, cgroup_parent, own_cgroup, "
    "network_attached, "
    "shim_pid, shim_start_time, pid_namespace_pid, boot_id";
constexpr const char* kContainerColumns =
    "id, pod_id, name_space, name, config, image_id, image_ref, image_name, state, created_at, started_at, "
    "finished_at, "
    "exit_code, reason, message, log_path, cgroup_path, resources, user, stop_signal, pid";

std::unexpected<Error> database_error(sqlite3* db, std::string_view operation) {
  const int code = sqlite3_extended_errcode(db);
  Code mapped = Code::kInternal;
  if (code == SQLITE_CONSTRAINT_UNIQUE || code == SQLITE_CONSTRAINT_PRIMARYKEY) mapped = Code::kAlreadyExists;
  if (code == SQLITE_CONSTRAINT_FOREIGNKEY) mapped = Code::kNotFound;
  if ((code & 0xff) == SQLITE_FULL) mapped = Code::kResourceExhausted;
  if ((code & 0xff) == SQLITE_BUSY) mapped = Code::kUnavailable;
  return fail(mapped, concat(operation, ": ", sqlite3_errmsg(db)));
}

// One prepared statement, finalized at the end of its scope. Parameters are bound in order.
class Statement {
 public:
  Statement(sqlite3* db, const std::string& sql) : db_(db) {
    ok_ = sqlite3_prepare_v2(db, sql.c_str(), -1, &statement_, nullptr) == SQLITE_OK;
  }
  ~Statement() { sqlite3_finalize(statement_); }
  Statement(const Statement&) = delete;
  Statement& operator=(const Statement&) = delete;

  Statement& text(const std::string& value) {
    if (ok_)
      ok_ = sqlite3_bind_text(statement_, ++bound_, value.data(), int(value.size()), SQLITE_TRANSIENT) == SQLITE_OK;
    return *this;
  }
  Statement& blob(const std::string& value) {
    // An empty value must stay a blob, never NULL: data() of an empty string is not null.
    if (ok_)
      ok_ = sqlite3_bind_blob(statement_, ++bound_, value.data(), int(value.size()), SQLITE_TRANSIENT) == SQLITE_OK;
    return *this;
  }
  Statement& number(long long value) {
    if (ok_) ok_ = sqlite3_bind_int64(statement_, ++bound_, value) == SQLITE_OK;
    return *this;
  }
  // True: a row is there; false: done.
  Result<bool> step(std::string_view operation) {
    if (!ok_) return database_error(db_, operation);
    const int result = sqlite3_step(statement_);
    if (result == SQLITE_ROW) return true;
    if (result == SQLITE_DONE) return false;
    return database_error(db_, operation);
  }
  std::string column_text(int i) const {
    const void* data = sqlite3_column_blob(statement_, i);
    return data == nullptr ? std::string()
                           : std::string(static_cast<const char*>(data), size_t(sqlite3_column_bytes(statement_, i)));
  }
  long long column_number(int i) const { return sqlite3_column_int64(statement_, i); }

 private:
  sqlite3* db_;
  sqlite3_stmt* statement_ = nullptr;
  int bound_ = 0;
  bool ok_ = false;
};

void bind_pod(Statement& s, const PodRecord& p) {
  s.text(p.name)
      .blob(p.config)
      .text(p.runtime_handler)
      .number(int(p.state))
      .number(p.created_at)
      .text(join(p.ips, ","));
  s.text(p.cgroup_parent).number(p.own_cgroup).number(p.network_attached).number(p.shim_pid);
  s.number(static_cast<long long>(p.shim_start_time)).number(p.pid_namespace_pid).text(p.boot_id);
}

PodRecord read_pod(const Statement& s) {
  PodRecord p;
  p.id = s.column_text(0);
  p.name_space = s.column_text(1);
  p.name = s.column_text(2);
  p.config = s.column_text(3);
  p.runtime_handler = s.column_text(4);
  p.state = PodState(s.column_number(5));
  p.created_at = s.column_number(6);
  const std::string ips = s.column_text(7);
  if (!ips.empty()) {
    for (const std::string_view ip : split(ips, ',')) p.ips.emplace_back(ip);
  }
  p.cgroup_parent = s.column_text(8);
  p.own_cgroup = s.column_number(9) != 0;
  p.network_attached = s.column_number(10) != 0;
  p.shim_pid = pid_t(s.column_number(11));
  p.shim_start_time = uint64_t(s.column_number(12));
  p.pid_namespace_pid = pid_t(s.column_number(13));
  p.boot_id = s.column_text(14);
  return p;
}

void bind_container(Statement& s, const ContainerRecord& c) {
  s.text(c.name).blob(c.config).text(c.image_id).text(c.image_ref).text(c.image_name).number(int(c.state));
  s.number(c.created_at).number(c.started_at).number(c.finished_at).number(c.exit_code).text(c.reason).text(c.message);
  s.text(c.log_path).text(c.cgroup_path).blob(c.resources).blob(c.user).number(c.stop_signal).number(c.pid);
}

ContainerRecord read_container(const Statement& s) {
  ContainerRecord c;
  c.id = s.column_text(0);
  c.pod_id = s.column_text(1);
  c.name_space = s.column_text(2);
  c.name = s.column_text(3);
  c.config = s.column_text(4);
  c.image_id = s.column_text(5);
  c.image_ref = s.column_text(6);
  c.image_name = s.column_text(7);
  c.state = ContainerState(s.column_number(8));
  c.created_at = s.column_number(9);
  c.started_at = s.column_number(10);
  c.finished_at = s.column_number(11);
  c.exit_code = int(s.column_number(12));
  c.reason = s.column_text(13);
  c.message = s.column_text(14);
  c.log_path = s.column_text(15);
  c.cgroup_path = s.column_text(16);
  c.resources = s.column_text(17);
  c.user = s.column_text(18);
  c.stop_signal = int(s.column_number(19));
  c.pid = pid_t(s.column_number(20));
  return c;
}

Result<> execute(sqlite3* db, const char* sql, std::string_view operation) {
  if (sqlite3_exec(db, sql, nullptr, nullptr, nullptr) != SQLITE_OK) return database_error(db, operation);
  return {};
}

}  // namespace

Result<std::unique_ptr<Store>> Store::open(const std::string& root) {
  const std::string path = root + "/state.db";
  sqlite3* db = nullptr;
  const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_FULLMUTEX;
  if (sqlite3_open_v2(path.c_str(), &db, flags, nullptr) != SQLITE_OK) {
    Error error = database_error(db, concat("open ", quote(path))).error();
    sqlite3_close(db);
    return std::unexpected(std::move(error));
  }
  std::unique_ptr<Store> store(new Store(db));
  sqlite3_busy_timeout(db, 10000);
  TRY(execute(db, "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA foreign_keys=ON;",
              "configure the store"));
  TRY(store->migrate(), concat("open ", quote(path)));
  return store;
}

Store::~Store() { sqlite3_close(db_); }

Result<> Store::migrate() {
  TRY(execute(db_, "BEGIN IMMEDIATE", "begin"));
  long long version = 0;
  {
    Statement query(db_, "PRAGMA user_version");
    TRY_ASSIGN(const bool row, query.step("read the schema version"));
    if (row) version = query.column_number(0);
  }
  if (version > kSchemaVersion) {
    (void)execute(db_, "ROLLBACK", "roll back");
    return fail(Code::kFailedPrecondition,
                concat("schema version ", version, " is newer than this program's ", kSchemaVersion));
  }
  TRY(execute(db_, kSchema, "create tables"));
  TRY(execute(db_, concat("PRAGMA user_version=", kSchemaVersion).c_str(), "set the schema version"));
  return execute(db_, "COMMIT", "commit");
}

Result<> Store::insert(const PodRecord& pod) {
  const std::lock_guard lock(mutex_);
  Statement s(db_, concat("INSERT INTO pods(", kPodColumns, ") VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)"));
  s.text(pod.id).text(pod.name_space);
  bind_pod(s, pod);
  TRY(s.step(concat("record pod ", quote(pod.name))));
  return {};
}

Result<> Store::update(const PodRecord& pod) {
  const std::lock_guard lock(mutex_);
  Statement s(
      db_,
      "UPDATE pods SET name=?, config=?, runtime_handler=?, state=?, created_at=?, ips=?, cgroup_parent=?, "
      "own_cgroup=?, network_attached=?, shim_pid=?, shim_start_time=?, pid_namespace_pid=?, boot_id=? WHERE id=?");
  bind_pod(s, pod);
  s.text(pod.id);
  TRY(s.step(concat("record pod ", quote(pod.id))));
  if (sqlite3_changes(db_) == 0) return fail(Code::kNotFound, concat("pod sandbox ", quote(pod.id), " has no record"));
  return {};
}

Result<> Store::remove_pod(const std::string& id) {
  const std::lock_guard lock(mutex_);
  Statement s(db_, "DELETE FROM pods WHERE id=?");
  s.text(id);
  TRY(s.step(concat("remove the record of pod ", quote(id))));
  return {};
}

Result<std::vector<PodRecord>> Store::query_pods(const char* where, const std::vector<std::string>& values) {
  const std::lock_guard lock(mutex_);
  Statement s(db_, concat("SELECT ", kPodColumns, " FROM pods WHERE ", where, " ORDER BY created_at, id"));
  for (const std::string& value : values) s.text(value);
  std::vector<PodRecord> records;
  while (true) {
    TRY_ASSIGN(const bool row, s.step("read pods"));
    if (!row) return records;
    records.push_back(read_pod(s));
  }
}

Result<std::optional<PodRecord>> Store::find_pod(const std::string& id) {
  TRY_ASSIGN(auto found, query_pods("id=?", {id}));
  if (found.empty()) return std::nullopt;
  return std::move(found.front());
}

Result<std::optional<PodRecord>> Store::find_pod_by_name(const std::string& name_space, const std::string& name) {
  TRY_ASSIGN(auto found, query_pods("name_space=? AND name=?", {name_space, name}));
  if (found.empty()) return std::nullopt;
  return std::move(found.front());
}

Result<std::vector<PodRecord>> Store::pods(const std::string& name_space) {
  return query_pods("name_space=?", {name_space});
}

Result<> Store::insert(const ContainerRecord& container) {
  const std::lock_guard lock(mutex_);
  Statement s(
      db_, concat("INSERT INTO containers(", kContainerColumns, ") VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)"));
  s.text(container.id).text(container.pod_id).text(container.name_space);
  bind_container(s, container);
  TRY(s.step(concat("record container ", quote(container.name))));
  return {};
}

Result<> Store::update(const ContainerRecord& container) {
  const std::lock_guard lock(mutex_);
  Statement s(db_,
              "UPDATE containers SET name=?, config=?, image_id=?, image_ref=?, image_name=?, state=?, created_at=?, "
              "started_at=?, finished_at=?, exit_code=?, reason=?, message=?, log_path=?, cgroup_path=?, resources=?, "
              "user=?, stop_signal=?, pid=? WHERE id=?");
  bind_container(s, container);
  s.text(container.id);
  TRY(s.step(concat("record container ", quote(container.id))));
  if (sqlite3_changes(db_) == 0)
    return fail(Code::kNotFound, concat("container ", quote(container.id), " has no record"));
  return {};
}

Result<> Store::remove_container(const std::string& id) {
  const std::lock_guard lock(mutex_);
  Statement s(db_, "DELETE FROM containers WHERE id=?");
  s.text(id);
  TRY(s.step(concat("remove the record of container ", quote(id))));
  return {};
}

Result<std::vector<ContainerRecord>> Store::query_containers(const char* where,
                                                             const std::vector<std::string>& values) {
  const std::lock_guard lock(mutex_);
  Statement s(db_, concat("SELECT ", kContainerColumns, " FROM containers WHERE ", where, " ORDER BY created_at, id"));
  for (const std::string& value : values) s.text(value);
  std::vector<ContainerRecord> records;
  while (true) {
    TRY_ASSIGN(const bool row, s.step("read containers"));
    if (!row) return records;
    records.push_back(read_container(s));
  }
}

Result<std::optional<ContainerRecord>> Store::find_container(const std::string& id) {
  TRY_ASSIGN(auto found, query_containers("id=?", {id}));
  if (found.empty()) return std::nullopt;
  return std::move(found.front());
}

Result<std::optional<ContainerRecord>> Store::find_container_by_name(const std::string& pod_id,
                                                                     const std::string& name) {
  TRY_ASSIGN(auto found, query_containers("pod_id=? AND name=?", {pod_id, name}));
  if (found.empty()) return std::nullopt;
  return std::move(found.front());
}

Result<std::vector<ContainerRecord>> Store::containers(const std::string& name_space) {
  return query_containers("name_space=?", {name_space});
}

Result<std::vector<std::string>> Store::query_ids(const char* sql) {
  const std::lock_guard lock(mutex_);
  Statement s(db_, sql);
  std::vector<std::string> ids;
  while (true) {
    TRY_ASSIGN(const bool row, s.step("read ids"));
    if (!row) return ids;
    ids.push_back(s.column_text(0));
  }
}

Result<std::vector<std::string>> Store::all_container_ids() { return query_ids("SELECT id FROM containers"); }
Result<std::vector<std::string>> Store::all_pod_ids() { return query_ids("SELECT id FROM pods"); }

}  // namespace berth::state
