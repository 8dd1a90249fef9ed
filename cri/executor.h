// SPDX-License-Identifier: Apache-2.0
// Executor: the worker pool that runs the service's blocking functions, away from gRPC's threads.
//
// Elastic: a thread is made when a task finds none idle, up to a limit, and ends after a time without work, so an idle
// agent keeps none. Tasks wait in a bounded queue. Thread-safe.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <mutex>

namespace berth::cri {

struct ExecutorLimits {
  size_t threads = 256;
  size_t queue = 4096;
  std::chrono::milliseconds idle = std::chrono::seconds(30);
};

class Executor {
 public:
  using Limits = ExecutorLimits;

  explicit Executor(Limits limits = {});
  Executor(const Executor&) = delete;
  Executor& operator=(const Executor&) = delete;
  // Runs what is queued, then waits for every thread.
  ~Executor();

  // False when the queue is full or no thread can be made: the caller answers RESOURCE_EXHAUSTED. `task` does not
  // throw.
  [[nodiscard]] bool post(std::function<void()> task);
  size_t thread_count() const;

 private:
  void work();
  static void* thread_main(void* self);
  bool spawn_locked();

  const Limits limits_;
  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::condition_variable ended_;
  std::deque<std::function<void()>> queue_;
  size_t threads_ = 0;
  size_t idle_ = 0;
  bool stopping_ = false;
};

}  // namespace berth::cri
