// SPDX-License-Identifier: Apache-2.0
// Real cgroups of the host, under names of our own below "/berth-test-PID".
#include "runtime/cgroup/cgroup.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

#include "runtime/base/strings.h"
#include "runtime/cgroup/devices.h"
#include "runtime/cgroup/stats.h"
#include "runtime/oci/spec.h"
#include "runtime/sys/file.h"
#include "runtime/sys/process.h"
#include "tests/support/catch.h"
#include "tests/support/requires.h"

using namespace berth;
using cgroup::Cgroup;

namespace {

std::string parent() { return concat("/berth-test-", ::getpid()); }

// v1 (or what the host has), and the v2 hierarchy of a hybrid host seen alone.
std::optional<cgroup::Layout> host() {
  auto layout = cgroup::detect();
  if (::geteuid() != 0 || !layout) return std::nullopt;
  return std::move(*layout);
}
std::optional<cgroup::Layout> unified() {
  if (::geteuid() != 0) return std::nullopt;
  std::string lines;
  const auto mounts = sys::read_file("/proc/self/mountinfo").value();
  for (const auto line : split(mounts, '\n')) {
    if (line.find(" - cgroup2 ") != line.npos) lines += concat(line, '\n');
  }
  auto layout = cgroup::parse_layout(lines, "0::/\n");
  return layout ? std::optional(std::move(*layout)) : std::nullopt;
}

struct Group {
  Cgroup group;
  std::map<std::string, std::string> parents;
  explicit Group(const cgroup::Layout& layout, const char* name) {
    group = Cgroup::locate(layout, concat(parent(), '/', name), name).value();
    parents = Cgroup::locate(layout, parent(), name).value().paths();
  }
  ~Group() {
    (void)group.signal_all(SIGKILL);
    CHECK(group.remove());
    for (const auto& [controller, path] : parents) ::rmdir(path.c_str());
  }
};

// A child that joins by the join files and then sleeps or forks for ever.
struct Child {
  pid_t pid = -1;
  Child(const Cgroup& group, bool forks) {
    const auto files = group.open_join_files().value();
    pid = ::fork();
    if (pid != 0) return;
    for (const auto& file : files) {
      if (::write(file.get(), "0", 1) != 1) ::_exit(1);
    }
    for (int i = 0; forks && i < 5; ++i) {
      if (::fork() == 0) break;
    }
    while (true) ::pause();
  }
  ~Child() {
    ::kill(pid, SIGKILL);
    ::waitpid(pid, nullptr, 0);
  }
};

bool wait_for_members(const Cgroup& group, size_t count) {
  for (int i = 0; i < 200; ++i) {
    if (group.processes()->size() == count) return true;
    ::usleep(5000);
  }
  return false;
}

std::string text(const Cgroup& group, const char* controller, const char* file) {
  const auto found = sys::read_file_at(group.dir(controller), file);
  return found ? std::string(trim(*found)) : "(absent)";
}

}  // namespace

TEST_CASE("a cgroup is made joined listed and removed") {
  const auto layout = host();
  SKIP_UNLESS(layout, "needs root and cgroups");
  Group made(*layout, "join");
  REQUIRE(made.group.create());
  const Child child(made.group, false);
  REQUIRE(wait_for_members(made.group, 1));
  CHECK(made.group.processes()->front() == child.pid);
  const auto membership = sys::read_file(concat("/proc/", child.pid, "/cgroup")).value();
  for (const auto& hierarchy : layout->hierarchies) {
    const std::string name = hierarchy.controllers.empty() ? ":" : concat(hierarchy.controllers[0], ':');
    CHECK(membership.find(concat(name, parent(), "/join")) != membership.npos);
  }
  REQUIRE(made.group.signal_all(SIGKILL));
  REQUIRE(made.group.remove());
  for (const auto& [controller, path] : made.group.paths()) CHECK_FALSE(sys::path_exists(path));
}

TEST_CASE("a process from outside is moved by add") {
  const auto layout = host();
  SKIP_UNLESS(layout, "needs root and cgroups");
  Group made(*layout, "add");
  REQUIRE(made.group.create());
  const pid_t pid = ::fork();
  if (pid == 0) {
    while (true) ::pause();
  }
  CHECK(made.group.add(pid));
  CHECK(wait_for_members(made.group, 1));
  CHECK(made.group.signal_all(SIGKILL));
  ::waitpid(pid, nullptr, 0);
}

TEST_CASE("a cgroup that holds processes is not taken over") {
  const auto layout = host();
  SKIP_UNLESS(layout, "needs root and cgroups");
  Group made(*layout, "taken");
  REQUIRE(made.group.create());
  const Child child(made.group, false);
  REQUIRE(wait_for_members(made.group, 1));
  auto again = Cgroup::locate(*layout, concat(parent(), "/taken"), "taken").value();
  const auto refused = again.create();
  REQUIRE_FALSE(refused);
  CHECK(refused.error().message() == "container's cgroup is not empty: 1 process(es) found");
}

TEST_CASE("limits reach the kernel and can be raised and lowered") {
  const auto layout = host();
  SKIP_UNLESS(layout && !layout->v2, "needs root and cgroup v1 controllers");
  Group made(*layout, "limits");
  REQUIRE(made.group.create());
  oci::Resources resources;
  resources.memory.emplace().limit = 64 << 20;
  resources.memory->swap = 64 << 20;
  resources.pids_limit = 17;
  resources.cpu.emplace().shares = 512;
  resources.cpu->quota = 20000;
  resources.cpu->period = 50000;
  REQUIRE(made.group.apply(resources));
  CHECK(text(made.group, "memory", "memory.limit_in_bytes") == "67108864");
  CHECK(text(made.group, "pids", "pids.max") == "17");
  CHECK(text(made.group, "cpu", "cpu.shares") == "512");
  CHECK(text(made.group, "cpu", "cpu.cfs_quota_us") == "20000");
  resources.memory->limit = resources.memory->swap = 128 << 20;
  REQUIRE(made.group.apply(resources, true));
  CHECK(text(made.group, "memory", "memory.memsw.limit_in_bytes") == "134217728");
  resources.memory->limit = resources.memory->swap = 32 << 20;
  REQUIRE(made.group.apply(resources, true));
  CHECK(text(made.group, "memory", "memory.limit_in_bytes") == "33554432");
}

TEST_CASE("a limit without its controller is named") {
  const auto layout = host();
  SKIP_UNLESS(layout && !layout->v2, "needs root and cgroup v1 controllers");
  Group made(*layout, "absent");
  REQUIRE(made.group.create());
  oci::Resources resources;
  resources.rdma["mlx5"] = {1, 1};
  const auto refused = made.group.apply(resources);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().message().find("rdma") != std::string::npos);
}

TEST_CASE("check before update rejects a limit below the usage") {
  const auto layout = host();
  SKIP_UNLESS(layout && !layout->v2, "needs root and cgroup v1 controllers");
  Group made(*layout, "check");
  REQUIRE(made.group.create());
  const Child child(made.group, true);
  REQUIRE(wait_for_members(made.group, 6));
  oci::Resources resources;
  resources.memory.emplace().limit = 1;
  resources.memory->check_before_update = true;
  const auto refused = made.group.apply(resources, true);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().message().starts_with("rejecting memory limit 1"));
}

TEST_CASE("killing a group ends every process that keeps appearing") {
  const auto layout = host();
  SKIP_UNLESS(layout, "needs root and cgroups");
  Group made(*layout, "kill");
  REQUIRE(made.group.create());
  const Child child(made.group, true);
  REQUIRE(wait_for_members(made.group, 6));
  REQUIRE(made.group.signal_all(SIGKILL));
  CHECK(wait_for_members(made.group, 0));
}

TEST_CASE("a frozen group is killed and removed") {
  const auto layout = host();
  SKIP_UNLESS(layout, "needs root and cgroups");
  Group made(*layout, "frozen");
  REQUIRE(made.group.create());
  const Child child(made.group, true);
  REQUIRE(wait_for_members(made.group, 6));
  REQUIRE(made.group.freeze());
  CHECK(made.group.frozen());
  REQUIRE(made.group.signal_all(SIGKILL));
  CHECK(wait_for_members(made.group, 0));
  CHECK_FALSE(made.group.frozen());
}

TEST_CASE("thawing lets a frozen group run again") {
  const auto layout = host();
  SKIP_UNLESS(layout, "needs root and cgroups");
  Group made(*layout, "thaw");
  REQUIRE(made.group.create());
  const Child child(made.group, false);
  REQUIRE(wait_for_members(made.group, 1));
  REQUIRE(made.group.freeze());
  REQUIRE(made.group.thaw());
  CHECK_FALSE(made.group.frozen());
  CHECK(made.group.thaw());
}

TEST_CASE("removal takes child groups along") {
  const auto layout = host();
  SKIP_UNLESS(layout, "needs root and cgroups");
  Group made(*layout, "nested");
  REQUIRE(made.group.create());
  for (const auto& [controller, path] : made.group.paths()) (void)sys::make_directories(path + "/a/b", 0755);
  REQUIRE(made.group.child("a/b"));
  CHECK_FALSE(made.group.child("../x"));
  CHECK_FALSE(made.group.child("none"));
  REQUIRE(made.group.remove());
  for (const auto& [controller, path] : made.group.paths()) CHECK_FALSE(sys::path_exists(path));
}

TEST_CASE("figures of a live group are read") {
  const auto layout = host();
  SKIP_UNLESS(layout && !layout->v2, "needs root and cgroup v1 controllers");
  Group made(*layout, "stats");
  REQUIRE(made.group.create());
  const Child child(made.group, true);
  REQUIRE(wait_for_members(made.group, 6));
  const auto reopened = Cgroup::open(made.group.paths()).value();
  const auto stats = cgroup::read_stats(reopened, {.raw_memory = true}).value();
  CHECK(stats.pids->current == 6);
  CHECK(stats.pids->limit == cgroup::kUnlimited);
  CHECK(stats.memory->usage > 0);
  CHECK(stats.memory->limit == cgroup::kUnlimited);
  CHECK(stats.cpu->usage_ns > 0);
  CHECK(stats.memory->raw.contains("total_rss"));
}

TEST_CASE("v1 device rules close a disk and leave null open") {
  const auto layout = host();
  SKIP_UNLESS(layout && !layout->v2, "needs root and cgroup v1 controllers");
  Group made(*layout, "devices");
  REQUIRE(made.group.create());
  REQUIRE(made.group.apply({}));
  const auto list = text(made.group, "devices", "devices.list");
  CHECK(list.find("c 1:3 rwm") != list.npos);
  CHECK(list.find("a *:* rwm") == list.npos);
}

TEST_CASE("the unified hierarchy kills freezes and filters devices") {
  const auto layout = unified();
  SKIP_UNLESS(layout, "needs root and a cgroup2 mount");
  Group made(*layout, "unified");
  REQUIRE(made.group.create());
  CHECK(made.group.clone_fd() >= 0);
  const Child child(made.group, true);
  REQUIRE(wait_for_members(made.group, 6));
  REQUIRE(made.group.freeze());
  CHECK(made.group.frozen());
  REQUIRE(made.group.signal_all(SIGKILL));
  CHECK(wait_for_members(made.group, 0));
}

TEST_CASE("the device program is accepted by the kernel and denies") {
  const auto layout = unified();
  SKIP_UNLESS(layout, "needs root and a cgroup2 mount");
  Group made(*layout, "bpf");
  REQUIRE(made.group.create());
  const auto program =
      cgroup::device_program(cgroup::device_policy({{false, "a", {}, {}, "rwm"}, {false, "c", 1, 9, "w"}}));
  REQUIRE(cgroup::attach_device_program(made.group.clone_fd(), program, false));
  // Replacing must leave one program in force, not none.
  REQUIRE(cgroup::attach_device_program(made.group.clone_fd(), program, true));
  const auto files = made.group.open_join_files().value();
  const std::string node = concat("/tmp/berth-node-", ::getpid());
  REQUIRE(::mknod(node.c_str(), S_IFCHR | 0600, ::makedev(1, 11)) == 0);  // kmsg: not among the defaults
  const pid_t pid = ::fork();
  if (pid == 0) {
    if (::write(files[0].get(), "0", 1) != 1) ::_exit(1);
    if (::open("/dev/null", O_RDWR) < 0) ::_exit(2);
    if (::open(node.c_str(), O_RDONLY) >= 0 || errno != EPERM) ::_exit(3);
    ::_exit(0);
  }
  int status = -1;
  ::waitpid(pid, &status, 0);
  ::unlink(node.c_str());
  CHECK(WEXITSTATUS(status) == 0);
}
