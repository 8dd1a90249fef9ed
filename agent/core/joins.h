// SPDX-License-Identifier: Apache-2.0
// Joins: a repeated request waits for the one in progress and gets its result. Thread-safe.
#pragma once

#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "runtime/base/result.h"

namespace berth::core {

class Joins {
 public:
  // Runs `work` unless a call with the same key is running: then waits for that one and returns a copy of its result.
  Result<std::string> run(const std::string& key, const std::function<Result<std::string>()>& work);

 private:
  struct Running {
    std::condition_variable done;
    std::optional<Result<std::string>> result;
  };
  std::mutex mutex_;
  std::map<std::string, std::shared_ptr<Running>> running_;
};

}  // namespace berth::core
