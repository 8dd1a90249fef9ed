// SPDX-License-Identifier: Apache-2.0
#include "runtime/cgroup/stats.h"
#include "tests/support/catch.h"

using namespace berth::cgroup;

namespace {

constexpr char kHybridMounts[] =
    "31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755\n"
    "32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct\n"
    "35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n"
    "40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,xattr,name=systemd\n"
    "41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n"
    "50 31 0:32 / /elsewhere/memory rw,relatime - cgroup cgroup rw,memory\n";
constexpr char kHybridSelf[] = "4:memory:/own/here\n2:cpu,cpuacct:/\n1:name=systemd:/init.scope\n0::/\n";
constexpr char kUnifiedMounts[] =
    "25 20 0:22 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate,memory_recursiveprot\n";

}  // namespace

TEST_CASE("a hybrid host counts as v1 and each hierarchy once") {
  const auto layout = parse_layout(kHybridMounts, kHybridSelf).value();
  CHECK_FALSE(layout.v2);
  REQUIRE(layout.hierarchies.size() == 3);
  CHECK(layout.hierarchies[0].controllers == std::vector<std::string>{"cpu", "cpuacct"});
  CHECK(layout.hierarchies[1].own == "/own/here");
  CHECK(layout.hierarchies[2].controllers == std::vector<std::string>{"name=systemd"});
}

TEST_CASE("a host with cgroup2 alone is v2") {
  const auto layout = parse_layout(kUnifiedMounts, "0::/user.slice\n").value();
  CHECK(layout.v2);
  REQUIRE(layout.hierarchies.size() == 1);
  CHECK(layout.hierarchies[0].own == "/user.slice");
}

TEST_CASE("a named hierarchy beside cgroup2 does not make a host v1") {
  const std::string mounts =
      std::string(kUnifiedMounts) + "40 31 0:37 / /run/systemd/cg rw - cgroup cgroup rw,name=systemd\n";
  CHECK(parse_layout(mounts, "0::/\n").value().v2);
}

TEST_CASE("a host without cgroups is told so") { CHECK_FALSE(parse_layout("1 1 0:1 / / rw - ext4 /dev/a rw\n", "")); }

TEST_CASE("an absolute path starts at the root of each hierarchy") {
  const auto layout = parse_layout(kHybridMounts, kHybridSelf).value();
  const auto group = Cgroup::locate(layout, "/kubepods//pod1/c1/", "c1").value();
  CHECK(group.paths().at("memory") == "/sys/fs/cgroup/memory/kubepods/pod1/c1");
  CHECK(group.paths().at("cpuacct") == "/sys/fs/cgroup/cpu,cpuacct/kubepods/pod1/c1");
  CHECK(group.paths().at("name=systemd") == "/sys/fs/cgroup/systemd/kubepods/pod1/c1");
}

TEST_CASE("a relative path starts at the caller's own cgroup") {
  const auto layout = parse_layout(kHybridMounts, kHybridSelf).value();
  const auto group = Cgroup::locate(layout, "pods/c1", "c1").value();
  CHECK(group.paths().at("memory") == "/sys/fs/cgroup/memory/own/here/pods/c1");
  CHECK(group.paths().at("cpu") == "/sys/fs/cgroup/cpu,cpuacct/pods/c1");
}

TEST_CASE("an empty path is the id and a mounted subtree is taken off the own cgroup") {
  const auto layout = parse_layout("25 20 0:22 /outer /cg rw - cgroup2 cgroup2 rw\n", "0::/outer/inner\n").value();
  CHECK(Cgroup::locate(layout, "", "box").value().paths().at("") == "/cg/box");
  CHECK(Cgroup::locate(layout, "x", "box").value().paths().at("") == "/cg/inner/x");
}

TEST_CASE("paths that leave or belong to systemd are refused") {
  const auto layout = parse_layout(kUnifiedMounts, "0::/\n").value();
  CHECK_FALSE(Cgroup::locate(layout, "/a/../b", "c"));
  CHECK_FALSE(Cgroup::locate(layout, "..", "c"));
  CHECK_FALSE(Cgroup::locate(layout, "machine.slice:berth:c", "c"));
  CHECK_FALSE(Cgroup::locate(layout, "/", "c"));
}

TEST_CASE("working set is usage less inactive file and never negative") {
  const auto v2 = parse_memory_stat_v2("anon 100\nfile 50\ninactive_file 30\npgfault 7\npgmajfault 2\n", 200);
  CHECK(v2.working_set == 170);
  CHECK(v2.rss == 100);
  CHECK(v2.cache == 50);
  CHECK(v2.page_faults == 7);
  CHECK(v2.major_page_faults == 2);
  CHECK(parse_memory_stat_v2("inactive_file 300\n", 200).working_set == 0);
}

TEST_CASE("v1 memory figures are the hierarchical ones") {
  const auto v1 =
      parse_memory_stat_v1("rss 1\ntotal_rss 100\ntotal_cache 9\ninactive_file 5\ntotal_inactive_file 40\n", 90);
  CHECK(v1.rss == 100);
  CHECK(v1.cache == 9);
  CHECK(v1.working_set == 50);
}

TEST_CASE("io.stat lines are read per device") {
  const auto io = parse_io_stat("8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=0 dios=0\n\n259:1 rbytes=9\n");
  REQUIRE(io.size() == 2);
  CHECK(io[0] == IoEntry{8, 0, 1, 2, 3, 4});
  CHECK(io[1] == IoEntry{259, 1, 9, 0, 0, 0});
}

TEST_CASE("blkio bytes and operations of a device become one entry") {
  std::vector<IoEntry> io;
  merge_blkio("8:0 Read 10\n8:0 Write 20\n8:0 Sync 30\nTotal 30\n", true, io);
  merge_blkio("8:0 Read 1\n8:0 Write 2\n", false, io);
  REQUIRE(io.size() == 1);
  CHECK(io[0] == IoEntry{8, 0, 10, 20, 1, 2});
}

TEST_CASE("pressure lines give averages and a total") {
  const auto line = parse_pressure_line("some avg10=1.50 avg60=0.25 avg300=0.00 total=12345");
  CHECK(line.avg10 == Approx(1.5));
  CHECK(line.avg60 == Approx(0.25));
  CHECK(line.total_us == 12345);
}
