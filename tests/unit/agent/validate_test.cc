// SPDX-License-Identifier: Apache-2.0
// What requests may say (CVE-2022-0811, CVE-2022-4318, CVE-2025-0750).
#include "agent/pods/validate.h"

#include "agent/pods/sandbox_files.h"
#include "runtime/base/strings.h"
#include "tests/support/catch.h"

using namespace berth;
namespace v1 = ::runtime::v1;

namespace {

v1::PodSandboxConfig sandbox() {
  v1::PodSandboxConfig config;
  config.mutable_metadata()->set_name("web");
  config.mutable_metadata()->set_namespace_("default");
  config.mutable_metadata()->set_uid("u1");
  return config;
}

v1::ContainerConfig container() {
  v1::ContainerConfig config;
  config.mutable_metadata()->set_name("app");
  config.mutable_image()->set_image("busybox");
  return config;
}

Code code_of(const Result<>& result) { return result ? Code::kCancelled : result.error().code(); }
Code sandbox_code(const v1::PodSandboxConfig& config) { return code_of(pods::validate_sandbox(config, "", false)); }

}  // namespace

TEST_CASE("a plain sandbox is accepted, for the default handler and by its name only") {
  CHECK(pods::validate_sandbox(sandbox(), "", false));
  CHECK(pods::validate_sandbox(sandbox(), "berth", false));
  CHECK(code_of(pods::validate_sandbox(sandbox(), "kata", false)) == Code::kInvalidArgument);
}

TEST_CASE("a sandbox needs metadata") { CHECK(sandbox_code({}) == Code::kInvalidArgument); }

TEST_CASE("safe sysctls of the pod's own namespaces are accepted") {
  auto config = sandbox();
  auto& sysctls = *config.mutable_linux()->mutable_sysctls();
  sysctls["kernel.shm_rmid_forced"] = "1";
  sysctls["fs.mqueue.msg_max"] = "100";
  sysctls["net.ipv4.ip_local_port_range"] = "1024 65535";
  CHECK(pods::validate_sandbox(config, "", false));
}

TEST_CASE("sysctls that reach the host are refused") {
  const std::pair<const char*, const char*> cases[] = {{"kernel.core_pattern", "core"},
                                                       {"kernel.sysrq", "1"},
                                                       {"vm.swappiness", "1"},
                                                       {"net", "1"},
                                                       {"fs.file-max", "1"},
                                                       {"kernel.shm_rmid_forced+kernel.core_pattern", "1"},
                                                       {"kernel.shm_rmid_forced", "1+kernel.core_pattern=|/bin/x"},
                                                       {"net.ipv4.ip_forward=1", "1"},
                                                       {"net.ipv4.ip_forward\nkernel.core_pattern", "1"},
                                                       {"net.ipv4.ip_forward", "1\n2"},
                                                       {"net/../kernel/core_pattern", "1"},
                                                       {"net...x", "1"},
                                                       {"../kernel/core_pattern", "1"},
                                                       {"/kernel/core_pattern", "1"},
                                                       {"", "1"},
                                                       {"kernel.hostname", "x"},
                                                       {"net.ipv4.", "1"},
                                                       {"kernel.shm max", "1"},
                                                       {"kernel/core_pattern", "1"}};
  for (const auto& [key, value] : cases) {
    CAPTURE(key, value);
    auto config = sandbox();
    (*config.mutable_linux()->mutable_sysctls())[key] = value;
    CHECK(sandbox_code(config) == Code::kInvalidArgument);
  }
}

TEST_CASE("namespaced sysctls are refused when the namespace is the host's") {
  auto config = sandbox();
  auto& options = *config.mutable_linux()->mutable_security_context()->mutable_namespace_options();
  (*config.mutable_linux()->mutable_sysctls())["net.ipv4.ip_forward"] = "1";
  options.set_network(v1::NODE);
  CHECK(sandbox_code(config) == Code::kInvalidArgument);
  options.set_network(v1::POD);
  options.set_ipc(v1::NODE);
  CHECK(pods::validate_sandbox(config, "", false));
  (*config.mutable_linux()->mutable_sysctls())["kernel.shmmax"] = "1";
  CHECK(sandbox_code(config) == Code::kInvalidArgument);
}

TEST_CASE("a hostname is a hostname") {
  for (const std::string name : {"a\nb", "a b", "-a", "a/b", "a\x1b[31m"}) {
    CAPTURE(name);
    auto config = sandbox();
    config.set_hostname(name);
    CHECK(sandbox_code(config) == Code::kInvalidArgument);
  }
  auto config = sandbox();
  config.set_hostname(std::string(65, 'a'));
  CHECK(sandbox_code(config) == Code::kInvalidArgument);
  config.set_hostname("web-0.svc");
  CHECK(pods::validate_sandbox(config, "", false));
}

TEST_CASE("DNS entries are single words") {
  auto config = sandbox();
  config.mutable_dns_config()->add_servers("10.0.0.10\nnameserver 6.6.6.6");
  CHECK(sandbox_code(config) == Code::kInvalidArgument);
  config = sandbox();
  config.mutable_dns_config()->add_options("ndots:5 rotate");
  CHECK(sandbox_code(config) == Code::kInvalidArgument);
}

TEST_CASE("user namespaces are refused by mode") {
  auto config = sandbox();
  auto& options =
      *config.mutable_linux()->mutable_security_context()->mutable_namespace_options()->mutable_userns_options();
  options.set_mode(v1::NODE);
  CHECK(pods::validate_sandbox(config, "", false));
  options.set_mode(v1::POD);
  CHECK(sandbox_code(config) == Code::kUnimplemented);
  options.set_mode(v1::TARGET);
  CHECK(sandbox_code(config) == Code::kInvalidArgument);
}

TEST_CASE("the cgroup parent fits the driver") {
  auto config = sandbox();
  config.mutable_linux()->set_cgroup_parent("/kubepods.slice");
  CHECK(sandbox_code(config) == Code::kInvalidArgument);
  CHECK(pods::validate_sandbox(config, "", true));
  config.mutable_linux()->set_cgroup_parent("/kubepods/pod1");
  CHECK(pods::validate_sandbox(config, "", false));
  CHECK_FALSE(pods::validate_sandbox(config, "", true));
  config.mutable_linux()->set_cgroup_parent("/kubepods/../../x");
  CHECK(sandbox_code(config) == Code::kInvalidArgument);
}

TEST_CASE("log paths stay where they belong") {
  auto config = container();
  config.set_log_path("../../etc/cron.d/x");
  CHECK(code_of(pods::validate_container(config)) == Code::kInvalidArgument);
  config.set_log_path("app/0.log");
  CHECK(pods::validate_container(config));
  auto pod = sandbox();
  pod.set_log_directory("/var/log/../../etc");
  CHECK(sandbox_code(pod) == Code::kInvalidArgument);
}

TEST_CASE("recursive read-only needs readonly and private propagation") {
  auto config = container();
  v1::Mount& mount = *config.add_mounts();
  mount.set_container_path("/data");
  mount.set_host_path("/tmp");
  mount.set_recursive_read_only(true);
  CHECK(code_of(pods::validate_container(config)) == Code::kInvalidArgument);
  mount.set_readonly(true);
  CHECK(pods::validate_container(config));
  mount.set_propagation(v1::PROPAGATION_HOST_TO_CONTAINER);
  CHECK(code_of(pods::validate_container(config)) == Code::kInvalidArgument);
}

TEST_CASE("environment names hold no equals sign and no control bytes, values may hold lines") {
  auto config = container();
  v1::KeyValue& env = *config.add_envs();
  env.set_key("A");
  env.set_value("two\nlines");
  CHECK(pods::validate_container(config));
  env.set_key("A=B");
  CHECK_FALSE(pods::validate_container(config));
  env.set_key("A\nB");
  CHECK_FALSE(pods::validate_container(config));
  env.set_key("A");
  env.set_value(std::string("x\0y", 3));
  CHECK_FALSE(pods::validate_container(config));
}

TEST_CASE("resolv.conf: absent means the host's, empty means empty, else exactly the entries") {
  auto config = sandbox();
  CHECK(pods::resolv_conf_text(config, "nameserver 1.1.1.1\n") == "nameserver 1.1.1.1\n");
  config.mutable_dns_config();
  CHECK(pods::resolv_conf_text(config, "nameserver 1.1.1.1\n").empty());
  config.mutable_dns_config()->add_servers("10.10.10.10");
  config.mutable_dns_config()->add_searches("google.com");
  config.mutable_dns_config()->add_options("ndots:8");
  CHECK(pods::resolv_conf_text(config, "") == "search google.com\nnameserver 10.10.10.10\noptions ndots:8\n");
}

TEST_CASE("hosts name the pod's own addresses") {
  const std::string text = pods::hosts_text(false, "host", "web-0", {"10.0.0.7", "fd00::7"});
  CHECK(text.find("10.0.0.7\tweb-0\n") != std::string::npos);
  CHECK(text.find("fd00::7\tweb-0\n") != std::string::npos);
  CHECK(pods::hosts_text(true, "host", "web-0", {}) == "host");
}
