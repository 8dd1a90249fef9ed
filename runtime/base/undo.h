// SPDX-License-Identifier: Apache-2.0
// UndoStack: what must be taken back if the function that acquires does not reach its end.
#pragma once

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "runtime/base/result.h"

namespace berth {

// Steps run newest first, all of them, each failure logged with the step's name; commit() forgets them.
// Not thread-safe; lives on the stack of the function that acquires.
class UndoStack {
 public:
  UndoStack() = default;
  UndoStack(const UndoStack&) = delete;
  UndoStack& operator=(const UndoStack&) = delete;
  ~UndoStack() { run(); }

  void push(std::string name, std::function<Result<>()> step) { steps_.emplace_back(std::move(name), std::move(step)); }
  void commit() { steps_.clear(); }
  void run();

 private:
  std::vector<std::pair<std::string, std::function<Result<>()>>> steps_;
};

}  // namespace berth
