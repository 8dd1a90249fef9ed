// SPDX-License-Identifier: Apache-2.0
// berthd's flags and file, lists' filters, figures from kernel text.
#include "agent/config.h"

#include "agent/accounting/stats.h"
#include "agent/images/image_requests.h"
#include "agent/pods/filters.h"
#include "tests/support/catch.h"

using namespace berth;
namespace v1 = ::runtime::v1;

TEST_CASE("defaults need no flag") {
  const auto invocation = agent::parse_invocation({});
  REQUIRE(invocation);
  CHECK(invocation->run);
  CHECK(invocation->config.listen == std::vector<std::string>{"unix:///run/berth/berth.sock"});
}

TEST_CASE("flags are taken, listen repeats") {
  const auto invocation = agent::parse_invocation({"--root", "/a", "--listen", "unix:///x", "--listen", "unix:///y",
                                                   "--network=builtin", "--system-reserved", "cpu=500m"});
  REQUIRE(invocation);
  CHECK(invocation->config.root == "/a");
  CHECK(invocation->config.listen.size() == 2);
  CHECK(invocation->config.network == "builtin");
  CHECK(invocation->config.system_reserved.at("cpu") == 500);
}

TEST_CASE("what is wrong is said in one sentence") {
  for (const std::vector<std::string>& arguments :
       std::vector<std::vector<std::string>>{{"--no-such-flag"},
                                             {"stray"},
                                             {"--network", "magic"},
                                             {"--cgroup-driver", "systemd"},
                                             {"--listen", "tcp://0.0.0.0:1"},
                                             {"--root", "relative"},
                                             {"--log-level", "loud"},
                                             {"--config", "/no/such/file"}}) {
    CAPTURE(arguments[0]);
    const auto invocation = agent::parse_invocation(arguments);
    REQUIRE_FALSE(invocation);
    CHECK(invocation.error().message().find('\n') == std::string::npos);
  }
  CHECK(agent::parse_invocation({"--nri-socket", ""}));
}

TEST_CASE("help and version are printed") {
  CHECK(agent::parse_invocation({"--help"})->text.find("--listen") != std::string::npos);
  CHECK(agent::parse_invocation({"--version"})->text == "berthd 0.1.0\n");
}

TEST_CASE("the file's keys are the flags' names") {
  agent::Config config;
  REQUIRE(agent::apply_toml(
      "root = '/r'\nlisten = ['unix:///a']\ncni_conf_dir = '/c'\n[system_reserved]\nmemory = '1Gi'\n", "f", config));
  CHECK(config.root == "/r");
  CHECK(config.cni_conf_dir == "/c");
  CHECK(config.system_reserved.at("memory") == 1 << 30);
}

TEST_CASE("unknown keys, wrong types and broken files are refused by name") {
  agent::Config config;
  CHECK(agent::apply_toml("rooot = '/r'", "f", config).error().message().find("rooot") != std::string::npos);
  CHECK_FALSE(agent::apply_toml("root = 7", "f", config));
  CHECK_FALSE(agent::apply_toml("root = ", "f", config));
  CHECK(agent::apply_toml("nri_socket = '/x'", "f", config));
  CHECK(config.nri_socket == "/x");
  CHECK_FALSE(agent::apply_toml("nri_socket = 1", "f", config));
}

TEST_CASE("lists are filtered by id prefix, state and every label") {
  state::ContainerRecord record;
  record.id = "abcdef";
  record.pod_id = "pod123";
  record.state = state::ContainerState::kRunning;
  v1::ContainerConfig config;
  (*config.mutable_labels())["app"] = "web";
  (*config.mutable_labels())["tier"] = "1";
  record.config = config.SerializeAsString();
  const auto container = pods::make_container(record);
  v1::ContainerFilter filter;
  CHECK(pods::matches(*container, filter));
  filter.set_id("abc");
  filter.set_pod_sandbox_id("pod123");
  filter.mutable_state()->set_state(v1::CONTAINER_RUNNING);
  (*filter.mutable_label_selector())["app"] = "web";
  CHECK(pods::matches(*container, filter));
  (*filter.mutable_label_selector())["tier"] = "2";
  CHECK_FALSE(pods::matches(*container, filter));
  filter.clear_label_selector();
  filter.mutable_state()->set_state(v1::CONTAINER_EXITED);
  CHECK_FALSE(pods::matches(*container, filter));
  filter.clear_state();
  filter.set_id("xyz");
  CHECK_FALSE(pods::matches(*container, filter));
}

TEST_CASE("an id prefix finds one object or none") {
  pods::Registry registry;
  for (const char* id : {"aa11", "aa22", "bb33"}) {
    state::PodRecord record;
    record.id = id;
    registry.put(pods::make_pod(record));
  }
  CHECK(registry.find_pod("aa11") != nullptr);
  CHECK(registry.find_pod("bb") != nullptr);
  CHECK(registry.find_pod("aa") == nullptr);
  CHECK(registry.find_pod("") == nullptr);
  CHECK(registry.find_pod("zz") == nullptr);
}

TEST_CASE("network figures leave loopback out") {
  const auto found = accounting::parse_net_dev(
      "Inter-|   Receive                                                |  Transmit\n"
      " face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier "
      "compressed\n"
      "    lo:     100       1    0    0    0     0          0         0      100       1    0    0    0     0       0 "
      "         0\n"
      "  eth0:    1234       5    1    0    0     0          0         0      777       3    2    0    0     0       0 "
      "         0\n");
  REQUIRE(found.size() == 1);
  CHECK(found[0].name == "eth0");
  CHECK(found[0].rx_bytes == 1234);
  CHECK(found[0].tx_errors == 2);
}

TEST_CASE("registry credentials: plain, encoded, and neither") {
  v1::AuthConfig auth;
  auth.set_auth("dXNlcjpwYTpzcw==");
  const auto decoded = images::registry_auth(auth);
  REQUIRE(decoded);
  CHECK(decoded->username == "user");
  CHECK(decoded->password == "pa:ss");
  auth.set_auth("!!!");
  CHECK_FALSE(images::registry_auth(auth));
  auth.set_username("other");
  CHECK(images::registry_auth(auth)->username == "other");
}

TEST_CASE("an image's user is told as a number or a name") {
  rootfs::Image image;
  image.id = "sha256:1";
  image.config.user = "1000:1000";
  CHECK(images::to_cri(image).uid().value() == 1000);
  image.config.user = "www";
  CHECK(images::to_cri(image).username() == "www");
  CHECK_FALSE(images::to_cri(image).has_uid());
}
