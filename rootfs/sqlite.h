// SPDX-License-Identifier: Apache-2.0
// The few calls of SQLite that the database needs, as values.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <sqlite3.h>
#include <string>
#include <string_view>

#include "runtime/base/result.h"

namespace berth::rootfs {

// A prepared statement; parameters are bound in order, columns read by index. Not thread-safe.
class Statement {
 public:
  Statement() = default;
  explicit Statement(sqlite3_stmt* statement) : statement_(statement) {}

  Statement& bind(std::string_view text);
  Statement& bind(int64_t number);
  // True when there is a row.
  Result<bool> step();
  // step() for statements that return no rows.
  Result<> run();
  std::string text(int column) const;
  int64_t number(int column) const;

 private:
  struct Finalize {
    void operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }
  };
  std::unique_ptr<sqlite3_stmt, Finalize> statement_;
  int bound_ = 0;
};

class Sqlite {
 public:
  // WAL, synchronous=FULL, foreign keys, waits up to ten seconds for another process. kDataLoss when the file is no
  // database or damaged.
  static Result<Sqlite> open(const std::string& path);
  Result<Statement> prepare(std::string_view sql) const;
  Result<> execute(const std::string& sql) const;
  // BEGIN IMMEDIATE … COMMIT, or ROLLBACK when `body` fails.
  Result<> transaction(const std::function<Result<>()>& body) const;
  // Rows changed by the last statement.
  int changes() const { return sqlite3_changes(database_.get()); }

 private:
  struct Close {
    void operator()(sqlite3* database) const { sqlite3_close_v2(database); }
  };
  std::unique_ptr<sqlite3, Close> database_;
};

}  // namespace berth::rootfs
