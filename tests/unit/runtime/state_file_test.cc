// SPDX-License-Identifier: Apache-2.0
#include "runtime/container/state_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>

#include "runtime/container/status.h"
#include "runtime/sys/file.h"
#include "runtime/sys/process.h"
#include "tests/support/catch.h"

using namespace berth;
using namespace berth::container;

namespace {

struct Scratch {
  std::string path;
  Fd fd;
  Scratch() {
    char name[] = "/tmp/berth-state-XXXXXX";
    path = ::mkdtemp(name);
    fd = sys::open_path(path, O_RDONLY | O_DIRECTORY).value();
  }
  ~Scratch() { (void)sys::remove_tree(path); }
};

StateRecord record() {
  StateRecord out;
  out.id = "c1";
  out.oci_version = "1.2.0";
  out.bundle = "/b";
  out.rootfs = "/b/rootfs";
  out.created = "2026-01-02T03:04:05.000000006Z";
  out.owner = "root";
  out.annotations = {{"a", "quote \" and \n newline"}};
  out.phase = Phase::kCreated;
  out.pid = 4711;
  out.pid_start_time = 18446744073709551615u;
  out.creator_pid = 12;
  out.creator_start_time = 34;
  out.cgroup_driver = CgroupDriver::kDisabled;
  out.cgroups = {{"memory", "/sys/fs/cgroup/memory/x"}};
  out.config_path = "/run/r/c1/config.json";
  out.private_pid_namespace = true;
  out.has_poststop_hooks = true;
  return out;
}

}  // namespace

TEST_CASE("a state record survives writing and reading") {
  const auto before = record();
  const auto after = decode_state(encode_state(before)).value();
  CHECK(encode_state(after) == encode_state(before));
  CHECK(after.pid_start_time == before.pid_start_time);
  CHECK(after.annotations == before.annotations);
  CHECK(after.cgroups == before.cgroups);
  CHECK(after.cgroup_driver == CgroupDriver::kDisabled);
  CHECK(after.phase == Phase::kCreated);
}

TEST_CASE("the reader takes records of other versions") {
  const auto after = decode_state(R"({"id":"x","future":{"a":[1]},"pid":"not a number","phase":7})").value();
  CHECK(after.id == "x");
  CHECK(after.pid == 0);
  CHECK(after.phase == Phase::kCreating);
}

TEST_CASE("what is no JSON object is data loss") {
  CHECK(decode_state("").error().code() == Code::kDataLoss);
  CHECK(decode_state("[]").error().code() == Code::kDataLoss);
  CHECK(decode_state("{\"id\":").error().code() == Code::kDataLoss);
}

TEST_CASE("the state file is private and replaced whole") {
  const Scratch scratch;
  REQUIRE(write_state_file(scratch.fd.get(), record()));
  auto changed = record();
  changed.pid = 5;
  REQUIRE(write_state_file(scratch.fd.get(), changed));
  CHECK(read_state_file(scratch.fd.get())->pid == 5);
  struct stat info{};
  REQUIRE(::fstatat(scratch.fd.get(), "state.json", &info, 0) == 0);
  CHECK((info.st_mode & 0777) == 0600);
  CHECK(sys::list_directory(scratch.fd.get())->size() == 1);
}

TEST_CASE("a missing state file is not found") {
  const Scratch scratch;
  CHECK(read_state_file(scratch.fd.get()).error().code() == Code::kNotFound);
}

TEST_CASE("status needs the start time to match") {
  const Scratch scratch;
  auto mine = record();
  mine.cgroups.clear();
  mine.pid = ::getpid();
  mine.pid_start_time = sys::process_start_time(::getpid()).value();
  CHECK(status_of(scratch.fd.get(), mine) == Status::kRunning);
  mine.pid_start_time += 1;
  CHECK(status_of(scratch.fd.get(), mine) == Status::kStopped);
}

TEST_CASE("the fifo with a live init means created") {
  const Scratch scratch;
  auto mine = record();
  mine.cgroups.clear();
  mine.pid = ::getpid();
  mine.pid_start_time = sys::process_start_time(::getpid()).value();
  REQUIRE(::mkfifoat(scratch.fd.get(), "exec.fifo", 0622) == 0);
  CHECK(status_of(scratch.fd.get(), mine) == Status::kCreated);
}

TEST_CASE("creating lasts as long as the creator lives") {
  const Scratch scratch;
  auto mine = record();
  mine.phase = Phase::kCreating;
  mine.pid = 0;
  mine.creator_pid = ::getpid();
  mine.creator_start_time = sys::process_start_time(::getpid()).value();
  CHECK(status_of(scratch.fd.get(), mine) == Status::kCreating);
  mine.creator_start_time += 1;
  CHECK(status_of(scratch.fd.get(), mine) == Status::kStopped);
}

TEST_CASE("containers that do not exist have runc's words") {
  const Scratch scratch;
  CHECK(state(scratch.path, "none").error().message() == "container does not exist");
  CHECK(kill(scratch.path, "none", 9, false).error().message() == "container does not exist");
  CHECK(remove(scratch.path, "none", false).error().message() == "container does not exist");
  CHECK(remove(scratch.path, "none", true));
  CHECK_FALSE(state(scratch.path, "../etc"));
}

TEST_CASE("a directory without a record is removed by force only") {
  const Scratch scratch;
  REQUIRE(sys::make_directories(scratch.path + "/half"));
  CHECK(list(scratch.path)->empty());
  CHECK_FALSE(remove(scratch.path, "half", false));
  CHECK(remove(scratch.path, "half", true));
  CHECK_FALSE(sys::path_exists(scratch.path + "/half"));
}

TEST_CASE("a stopped container is listed removed and cannot be signalled") {
  const Scratch scratch;
  REQUIRE(sys::make_directories(scratch.path + "/c1"));
  auto dead = record();
  dead.cgroups.clear();
  dead.has_poststop_hooks = false;
  dead.pid = 0;
  REQUIRE(write_state_file(sys::open_path(scratch.path + "/c1", O_RDONLY | O_DIRECTORY)->get(), dead));
  REQUIRE(list(scratch.path)->size() == 1);
  CHECK(list(scratch.path)->front().pid == 0);
  CHECK(kill(scratch.path, "c1", 15, false).error().message() == "container not running");
  CHECK(kill(scratch.path, "c1", 15, true));
  CHECK(pause(scratch.path, "c1").error().message() == "container not running");
  CHECK(resume(scratch.path, "c1").error().message() == "container not paused");
  CHECK(remove(scratch.path, "c1", false));
  CHECK(list(scratch.path)->empty());
}
