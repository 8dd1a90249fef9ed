// SPDX-License-Identifier: Apache-2.0
#include "rootfs/sqlite.h"

#include "runtime/base/log.h"
#include "runtime/base/strings.h"

namespace berth::rootfs {
namespace {

constexpr int kBusyMilliseconds = 10'000;

std::unexpected<Error> sqlite_error(sqlite3* database, int status, std::string_view operation) {
  Code code = Code::kInternal;
  switch (status & 0xff) {
    case SQLITE_FULL: code = Code::kResourceExhausted; break;
    case SQLITE_BUSY:
    case SQLITE_LOCKED: code = Code::kUnavailable; break;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB: code = Code::kDataLoss; break;
    case SQLITE_PERM:
    case SQLITE_READONLY: code = Code::kPermissionDenied; break;
    case SQLITE_IOERR: code = Code::kResourceExhausted; break;
    default: break;
  }
  return fail(code, concat(operation, ": ", database != nullptr ? sqlite3_errmsg(database) : sqlite3_errstr(status)));
}

}  // namespace

Statement& Statement::bind(std::string_view text) {
  sqlite3_bind_text(statement_.get(), ++bound_, text.data(), static_cast<int>(text.size()), SQLITE_TRANSIENT);
  return *this;
}

Statement& Statement::bind(int64_t number) {
  sqlite3_bind_int64(statement_.get(), ++bound_, number);
  return *this;
}

Result<bool> Statement::step() {
  const int status = sqlite3_step(statement_.get());
  if (status == SQLITE_ROW) return true;
  if (status == SQLITE_DONE) return false;
  return sqlite_error(sqlite3_db_handle(statement_.get()), status, "image database");
}

Result<> Statement::run() {
  TRY(step());
  return {};
}

std::string Statement::text(int column) const {
  const auto* bytes = reinterpret_cast<const char*>(sqlite3_column_text(statement_.get(), column));
  return bytes == nullptr ? std::string() : std::string(bytes, static_cast<size_t>(sqlite3_column_bytes(statement_.get(), column)));
}

int64_t Statement::number(int column) const { return sqlite3_column_int64(statement_.get(), column); }

Result<Sqlite> Sqlite::open(const std::string& path) {
  Sqlite result;
  sqlite3* raw = nullptr;
  const int status = sqlite3_open_v2(path.c_str(), &raw, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_FULLMUTEX | SQLITE_OPEN_NOFOLLOW, nullptr);
  result.database_.reset(raw);
  if (status != SQLITE_OK) return sqlite_error(raw, status, concat("open ", quote(path)));
  sqlite3_busy_timeout(raw, kBusyMilliseconds);
  TRY(result.execute("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON;"), concat("open ", quote(path)));
  return result;
}

Result<Statement> Sqlite::prepare(std::string_view sql) const {
  sqlite3_stmt* raw = nullptr;
  const int status = sqlite3_prepare_v2(database_.get(), sql.data(), static_cast<int>(sql.size()), &raw, nullptr);
  if (status != SQLITE_OK) return sqlite_error(database_.get(), status, "image database");
  return Statement(raw);
}

Result<> Sqlite::execute(const std::string& sql) const {
  const int status = sqlite3_exec(database_.get(), sql.c_str(), nullptr, nullptr, nullptr);
  if (status != SQLITE_OK) return sqlite_error(database_.get(), status, "image database");
  return {};
}

Result<> Sqlite::transaction(const std::function<Result<>()>& body) const {
  TRY(execute("BEGIN IMMEDIATE"));
  auto done = body();
  if (done) done = execute("COMMIT");
  if (!done) {
    if (auto undone = execute("ROLLBACK"); !undone) log_debug("rollback", {{"error", undone.error().message()}});
  }
  return done;
}

}  // namespace berth::rootfs
