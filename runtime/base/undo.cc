// SPDX-License-Identifier: Apache-2.0
#include "runtime/base/undo.h"

#include "runtime/base/log.h"

namespace berth {

void UndoStack::run() {
  while (!steps_.empty()) {
    auto [name, step] = std::move(steps_.back());
    steps_.pop_back();
    if (auto done = step(); !done) log_warn("undo step failed", {{"step", name}, {"error", done.error().message()}});
  }
}

}  // namespace berth
