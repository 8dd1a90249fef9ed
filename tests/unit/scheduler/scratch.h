// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <stdlib.h>

#include <chrono>
#include <string>
#include <thread>

#include "runtime/sys/file.h"

// A directory of a test's own, removed at its end.
class Scratch {
 public:
  Scratch() {
    char name[] = "/tmp/berth-scheduler-XXXXXX";
    directory_ = ::mkdtemp(name) != nullptr ? name : "";
  }
  Scratch(const Scratch&) = delete;
  ~Scratch() { (void)berth::sys::remove_tree(directory_); }
  std::string path(const std::string& name) const { return directory_ + "/" + name; }

 private:
  std::string directory_;
};

// Polls until it holds; false after `limit`.
template <typename Condition>
bool eventually(Condition&& condition, std::chrono::milliseconds limit = std::chrono::seconds(10)) {
  const auto end = std::chrono::steady_clock::now() + limit;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return true;
}
