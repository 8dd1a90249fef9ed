// SPDX-License-Identifier: Apache-2.0
#include "runtime/oci/validate.h"
#include "tests/support/catch.h"

using namespace berth;

namespace {

oci::Spec good() {
  oci::Spec spec;
  spec.root = oci::Root{"rootfs", false};
  spec.process.emplace();
  spec.process->args = {"sh"};
  spec.process->cwd = "/";
  for (const char* type : {"pid", "mount", "uts", "ipc", "network"}) spec.linux_.namespaces.push_back({type, ""});
  return spec;
}

std::string error_of(const oci::Spec& spec) {
  const auto result = oci::validate(spec);
  return result ? "" : result.error().message();
}

bool mentions(const oci::Spec& spec, std::string_view text) { return error_of(spec).find(text) != std::string::npos; }

}  // namespace

TEST_CASE("a plain spec is valid", "[validate]") { CHECK(error_of(good()).empty()); }

TEST_CASE("only version 1 is accepted", "[validate]") {
  auto spec = good();
  for (const char* version : {"1.0.0-rc5", "1.0.2", "1.3.1"}) {
    spec.oci_version = version;
    CHECK(error_of(spec).empty());
  }
  for (const char* version : {"", "1", "2.0.0", "x.y.z"}) {
    spec.oci_version = version;
    CHECK(mentions(spec, "ociVersion"));
  }
}

TEST_CASE("process needs arguments and an absolute working directory", "[validate]") {
  auto spec = good();
  spec.process->args.clear();
  CHECK(mentions(spec, "args"));
  spec = good();
  spec.process->cwd = "tmp";
  CHECK(mentions(spec, "Cwd must be an absolute path"));
  spec.process->cwd = "";
  CHECK(mentions(spec, "Cwd property must not be empty"));
}

TEST_CASE("a NUL byte in an argument is refused", "[validate]") {
  auto spec = good();
  spec.process->args.emplace_back("a\0b", 3);
  CHECK(mentions(spec, "NUL"));
}

TEST_CASE("namespaces are known and listed once", "[validate]") {
  auto spec = good();
  spec.linux_.namespaces.push_back({"pid", ""});
  CHECK(mentions(spec, "listed twice"));
  spec = good();
  spec.linux_.namespaces.push_back({"foo", ""});
  CHECK(mentions(spec, "unknown type"));
}

TEST_CASE("hostname needs a uts namespace", "[validate]") {
  auto spec = good();
  spec.hostname = "x";
  CHECK(error_of(spec).empty());
  std::erase_if(spec.linux_.namespaces, [](const auto& entry) { return entry.type == "uts"; });
  CHECK(mentions(spec, "UTS"));
}

TEST_CASE("sysctls must belong to a namespace of the container's own", "[validate]") {
  auto spec = good();
  for (const char* key : {"net.ipv4.ip_forward", "net/ipv4/ip_forward", "kernel.shmmax", "fs.mqueue.msg_max"}) {
    spec.linux_.sysctl = {{key, "1"}};
    INFO(key);
    CHECK(error_of(spec).empty());
  }
  for (const char* key : {"kernel.core_pattern", "vm.overcommit_memory", "net..x", "../sysrq", "kernel/../x", ""}) {
    spec.linux_.sysctl = {{key, "1"}};
    INFO(key);
    CHECK(mentions(spec, "sysctl"));
  }
  std::erase_if(spec.linux_.namespaces, [](const auto& entry) { return entry.type == "network"; });
  spec.linux_.sysctl = {{"net.ipv4.ip_forward", "1"}};
  CHECK(mentions(spec, "needs a network namespace"));
}

TEST_CASE("mount destinations are absolute", "[validate]") {
  auto spec = good();
  spec.mounts.push_back({"data", "tmpfs", "tmpfs", {}, {}, {}});
  CHECK(mentions(spec, "mount destination not absolute"));
}

TEST_CASE("id mappings need a user namespace, and it needs them", "[validate]") {
  auto spec = good();
  spec.linux_.uid_mappings = {{0, 1000, 1}};
  spec.linux_.gid_mappings = {{0, 1000, 1}};
  CHECK(mentions(spec, "user namespace isn't enabled"));
  spec.linux_.namespaces.push_back({"user", ""});
  CHECK(error_of(spec).empty());
  spec.linux_.uid_mappings = {{0, 4294967295u, 2}};
  CHECK(mentions(spec, "overflows"));
  spec.linux_.uid_mappings.clear();
  CHECK(mentions(spec, "needs uidMappings"));
}

TEST_CASE("an rlimit is listed once and its soft part is not above the hard one", "[validate]") {
  auto spec = good();
  spec.process->rlimits = {{"RLIMIT_CORE", 1, 1}, {"RLIMIT_CORE", 1, 1}};
  CHECK(mentions(spec, "listed twice"));
  spec.process->rlimits = {{"RLIMIT_CORE", 2, 1}};
  CHECK(mentions(spec, "soft limit"));
}

TEST_CASE("hooks have absolute paths and positive timeouts", "[validate]") {
  auto spec = good();
  spec.hooks.emplace();
  spec.hooks->poststop.push_back({"hook", {}, {}, {}});
  CHECK(mentions(spec, "path must be absolute"));
  spec.hooks->poststop = {{"/hook", {}, {}, 0}};
  CHECK(mentions(spec, "timeout"));
}

TEST_CASE("masked and read-only paths are absolute", "[validate]") {
  auto spec = good();
  spec.linux_.masked_paths = {"proc/keys"};
  CHECK(mentions(spec, "absolute"));
}

TEST_CASE("what is not supported is refused, not ignored", "[validate]") {
  auto spec = good();
  spec.linux_.net_devices["eth0"] = {};
  const auto result = oci::validate(spec);
  REQUIRE_FALSE(result.has_value());
  CHECK(result.error().code() == Code::kUnimplemented);
}
