// SPDX-License-Identifier: Apache-2.0
// A thin hold on SQLite for the two logs of the protocol: one connection, prepared statements, errors as values.
// Not thread-safe: the owner locks.
#pragma once

#include <sqlite3.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "runtime/base/fd.h"
#include "runtime/base/result.h"
#include "runtime/base/strings.h"

namespace berth::scheduler {

class Statement {
 public:
  Statement(sqlite3* db, sqlite3_stmt* statement) : db_(db), statement_(statement) {}
  Statement(Statement&& other) noexcept : db_(other.db_), statement_(std::exchange(other.statement_, nullptr)) {}
  Statement& operator=(Statement&&) = delete;
  ~Statement() { sqlite3_finalize(statement_); }

  Statement& bind(int64_t value) { return sqlite3_bind_int64(statement_, ++bound_, value), *this; }
  Statement& bind(uint64_t value) { return bind(static_cast<int64_t>(value)); }
  // `value` must outlive the next step().
  Statement& bind(std::string_view value) {
    return sqlite3_bind_blob64(statement_, ++bound_, value.data() == nullptr ? "" : value.data(), value.size(), SQLITE_STATIC), *this;
  }
  // True: a row. False: done.
  Result<bool> step() {
    const int rc = sqlite3_step(statement_);
    if (rc == SQLITE_ROW) return true;
    if (rc == SQLITE_DONE) return false;
    return fail(rc == SQLITE_FULL ? Code::kResourceExhausted : Code::kInternal, concat("reports database: ", sqlite3_errmsg(db_)));
  }
  Result<> run() {
    TRY(step());
    return {};
  }
  void reset() {
    sqlite3_reset(statement_);
    sqlite3_clear_bindings(statement_);
    bound_ = 0;
  }
  int64_t integer(int column) const { return sqlite3_column_int64(statement_, column); }
  uint64_t number(int column) const { return static_cast<uint64_t>(integer(column)); }
  std::string text(int column) const {
    const auto* data = static_cast<const char*>(sqlite3_column_blob(statement_, column));
    return data == nullptr ? std::string() : std::string(data, static_cast<size_t>(sqlite3_column_bytes(statement_, column)));
  }

 private:
  sqlite3* db_;
  sqlite3_stmt* statement_;
  int bound_ = 0;
};

class Database {
 public:
  // WAL mode; a commit reaches the page cache (it survives the process's death), sync() the disk.
  static Result<Database> open(const std::string& path) {
    sqlite3* raw = nullptr;
    const int rc = sqlite3_open_v2(path.c_str(), &raw, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, nullptr);
    Database db(raw, path);
    if (rc != SQLITE_OK) return fail(Code::kInternal, concat("open ", quote(path), ": ", sqlite3_errstr(rc)));
    sqlite3_busy_timeout(raw, 5000);
    TRY(db.execute("PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;"), concat("open ", quote(path)));
    return db;
  }

  Result<> execute(const char* sql) {
    char* message = nullptr;
    const int rc = sqlite3_exec(db_.get(), sql, nullptr, nullptr, &message);
    if (rc == SQLITE_OK) return {};
    auto error = fail(rc == SQLITE_CORRUPT || rc == SQLITE_NOTADB ? Code::kDataLoss : Code::kInternal,
                      message != nullptr ? message : sqlite3_errstr(rc));
    sqlite3_free(message);
    return error;
  }
  Result<Statement> prepare(const char* sql) {
    sqlite3_stmt* statement = nullptr;
    if (sqlite3_prepare_v2(db_.get(), sql, -1, &statement, nullptr) != SQLITE_OK) {
      return fail(Code::kInternal, concat("reports database: ", sqlite3_errmsg(db_.get())));
    }
    return Statement(db_.get(), statement);
  }
  const std::string& path() const { return path_; }

 private:
  struct Close {
    void operator()(sqlite3* db) const { sqlite3_close_v2(db); }
  };
  Database(sqlite3* db, std::string path) : db_(db), path_(std::move(path)) {}
  std::unique_ptr<sqlite3, Close> db_;
  std::string path_;
};

// BEGIN IMMEDIATE … COMMIT; rolled back unless committed.
class Transaction {
 public:
  static Result<Transaction> begin(Database& db) {
    TRY(db.execute("BEGIN IMMEDIATE"));
    return Transaction(db);
  }
  Transaction(Transaction&& other) noexcept : db_(std::exchange(other.db_, nullptr)) {}
  Transaction& operator=(Transaction&&) = delete;
  ~Transaction() {
    if (db_ != nullptr) (void)db_->execute("ROLLBACK");
  }
  Result<> commit() {
    TRY(db_->execute("COMMIT"));
    db_ = nullptr;
    return {};
  }

 private:
  explicit Transaction(Database& db) : db_(&db) {}
  Database* db_;
};

}  // namespace berth::scheduler
