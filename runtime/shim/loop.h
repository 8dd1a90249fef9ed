// SPDX-License-Identifier: Apache-2.0
// The shim's one thread: epoll, timers, and steps put off until the current handler has returned.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <vector>

#include "runtime/base/fd.h"
#include "runtime/base/result.h"

namespace berth::shim {

class Loop {
 public:
  using Handler = std::function<void(uint32_t events)>;
  using Step = std::function<void()>;

  Result<> open();
  // Level-triggered. `fd` stays the caller's, who calls remove() before closing it. EPERM: a regular file, always
  // ready.
  Result<> add(int fd, uint32_t events, Handler handler);
  void modify(int fd, uint32_t events);
  void remove(int fd);
  bool watches(int fd) const { return entries_.contains(fd); }

  uint64_t after(std::chrono::milliseconds delay, Step step);
  void cancel(uint64_t timer);
  // Runs `step` once the handlers of this round are done: for destroying the object whose handler is running.
  void defer(Step step) { deferred_.push_back(std::move(step)); }

  void run();
  void quit() { running_ = false; }

 private:
  // The generation tells an event of a closed descriptor from its number's next owner.
  struct Entry {
    uint32_t generation = 0;
    std::shared_ptr<Handler> handler;
  };
  void run_timers();
  void run_deferred();
  int next_timeout() const;

  Fd epoll_;
  bool running_ = true;
  uint32_t generation_ = 0;
  uint64_t last_timer_ = 0;
  std::map<int, Entry> entries_;
  std::map<uint64_t, std::pair<long long, Step>> timers_;  // id → monotonic nanoseconds
  std::vector<Step> deferred_;
};

}  // namespace berth::shim
