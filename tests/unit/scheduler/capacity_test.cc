// SPDX-License-Identifier: Apache-2.0
#include <stdlib.h>
#include <sys/stat.h>

#include <fstream>

#include "agent/accounting/capacity.h"
#include "agent/accounting/quantity.h"
#include "agent/scheduler/allocation.h"
#include "runtime/sys/file.h"
#include "tests/support/catch.h"

using namespace berth;
using namespace berth::accounting;

TEST_CASE("quantities parse exactly") {
  struct Case {
    const char* resource;
    const char* text;
    int64_t value;
  };
  const Case cases[] = {{"cpu", "500m", 500}, {"cpu", "1.5", 1500}, {"cpu", "2", 2000}, {"cpu", "0.001", 1}, {"cpu", "0", 0}, {"cpu", "1k", 1'000'000},
                        {"cpu", "1e3", 1'000'000}, {"memory", "128Mi", 134217728}, {"memory", "1G", 1000000000}, {"memory", "1.5Gi", 1610612736},
                        {"memory", "1e3", 1000}, {"memory", "1E3", 1000}, {"memory", "1E", 1000000000000000000}, {"memory", "0.5Ki", 512},
                        {"memory", "2000m", 2}, {"memory", "9223372036854775807", INT64_MAX}, {"memory", "7Ei", 7ll << 60}, {"pids", "100", 100},
                        {"memory", "1.0000", 1}, {"vendor.com/gpu", "2", 2}, {"cpu", "1500e-3", 1500}, {"memory", "1T", 1000000000000}};
  for (const auto& c : cases) {
    INFO(c.text);
    const auto value = parse_quantity(c.resource, c.text);
    REQUIRE(value);
    CHECK(*value == c.value);
  }
}

TEST_CASE("what is no exact quantity is refused") {
  for (const char* text : {"", "-1", "+1", " 1", "1 ", "1.", ".5", "1..2", "1Kb", "1MiB", "1K", "abc", "1e", "1e99", "0x10", "1,5", "1.2.3", "Mi", "1e+3"}) {
    INFO(text);
    CHECK(parse_quantity("memory", text).error().code() == Code::kInvalidArgument);
  }
  CHECK(parse_quantity("cpu", "0.0001").error().message() == "cpu \"0.0001\": finer than 1m");
  CHECK(parse_quantity("memory", "100m").error().message() == "memory \"100m\": finer than 1 byte");
  CHECK(parse_quantity("memory", "9223372036854775808").error().code() == Code::kOutOfRange);
  CHECK(parse_quantity("memory", "8Ei").error().code() == Code::kOutOfRange);
  CHECK(parse_quantity("memory", std::string(400, '9')).error().code() == Code::kOutOfRange);
}

TEST_CASE("formatted quantities parse back to the same amount") {
  for (const int64_t value : {0ll, 1ll, 500ll, 1000ll, 1500ll, 1024ll, 128ll << 20, 62ll << 30, 4402341478ll}) {
    for (const char* resource : {"cpu", "memory", "pids"}) CHECK(parse_quantity(resource, format_quantity(resource, value)).value() == value);
  }
  CHECK(format_quantity("cpu", 1500) == "1500m");
  CHECK(format_quantity("memory", 128 << 20) == "128Mi");
  CHECK(display_quantity("memory", 4402341478) == "4.1Gi");
}

TEST_CASE("allocatable is what reserves and carve-outs leave, never negative") {
  CHECK(ResourceCapacity{1000, 100, 50, 200}.allocatable() == 650);
  CHECK(ResourceCapacity{1000, 2000, 0, 0}.allocatable() == 0);
}

TEST_CASE("this machine's capacity can be read") {
  CapacityConfig config;
  config.root = "/tmp";
  const auto capacity = read_capacity(config);
  REQUIRE(capacity);
  CHECK(capacity->at("cpu").capacity >= 1000);
  CHECK(capacity->at("memory").eviction_reserved == 100 << 20);
  CHECK(capacity->at("slots").allocatable() == 110);
  const auto& disk = capacity->at("ephemeral-storage");
  CHECK(disk.allocatable() == disk.capacity - disk.capacity / 10);
  CHECK(capacity->at("pids").capacity > 0);
}

TEST_CASE("hugepage pools are resources of their own and are carved out of memory") {
  char dir[] = "/tmp/berth-capacity-XXXXXX";
  REQUIRE(::mkdtemp(dir) != nullptr);
  const std::string root = dir;
  REQUIRE(sys::make_directories(root + "/sys/kernel/mm/hugepages/hugepages-2048kB"));
  REQUIRE(sys::make_directories(root + "/proc/sys/kernel"));
  std::ofstream(root + "/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages") << "1024\n";
  std::ofstream(root + "/proc/meminfo") << "MemTotal:       67108864 kB\nMemFree: 1 kB\n";
  std::ofstream(root + "/proc/sys/kernel/pid_max") << "32768\n";
  std::ofstream(root + "/proc/sys/kernel/threads-max") << "999999\n";
  CapacityConfig config;
  config.root = "/tmp";
  config.proc = root + "/proc";
  config.sys = root + "/sys";
  config.system_reserved = {{"memory", 1ll << 30}, {"pids", 1000}};
  const auto capacity = read_capacity(config);
  REQUIRE(capacity);
  CHECK(capacity->at("hugepages-2Mi").allocatable() == 2ll << 30);
  CHECK(capacity->at("memory").allocatable() == (64ll << 30) - (2ll << 30) - (1ll << 30) - (100 << 20));
  CHECK(capacity->at("pids").allocatable() == 31768);
  config.system_reserved = {{"gpu", 1}};
  CHECK(read_capacity(config).error().message() == "system reserve of \"gpu\": no such resource on this node");
  REQUIRE(sys::remove_tree(root));
}

namespace {
using Resources = runtime::v1::LinuxContainerResources;
}

TEST_CASE("kubelet's cpu shares give back every request in milli-cores exactly") {
  for (int64_t milli = 3; milli <= 64000; ++milli) {
    Resources r;
    r.set_cpu_shares(std::max<int64_t>(milli * 1024 / 1000, 2));
    REQUIRE(scheduler::allocation_of(r, 0).requests.at("cpu") == milli);
  }
}

TEST_CASE("the smallest shares mean no cpu request") {
  Resources r;
  r.set_cpu_shares(2);
  CHECK_FALSE(scheduler::allocation_of(r, 0).requests.contains("cpu"));
}

TEST_CASE("a cpu limit alone counts as the request, estimated") {
  Resources r;
  r.set_cpu_quota(150000);
  r.set_cpu_period(100000);
  const auto out = scheduler::allocation_of(r, 0);
  CHECK(out.requests.at("cpu") == 1500);
  CHECK(out.estimated);
}

TEST_CASE("a Guaranteed container requests its memory limit exactly") {
  Resources r;
  r.set_memory_limit_in_bytes(1 << 30);
  r.set_oom_score_adj(-997);
  const auto out = scheduler::allocation_of(r, 64ll << 30);
  CHECK(out.requests.at("memory") == 1 << 30);
  CHECK_FALSE(out.estimated);
}

TEST_CASE("a Burstable container's memory request is estimated from its OOM score and never above the limit") {
  Resources r;
  r.set_oom_score_adj(985);
  const auto out = scheduler::allocation_of(r, 64ll << 30);
  CHECK(out.estimated);
  CHECK(out.requests.at("memory") >= 1 << 30);
  CHECK(out.requests.at("memory") < (1ll << 30) * 103 / 100);
  r.set_memory_limit_in_bytes(512 << 20);
  CHECK(scheduler::allocation_of(r, 64ll << 30).requests.at("memory") == 512 << 20);
}

TEST_CASE("a BestEffort container holds nothing") {
  Resources r;
  r.set_cpu_shares(2);
  r.set_oom_score_adj(1000);
  CHECK(scheduler::allocation_of(r, 64ll << 30).requests.empty());
}

TEST_CASE("hugepage limits are requests") {
  Resources r;
  auto* page = r.add_hugepage_limits();
  page->set_page_size("2MB");
  page->set_limit(64 << 20);
  CHECK(scheduler::allocation_of(r, 0).requests.at("hugepages-2Mi") == 64 << 20);
}
