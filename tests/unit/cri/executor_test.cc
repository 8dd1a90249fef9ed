// SPDX-License-Identifier: Apache-2.0
#include "cri/executor.h"

#include <atomic>
#include <future>
#include <thread>

#include "tests/support/catch.h"

using berth::cri::Executor;
using namespace std::chrono_literals;

namespace {
bool eventually(const std::function<bool()>& condition) {
  for (int i = 0; i < 500; ++i) {
    if (condition()) return true;
    std::this_thread::sleep_for(10ms);
  }
  return false;
}
}  // namespace

TEST_CASE("an executor makes no thread before there is work and ends idle ones") {
  Executor executor({.threads = 4, .queue = 16, .idle = 50ms});
  CHECK(executor.thread_count() == 0);
  std::promise<void> done;
  REQUIRE(executor.post([&] { done.set_value(); }));
  done.get_future().wait();
  CHECK(executor.thread_count() == 1);
  CHECK(eventually([&] { return executor.thread_count() == 0; }));
  std::promise<void> again;
  REQUIRE(executor.post([&] { again.set_value(); }));
  CHECK(again.get_future().wait_for(5s) == std::future_status::ready);
}

TEST_CASE("blocked tasks do not hold up others while threads can be made") {
  Executor executor({.threads = 8, .queue = 16, .idle = 1s});
  std::promise<void> gate;
  auto opened = gate.get_future().share();
  for (int i = 0; i < 7; ++i) REQUIRE(executor.post([opened] { opened.wait(); }));
  std::promise<void> done;
  REQUIRE(executor.post([&] { done.set_value(); }));
  CHECK(done.get_future().wait_for(5s) == std::future_status::ready);
  gate.set_value();
}

TEST_CASE("a full queue refuses and refused tasks never run") {
  Executor executor({.threads = 1, .queue = 2, .idle = 1s});
  std::promise<void> gate, started;
  auto opened = gate.get_future().share();
  REQUIRE(executor.post([&started, opened] {
    started.set_value();
    opened.wait();
  }));
  started.get_future().wait();
  std::atomic<int> ran = 0;
  CHECK(executor.post([&] { ++ran; }));
  CHECK(executor.post([&] { ++ran; }));
  CHECK_FALSE(executor.post([&] { ran += 100; }));
  gate.set_value();
  CHECK(eventually([&] { return ran == 2; }));
}

TEST_CASE("destruction runs what was queued") {
  std::atomic<int> ran = 0;
  {
    Executor executor({.threads = 2, .queue = 1000, .idle = 1s});
    for (int i = 0; i < 500; ++i) REQUIRE(executor.post([&] { ++ran; }));
  }
  CHECK(ran == 500);
}
