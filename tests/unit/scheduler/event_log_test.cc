// SPDX-License-Identifier: Apache-2.0
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>

#include "agent/scheduler/event_log.h"
#include "tests/support/catch.h"
#include "tests/unit/scheduler/scratch.h"

using namespace berth;
using namespace berth::scheduler;
namespace wire = ::scheduler::v1;

namespace {

wire::Event event(const std::string& id) {
  wire::Event out;
  out.set_type(wire::CONTAINER_EXITED);
  out.set_container_id(id);
  return out;
}

uint64_t append(EventLog& log, const std::string& id) {
  auto e = event(id);
  const auto seq = log.append(e, 0);
  REQUIRE(seq);
  return *seq;
}

}  // namespace

TEST_CASE("events are numbered from one, without holes") {
  Scratch scratch;
  auto log = EventLog::open(scratch.path("r.db")).value();
  for (uint64_t i = 1; i <= 20; ++i) CHECK(append(*log, "c") == i);
  const auto events = log->read_after(5, 10, 1 << 20).value();
  REQUIRE(events.size() == 10);
  CHECK(events.front().seq() == 6);
  CHECK(events.back().seq() == 15);
}

TEST_CASE("acknowledged events are deleted and numbering goes on after a reopen") {
  Scratch scratch;
  std::string node_id;
  {
    auto log = EventLog::open(scratch.path("r.db")).value();
    node_id = log->identity().node_id;
    CHECK(log->identity().agent_epoch == 1);
    for (int i = 0; i < 5; ++i) append(*log, "c");
    REQUIRE(log->acknowledge(5));
    CHECK(log->read_after(0, 10, 1 << 20).value().empty());
  }
  auto log = EventLog::open(scratch.path("r.db")).value();
  CHECK(log->identity().node_id == node_id);
  CHECK(log->identity().agent_epoch == 2);
  CHECK(log->first_seq() == 6);
  CHECK(append(*log, "c") == 6);
}

TEST_CASE("an acknowledgement is cumulative and never goes back") {
  Scratch scratch;
  auto log = EventLog::open(scratch.path("r.db")).value();
  for (int i = 0; i < 5; ++i) append(*log, "c");
  REQUIRE(log->acknowledge(3));
  REQUIRE(log->acknowledge(2));
  CHECK(log->acked_through() == 3);
  CHECK(log->read_after(0, 10, 1 << 20).value().size() == 2);
}

TEST_CASE("a scheduler that knows more moves the numbering on") {
  Scratch scratch;
  auto log = EventLog::open(scratch.path("r.db")).value();
  REQUIRE(log->acknowledge(100));
  CHECK(append(*log, "c") == 101);
}

TEST_CASE("a killed writer loses no event that append returned, and doubles none") {
  Scratch scratch;
  const std::string path = scratch.path("r.db");
  int pipes[2];
  REQUIRE(::pipe(pipes) == 0);
  const pid_t child = ::fork();
  if (child == 0) {
    auto log = EventLog::open(path);
    for (uint64_t i = 1; log; ++i) {
      auto e = event("c" + std::to_string(i));
      const auto seq = (*log)->append(e, i);
      if (!seq || ::write(pipes[1], &*seq, sizeof *seq) != sizeof *seq) break;
      if (i % 100 == 0) (void)(*log)->checkpoint();
    }
    ::_exit(1);
  }
  ::close(pipes[1]);
  uint64_t told = 0, seq = 0;
  while (told < 700 && ::read(pipes[0], &seq, sizeof seq) == sizeof seq) told = seq;
  ::kill(child, SIGKILL);
  while (::read(pipes[0], &seq, sizeof seq) == sizeof seq) told = seq;
  ::close(pipes[0]);
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  CHECK(WTERMSIG(status) == SIGKILL);

  auto log = EventLog::open(path).value();
  const auto events = log->read_after(0, 100'000, 1 << 30).value();
  REQUIRE(told >= 700);
  REQUIRE(events.size() >= told);
  CHECK(events.size() <= told + 1);  // one may have been written and not yet told
  for (size_t i = 0; i < events.size(); ++i) {
    REQUIRE(events[i].seq() == i + 1);
    REQUIRE(events[i].container_id() == "c" + std::to_string(i + 1));
  }
  CHECK(append(*log, "next") == events.size() + 1);
}

TEST_CASE("a torn write-ahead log loses only its tail") {
  Scratch scratch;
  const std::string live = scratch.path("r.db"), copy = scratch.path("copy.db");
  auto log = EventLog::open(live).value();
  for (int i = 0; i < 50; ++i) append(*log, "c");
  for (const char* suffix : {"", "-wal"}) {
    std::ofstream(copy + suffix, std::ios::binary) << std::ifstream(live + suffix, std::ios::binary).rdbuf();
  }
  struct stat info {};
  REQUIRE(::stat((copy + "-wal").c_str(), &info) == 0);
  REQUIRE(::truncate((copy + "-wal").c_str(), info.st_size - 1000) == 0);
  auto torn = EventLog::open(copy).value();
  const auto events = torn->read_after(0, 100, 1 << 30).value();
  CHECK(events.size() == 49);
  CHECK(append(*torn, "c") == events.size() + 1);
}

TEST_CASE("a file that is no database is moved aside and the node starts anew") {
  Scratch scratch;
  std::ofstream(scratch.path("r.db")) << std::string(8192, 'x');
  auto log = EventLog::open(scratch.path("r.db")).value();
  CHECK(append(*log, "c") == 1);
  CHECK(::access(scratch.path("r.db.corrupt").c_str(), F_OK) == 0);
}

TEST_CASE("the state's revision and digest are stored with each event") {
  Scratch scratch;
  {
    auto log = EventLog::open(scratch.path("r.db")).value();
    auto e = event("c");
    e.set_state_rev(7);
    REQUIRE(log->append(e, 0xdeadbeefdeadbeef));
  }
  auto log = EventLog::open(scratch.path("r.db")).value();
  CHECK(log->value("state_rev") == 7);
  CHECK(log->value("state_digest") == 0xdeadbeefdeadbeef);
}
