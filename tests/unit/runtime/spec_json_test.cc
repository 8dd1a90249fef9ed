// SPDX-License-Identifier: Apache-2.0
#include "runtime/oci/spec_json.h"
#include "tests/support/catch.h"

using namespace berth;

namespace {

std::string error_of(std::string_view json) {
  const auto spec = oci::parse_spec(json);
  return spec ? "" : spec.error().message();
}

// Every section of the format, each with a value that differs from its default.
constexpr char kFull[] = R"({
 "ociVersion":"1.2.0","hostname":"h","domainname":"d","annotations":{"a":"b \" \u0001"},
 "process":{"terminal":true,"consoleSize":{"height":24,"width":80},"user":{"uid":1,"gid":2,"umask":18,"additionalGids":[5,6]},
  "args":["sh","-c"],"env":["A=b"],"cwd":"/w","capabilities":{"bounding":["CAP_KILL"],"ambient":["CAP_KILL"]},
  "rlimits":[{"type":"RLIMIT_CORE","soft":1,"hard":18446744073709551615}],"noNewPrivileges":true,"oomScoreAdj":-5,
  "scheduler":{"policy":"SCHED_BATCH","nice":3},"ioPriority":{"class":"IOPRIO_CLASS_BE","priority":4},
  "execCPUAffinity":{"initial":"0","final":"1"}},
 "root":{"path":"rootfs","readonly":true},
 "mounts":[{"destination":"/proc","type":"proc","source":"proc","options":["ro"]},
  {"destination":"/m","type":"bind","source":"/s","uidMappings":[{"containerID":0,"hostID":1,"size":2}],"gidMappings":[{"containerID":0,"hostID":1,"size":2}]}],
 "hooks":{"prestart":[{"path":"/h","args":["h","x"],"env":[],"timeout":3}],"poststop":[{"path":"/p"}]},
 "linux":{"namespaces":[{"type":"pid"},{"type":"network","path":"/n"}],"uidMappings":[{"containerID":0,"hostID":1000,"size":10}],
  "timeOffsets":{"monotonic":{"secs":-3,"nanosecs":4}},"devices":[{"path":"/dev/x","type":"c","major":10,"minor":229,"fileMode":438,"uid":0,"gid":5}],
  "netDevices":{"eth0":{"name":"e"}},"cgroupsPath":"/c","sysctl":{"net.x":"1"},"rootfsPropagation":"rslave",
  "maskedPaths":["/proc/k"],"readonlyPaths":["/proc/s"],"mountLabel":"l","personality":{"domain":"LINUX32"},
  "intelRdt":{"closID":"x"},"memoryPolicy":{"mode":"MPOL_BIND","nodes":"0"},
  "resources":{"devices":[{"allow":false,"access":"rwm"},{"allow":true,"type":"c","major":1,"minor":3,"access":"r"}],
   "memory":{"limit":-1,"swap":0,"swappiness":0,"disableOOMKiller":false},"cpu":{"shares":2,"quota":-1,"period":100000,"cpus":"0-1","idle":0},
   "pids":{"limit":0},"blockIO":{"weight":10,"weightDevice":[{"major":8,"minor":0,"weight":5}],"throttleReadBpsDevice":[{"major":8,"minor":0,"rate":7}]},
   "hugepageLimits":[{"pageSize":"2MB","limit":9}],"network":{"classID":1,"priorities":[{"name":"lo","priority":2}]},
   "rdma":{"mlx":{"hcaHandles":3}},"unified":{"memory.high":"1"}},
  "seccomp":{"defaultAction":"SCMP_ACT_ERRNO","defaultErrnoRet":38,"architectures":["SCMP_ARCH_X86_64"],"flags":[],
   "listenerPath":"/l","listenerMetadata":"m","syscalls":[{"names":["read"],"action":"SCMP_ACT_ALLOW","errnoRet":0,
   "args":[{"index":1,"value":18446744073709551615,"valueTwo":2,"op":"SCMP_CMP_EQ"}]}]}}
})";

}  // namespace

TEST_CASE("a config with every section survives parse and print", "[spec_json]") {
  const auto spec = oci::parse_spec(kFull);
  REQUIRE(spec.has_value());
  const std::string printed = oci::to_json(*spec);
  const auto again = oci::parse_spec(printed);
  REQUIRE(again.has_value());
  CHECK(oci::to_json(*again) == printed);
}

TEST_CASE("values of a full config are where they belong", "[spec_json]") {
  const auto spec = oci::parse_spec(kFull);
  REQUIRE(spec.has_value());
  CHECK(spec->process->user.additional_gids == std::vector<uint32_t>{5, 6});
  CHECK(spec->process->user.umask == 18u);
  CHECK(spec->process->rlimits[0].hard == ~0ULL);
  CHECK(spec->process->oom_score_adj == -5);
  CHECK(spec->annotations.at("a") == "b \" \x01");
  CHECK(spec->linux_.resources->memory->limit == -1);
  CHECK(spec->linux_.resources->memory->swap == 0);
  CHECK_FALSE(spec->linux_.resources->memory->reservation.has_value());
  CHECK(spec->linux_.resources->memory->disable_oom_killer == false);
  CHECK(spec->linux_.resources->pids_limit == 0);
  CHECK(spec->linux_.seccomp->syscalls[0].args[0].value == ~0ULL);
  CHECK(spec->linux_.time_offsets.at("monotonic").secs == -3);
}

TEST_CASE("absent and zero stay different", "[spec_json]") {
  const auto absent = oci::parse_resources("{}");
  const auto zero = oci::parse_resources(R"({"pids":{"limit":0}})");
  REQUIRE(absent.has_value());
  REQUIRE(zero.has_value());
  CHECK_FALSE(absent->pids_limit.has_value());
  CHECK(zero->pids_limit == 0);
  CHECK(oci::to_json(*absent) == "{}");
  CHECK(oci::to_json(*zero) == R"({"pids":{"limit":0}})");
}

TEST_CASE("seccomp flags absent and empty stay different", "[spec_json]") {
  CHECK_FALSE(oci::parse_seccomp(R"({"defaultAction":"SCMP_ACT_ALLOW"})")->flags.has_value());
  CHECK(oci::parse_seccomp(R"({"defaultAction":"SCMP_ACT_ALLOW","flags":[]})")->flags.has_value());
}

TEST_CASE("a hook without env inherits, with an empty env it does not", "[spec_json]") {
  const auto spec = oci::parse_spec(R"({"ociVersion":"1.0.0","hooks":{"prestart":[{"path":"/a"},{"path":"/b","env":[]}]}})");
  REQUIRE(spec.has_value());
  CHECK_FALSE(spec->hooks->prestart[0].env.has_value());
  CHECK(spec->hooks->prestart[1].env.has_value());
}

TEST_CASE("an error names the place in the document", "[spec_json]") {
  CHECK(error_of(R"({"ociVersion":"1.0.0","linux":{"resources":{"pids":{"limit":"x"}}}})") ==
        "config.linux.resources.pids.limit: must be an integer");
  CHECK(error_of(R"({"ociVersion":"1.0.0","mounts":[{"destination":"/a"},{"type":"x"}]})") == "config.mounts[1].destination: is missing");
}

TEST_CASE("a missing version is an error", "[spec_json]") { CHECK(error_of("{}") == "config.ociVersion: is missing"); }

TEST_CASE("numbers out of range are refused, not cut", "[spec_json]") {
  // CVE-2024-40635: a uid that wraps to 0.
  CHECK(error_of(R"({"ociVersion":"1.0.0","process":{"user":{"uid":4294967296,"gid":0}}})") == "config.process.user.uid: is out of range");
  CHECK(error_of(R"({"ociVersion":"1.0.0","process":{"user":{"uid":-1,"gid":0}}})") == "config.process.user.uid: is out of range");
}

TEST_CASE("a fraction is no integer", "[spec_json]") {
  CHECK(error_of(R"({"ociVersion":"1.0.0","process":{"user":{"uid":1.5,"gid":0}}})") == "config.process.user.uid: must be an integer");
}

TEST_CASE("wrong kinds of values are told apart", "[spec_json]") {
  CHECK(error_of(R"({"ociVersion":1})") == "config.ociVersion: must be a string");
  CHECK(error_of(R"({"ociVersion":"1.0.0","root":[]})") == "config.root: must be an object");
  CHECK(error_of(R"({"ociVersion":"1.0.0","mounts":{}})") == "config.mounts: must be an array");
  CHECK(error_of(R"({"ociVersion":"1.0.0","root":{"path":"x","readonly":1}})") == "config.root.readonly: must be true or false");
}

TEST_CASE("null counts as absent", "[spec_json]") {
  const auto spec = oci::parse_spec(R"({"ociVersion":"1.0.0","process":null,"mounts":null,"linux":{"resources":null}})");
  REQUIRE(spec.has_value());
  CHECK_FALSE(spec->process.has_value());
  CHECK_FALSE(spec->linux_.resources.has_value());
}

TEST_CASE("unknown members are ignored", "[spec_json]") {
  CHECK(error_of(R"({"ociVersion":"1.0.0","windows":{"a":1},"linux":{"future":[1]}})").empty());
}

TEST_CASE("broken documents are refused", "[spec_json]") {
  for (const char* text : {"", "{", "[]", "nul", "{\"ociVersion\":\"1.0.0\"} x", "{\"ociVersion\":\"\xff\"}"}) {
    INFO(text);
    CHECK_FALSE(error_of(text).empty());
  }
  CHECK_FALSE(error_of(std::string(100000, '[')).empty());
}
