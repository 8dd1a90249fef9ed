// SPDX-License-Identifier: Apache-2.0
#include "agent/pods/signal_readiness.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>

#include "tests/support/catch.h"

using berth::pods::wait_until_noticed;
using std::chrono::milliseconds;

namespace {

milliseconds time_of_wait(pid_t pid, milliseconds patience) {
  const auto begin = std::chrono::steady_clock::now();
  wait_until_noticed(pid, SIGTERM, patience);
  return std::chrono::duration_cast<milliseconds>(std::chrono::steady_clock::now() - begin);
}

void end(pid_t pid) {
  ::kill(pid, SIGKILL);
  ::waitpid(pid, nullptr, 0);
}

}  // namespace

TEST_CASE("a process before its execve is waited for, for so long as patience lasts", "[signal_readiness]") {
  const pid_t pid = ::fork();
  if (pid == 0) {
    for (;;) ::pause();
  }
  REQUIRE(pid > 0);
  const auto waited = time_of_wait(pid, milliseconds(60));
  end(pid);
  CHECK(waited >= milliseconds(60));
}

TEST_CASE("a wait for a process ends with its execve", "[signal_readiness]") {
  const pid_t pid = ::fork();
  if (pid == 0) {
    ::usleep(50'000);
    ::execlp("sleep", "sleep", "60", nullptr);
    ::_exit(1);
  }
  REQUIRE(pid > 0);
  const auto waited = time_of_wait(pid, milliseconds(20'000));
  end(pid);
  CHECK(waited >= milliseconds(30));
  CHECK(waited < milliseconds(10'000));
}

TEST_CASE("nobody waits for a process that is not there", "[signal_readiness]") {
  CHECK(time_of_wait(0, milliseconds(5000)) < milliseconds(2000));
}
