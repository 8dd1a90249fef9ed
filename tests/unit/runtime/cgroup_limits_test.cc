// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "runtime/cgroup/devices.h"
#include "runtime/cgroup/limits.h"
#include "tests/support/catch.h"

using namespace berth;
using namespace berth::cgroup;

namespace {

const Setting* find(const std::vector<Setting>& settings, std::string_view file) {
  const auto found = std::ranges::find(settings, file, &Setting::file);
  return found == settings.end() ? nullptr : &*found;
}

std::string value(const std::vector<Setting>& settings, std::string_view file) {
  const auto* found = find(settings, file);
  return found == nullptr ? "(absent)" : found->value;
}

std::vector<Setting> v1(const oci::Resources& resources) { return v1_settings(resources).value(); }
std::vector<Setting> v2(const oci::Resources& resources, std::string_view cpu_max = {}) {
  return v2_settings(resources, cpu_max).value();
}

oci::Resources memory(std::optional<int64_t> limit, std::optional<int64_t> swap = {}) {
  oci::Resources out;
  out.memory.emplace().limit = limit;
  out.memory->swap = swap;
  return out;
}

// A small interpreter of the instructions that device_program emits: the kernel's answer without the kernel.
bool run_program(const std::vector<bpf_insn>& program, unsigned type, unsigned access, int64_t major, int64_t minor) {
  uint64_t r[11] = {};
  for (size_t pc = 0; pc < program.size(); ++pc) {
    const auto& i = program[pc];
    const auto imm = static_cast<uint64_t>(static_cast<int64_t>(i.imm));
    switch (i.code) {
      case BPF_LDX | BPF_MEM | BPF_W:
        r[i.dst_reg] = i.off == 0 ? (access << 16 | type) : static_cast<uint64_t>(i.off == 4 ? major : minor);
        break;
      case BPF_ALU64 | BPF_MOV | BPF_X:
        r[i.dst_reg] = r[i.src_reg];
        break;
      case BPF_ALU64 | BPF_MOV | BPF_K:
        r[i.dst_reg] = imm;
        break;
      case BPF_ALU64 | BPF_AND | BPF_K:
        r[i.dst_reg] &= imm;
        break;
      case BPF_ALU64 | BPF_RSH | BPF_K:
        r[i.dst_reg] >>= imm;
        break;
      case BPF_JMP | BPF_JNE | BPF_K:
        if (r[i.dst_reg] != imm) pc += static_cast<size_t>(i.off);
        break;
      case BPF_JMP | BPF_JEQ | BPF_K:
        if (r[i.dst_reg] == imm) pc += static_cast<size_t>(i.off);
        break;
      case BPF_JMP | BPF_EXIT:
        return r[0] != 0;
      default:
        FAIL("unknown instruction");
    }
  }
  FAIL("ran off the end");
  return false;
}

constexpr unsigned kBlock = BPF_DEVCG_DEV_BLOCK, kChar = BPF_DEVCG_DEV_CHAR;
constexpr unsigned kMknod = BPF_DEVCG_ACC_MKNOD, kRead = BPF_DEVCG_ACC_READ, kWrite = BPF_DEVCG_ACC_WRITE;

bool allowed(const std::vector<oci::DeviceRule>& rules, unsigned type, unsigned access, int64_t major, int64_t minor) {
  return run_program(device_program(device_policy(rules)), type, access, major, minor);
}

}  // namespace

TEST_CASE("cpu shares become weights by the quadratic formula") {
  CHECK(cpu_weight(0) == 0);
  CHECK(cpu_weight(2) == 1);
  CHECK(cpu_weight(1024) == 100);
  CHECK(cpu_weight(262144) == 10000);
  CHECK(cpu_weight(1u << 30) == 10000);
  uint64_t before = 0;
  for (uint64_t shares = 2; shares <= 262144; shares *= 2) {
    CHECK(cpu_weight(shares) >= before);
    before = cpu_weight(shares);
  }
}

TEST_CASE("blkio weights become io weights") {
  CHECK(io_weight(0) == 0);
  CHECK(io_weight(10) == 1);
  CHECK(io_weight(500) == 4950);
  CHECK(io_weight(1000) == 10000);
}

TEST_CASE("no resources need no write") {
  CHECK(v1({}).empty());
  CHECK(v2({}).empty());
}

TEST_CASE("a memory limit is written under the names of each version") {
  CHECK(value(v1(memory(1 << 20)), "memory.limit_in_bytes") == "1048576");
  CHECK(value(v2(memory(1 << 20)), "memory.max") == "1048576");
}

TEST_CASE("memory zero means unset") {
  CHECK(v1(memory(0, 0)).empty());
  CHECK(v2(memory(0, 0)).empty());
}

TEST_CASE("v2 swap is the OCI swap less the memory") {
  const auto settings = v2(memory(100, 150));
  CHECK(value(settings, "memory.swap.max") == "50");
  CHECK_FALSE(find(settings, "memory.swap.max")->optional);
  CHECK(find(settings, "memory.swap.max") < find(settings, "memory.max"));
}

TEST_CASE("swap equal to memory forbids swap and needs no swap controller") {
  const auto settings = v2(memory(100, 100));
  CHECK(value(settings, "memory.swap.max") == "0");
  CHECK(find(settings, "memory.swap.max")->optional);
}

TEST_CASE("unlimited memory without a swap limit makes swap unlimited too") {
  CHECK(value(v1(memory(-1)), "memory.memsw.limit_in_bytes") == "-1");
  CHECK(value(v2(memory(-1)), "memory.swap.max") == "max");
  CHECK(value(v2(memory(-1)), "memory.max") == "max");
}

TEST_CASE("a swap limit without or below a memory limit is refused") {
  CHECK_FALSE(v2_settings(memory({}, 100)));
  CHECK(value(v1(memory({}, 100)), "memory.memsw.limit_in_bytes") == "100");  // the kernel compares
  CHECK_FALSE(v2_settings(memory(200, 100)));
  CHECK(v2_settings(memory(200, -1)));
}

TEST_CASE("swappiness above 100 is refused") {
  oci::Resources resources;
  resources.memory.emplace().swappiness = 101;
  CHECK_FALSE(v1_settings(resources));
  resources.memory->swappiness = 60;
  CHECK(value(v1(resources), "memory.swappiness") == "60");
}

TEST_CASE("cpu quota and period share cpu.max on v2") {
  oci::Resources resources;
  resources.cpu.emplace().quota = 50000;
  CHECK(value(v2(resources), "cpu.max") == "50000");
  resources.cpu->period = 100000;
  CHECK(value(v2(resources), "cpu.max") == "50000 100000");
  resources.cpu->quota = -1;
  CHECK(value(v2(resources), "cpu.max") == "max 100000");
}

TEST_CASE("a period alone keeps the quota in force") {
  oci::Resources resources;
  resources.cpu.emplace().period = 20000;
  CHECK(value(v2(resources, "7000 100000\n"), "cpu.max") == "7000 20000");
  CHECK(value(v2(resources), "cpu.max") == "max 20000");
}

TEST_CASE("cpu burst idle and cpusets have their files") {
  oci::Resources resources;
  auto& cpu = resources.cpu.emplace();
  cpu.burst = 1000;
  cpu.idle = 1;
  cpu.cpus = "0-1";
  cpu.mems = "0";
  CHECK(value(v1(resources), "cpu.cfs_burst_us") == "1000");
  CHECK(value(v2(resources), "cpu.max.burst") == "1000");
  CHECK(value(v1(resources), "cpu.idle") == "1");
  CHECK(value(v2(resources), "cpuset.cpus") == "0-1");
  CHECK(value(v1(resources), "cpuset.mems") == "0");
}

TEST_CASE("a pids limit of zero is a real limit and minus one is none") {
  oci::Resources resources;
  CHECK(value(v1(resources), "pids.max") == "(absent)");
  resources.pids_limit = 0;
  CHECK(value(v1(resources), "pids.max") == "0");
  resources.pids_limit = -1;
  CHECK(value(v2(resources), "pids.max") == "max");
}

TEST_CASE("block io limits name the device") {
  oci::Resources resources;
  auto& io = resources.block_io.emplace();
  io.weight = 500;
  io.throttle_read_bps = {{8, 0, 1024}};
  io.throttle_write_iops = {{8, 16, 0}};
  CHECK(value(v1(resources), "blkio.throttle.read_bps_device") == "8:0 1024");
  CHECK(value(v1(resources), "blkio.throttle.write_iops_device") == "8:16 0");
  const auto settings = v2(resources);
  CHECK(std::ranges::count(settings, std::string("8:0 rbps=1024"), &Setting::value) == 1);
  CHECK(std::ranges::count(settings, std::string("8:16 wiops=max"), &Setting::value) == 1);
  CHECK(find(settings, "io.bfq.weight")->other_file == "io.weight");
  CHECK(find(settings, "io.bfq.weight")->other_value == "default 4950");
}

TEST_CASE("huge page limits of zero tolerate a missing controller") {
  oci::Resources resources;
  resources.hugepage_limits = {{"2MB", 0}, {"1GB", 1u << 30}};
  const auto settings = v1(resources);
  CHECK(find(settings, "hugetlb.2MB.limit_in_bytes")->optional);
  CHECK_FALSE(find(settings, "hugetlb.1GB.limit_in_bytes")->optional);
  CHECK(find(settings, "hugetlb.1GB.rsvd.limit_in_bytes")->optional);
  CHECK(value(v2(resources), "hugetlb.1GB.max") == "1073741824");
}

TEST_CASE("unified keys are files of v2 only") {
  oci::Resources resources;
  resources.unified = {{"memory.high", "4096"}};
  CHECK(value(v2(resources), "memory.high") == "4096");
  CHECK(find(v2(resources), "memory.high")->controller == "memory");
  CHECK_FALSE(v1_settings(resources));
  resources.unified = {{"../cgroup.procs", "1"}};
  CHECK_FALSE(v2_settings(resources));
  resources.unified = {{"nodot", "1"}};
  CHECK_FALSE(v2_settings(resources));
}

TEST_CASE("network and rdma limits are written as the kernel reads them") {
  oci::Resources resources;
  resources.network.emplace().class_id = 1048577;
  resources.network->priorities = {{"eth0", 5}};
  resources.rdma["mlx5_1"] = {3, {}};
  CHECK(value(v1(resources), "net_cls.classid") == "1048577");
  CHECK(value(v1(resources), "net_prio.ifpriomap") == "eth0 5");
  CHECK(value(v2(resources), "rdma.max") == "mlx5_1 hca_handle=3");
  CHECK(find(v2(resources), "net_cls.classid") == nullptr);
}

TEST_CASE("every container may use null but not a disk") {
  CHECK(allowed({}, kChar, kRead | kWrite, 1, 3));
  CHECK(allowed({}, kChar, kRead | kWrite | kMknod, 136, 7));
  CHECK(allowed({}, kBlock, kMknod, 8, 0));
  CHECK_FALSE(allowed({}, kBlock, kRead, 8, 0));
  CHECK_FALSE(allowed({}, kChar, kRead, 10, 229));
}

TEST_CASE("allow all is one program without rules") {
  CHECK(device_policy({{true, "a", {}, {}, "rwm"}}).rules.empty());
  CHECK(allowed({{true, "a", {}, {}, "rwm"}}, kBlock, kRead | kWrite, 8, 0));
  CHECK(allowed({{true, "", -1, -1, "rwm"}}, kBlock, kRead | kWrite, 8, 0));
}

TEST_CASE("later device rules win bit by bit") {
  const std::vector<oci::DeviceRule> rules{
      {false, "a", {}, {}, "rwm"}, {true, "b", 8, {}, "rwm"}, {false, "b", 8, 1, "w"}, {true, "c", 10, 229, "r"}};
  CHECK(allowed(rules, kBlock, kRead | kWrite, 8, 0));
  CHECK(allowed(rules, kBlock, kRead, 8, 1));
  CHECK_FALSE(allowed(rules, kBlock, kRead | kWrite, 8, 1));
  CHECK(allowed(rules, kChar, kRead, 10, 229));
  CHECK_FALSE(allowed(rules, kChar, kWrite, 10, 229));
}

TEST_CASE("two rules may allow one access together") {
  const std::vector<oci::DeviceRule> rules{{true, "c", 10, 229, "r"}, {true, "c", 10, 229, "w"}};
  CHECK(allowed(rules, kChar, kRead | kWrite, 10, 229));
}

TEST_CASE("v1 denies everything first and adds what is allowed") {
  const auto writes =
      v1_device_writes(device_policy({{false, "a", {}, {}, "rwm"}, {true, "c", 10, 229, "rw"}})).value();
  CHECK(writes.front().line == "a");
  CHECK_FALSE(writes.front().allow);
  CHECK(writes[1].line == "c 10:229 rw");
  CHECK(writes[1].allow);
  CHECK(writes.back().line == "c 10:200 rwm");
}

TEST_CASE("v1 cannot punch a hole in a wildcard and says so") {
  CHECK_FALSE(v1_device_writes(device_policy({{true, "c", 10, {}, "rwm"}, {false, "c", 10, 229, "rwm"}})));
}
