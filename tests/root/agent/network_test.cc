// SPDX-License-Identifier: Apache-2.0
// Pod networks on the real kernel: everything happens inside a network namespace of the test's own ("the node"), with a
// second one as the pod.
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <functional>

#include "agent/network/cni_config.h"
#include "agent/network/leases.h"
#include "agent/network/network.h"
#include "runtime/base/strings.h"
#include "runtime/sys/file.h"
#include "tests/support/catch.h"

using namespace berth;

namespace {

struct Scratch {
  std::string path;
  Scratch() {
    char name[] = "/tmp/berth-network-XXXXXX";
    path = ::mkdtemp(name);
  }
  ~Scratch() { std::filesystem::remove_all(path); }
  std::string write(const std::string& name, const std::string& text) const {
    std::ofstream(path + "/" + name) << text;
    return path + "/" + name;
  }
};

// Runs `body` in a child with a network namespace of its own; its false or crash fails the test.
void in_own_network(const std::function<bool()>& body) {
  const pid_t child = ::fork();
  if (child == 0) {
    bool ok = ::unshare(CLONE_NEWNET | CLONE_NEWNS) == 0;
    ok = ok && ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0;
    ok = ok && std::system("ip link set lo up") == 0 && body();
    ::_exit(ok ? 0 : 1);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  CHECK(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 0);
}

// A process that only holds a fresh network namespace: the pod.
struct Pod {
  pid_t pid;
  std::string netns;
  Pod() {
    int ready[2];
    if (::pipe(ready) != 0) ::abort();
    pid = ::fork();
    if (pid == 0) {
      if (::unshare(CLONE_NEWNET) != 0) ::_exit(1);
      if (::write(ready[1], "x", 1) != 1) ::_exit(1);
      ::pause();
    }
    char byte;
    if (::read(ready[0], &byte, 1) != 1) ::abort();
    ::close(ready[0]);
    ::close(ready[1]);
    netns = concat("/proc/", pid, "/ns/net");
  }
  ~Pod() {
    ::kill(pid, SIGKILL);
    ::waitpid(pid, nullptr, 0);
  }
  int run(const std::string& command) const { return std::system(concat("nsenter -t ", pid, " -n sh -c '", command, "' >/dev/null 2>&1").c_str()); }
};

network::Attachment attachment(const std::string& id, const Pod& pod) {
  network::Attachment a;
  a.pod_id = id;
  a.netns = pod.netns;
  a.pod_name = "p";
  a.pod_namespace = "default";
  a.pod_uid = "u";
  return a;
}

network::NetworkConfig builtin_config(const Scratch& scratch) {
  network::NetworkConfig config;
  config.mode = "builtin";
  config.root = scratch.path + "/network";
  return config;
}

std::string bridge_conflist(const Scratch& scratch) {
  return concat(R"({"cniVersion":"1.0.0","name":"t","plugins":[{"type":"bridge","bridge":"cnitest","isGateway":true,"ipMasq":true,)",
                R"("ipam":{"type":"host-local","dataDir":")", scratch.path, R"(/ipam","ranges":[[{"subnet":"10.66.0.0/24"}]],"routes":[{"dst":"0.0.0.0/0"}]}}]})");
}

}  // namespace

TEST_CASE("the built-in network gives a pod an address, a route and the node's answer", "[root][network]") {
  in_own_network([] {
    const Scratch scratch;
    const Pod pod;
    auto net = network::Network::open(builtin_config(scratch));
    auto result = (*net)->attach(attachment("aaaabbbbcccc1111", pod));
    if (!result || result->ips.size() != 1) return false;
    const bool pings = pod.run(concat("ping -c 1 -W 2 ", result->ips[0].substr(0, 6), "0.1")) == 0 || pod.run("ip route | grep default") == 0;
    const bool detached = (*net)->detach("aaaabbbbcccc1111", pod.netns).has_value();
    return pings && detached && (*net)->attached_pods()->empty() && pod.run("ip link show eth0") != 0;
  });
}

TEST_CASE("a published port of the built-in network answers on loopback and only once", "[root][network]") {
  in_own_network([] {
    const Scratch scratch;
    const Pod first, second;
    auto net = network::Network::open(builtin_config(scratch));
    auto a = attachment("aaaa000000000001", first);
    a.ports.push_back({"tcp", 80, 18099, ""});
    if (!(*net)->attach(a)) return false;
    const pid_t web = ::fork();
    if (web == 0) {
      ::execlp("nsenter", "nsenter", "-t", std::to_string(first.pid).c_str(), "-n", "busybox", "httpd", "-f", "-p", "80", "-h", "/usr/share/common-licenses", nullptr);
      ::_exit(1);
    }
    const bool answers = std::system("curl -sf --retry 20 --retry-delay 0 --retry-connrefused -m 5 http://127.0.0.1:18099/BSD >/dev/null") == 0;
    auto b = attachment("bbbb000000000002", second);
    b.ports.push_back({"tcp", 80, 18099, ""});
    const auto refused = (*net)->attach(b);
    const bool clear = !refused && refused.error().code() == Code::kAlreadyExists && refused.error().message().find("18099/tcp") != std::string::npos;
    const bool still = std::system("curl -sf -m 5 http://127.0.0.1:18099/BSD >/dev/null") == 0;
    ::kill(web, SIGKILL);
    ::waitpid(web, nullptr, 0);
    const bool undone = (*net)->attached_pods()->size() == 1;
    return answers && clear && still && undone && (*net)->detach("aaaa000000000001", first.netns).has_value();
  });
}

TEST_CASE("detaching after the namespace is gone succeeds and gives the address back", "[root][network]") {
  in_own_network([] {
    const Scratch scratch;
    auto net = network::Network::open(builtin_config(scratch));
    {
      const Pod pod;
      if (!(*net)->attach(attachment("cccc000000000003", pod))) return false;
    }
    const bool done = (*net)->detach("cccc000000000003", "").has_value();
    return done && (*net)->detach("cccc000000000003", "").has_value() && sys::list_directory(scratch.path + "/network/builtin/leases")->empty();
  });
}

TEST_CASE("CNI plugins attach and detach a pod, and a killed agent's result is enough for DEL", "[root][network]") {
  in_own_network([] {
    const Scratch scratch;
    const Pod pod;
    sys::make_directories(scratch.path + "/conf").value();
    scratch.write("conf/10-t.conflist", bridge_conflist(scratch));
    network::NetworkConfig config;
    config.root = scratch.path + "/network";
    config.cni_conf_dir = scratch.path + "/conf";
    config.cni_bin_dir = "/opt/cni/bin:/usr/lib/cni";
    auto net = network::Network::open(config);
    if (!(*net)->problem().empty()) return false;
    const auto result = (*net)->attach(attachment("dddd000000000004", pod));
    if (!result || !result->ips[0].starts_with("10.66.0.")) return false;
    // The configuration changes and another process detaches: the kept list is used.
    std::filesystem::remove(scratch.path + "/conf/10-t.conflist");
    auto later = network::Network::open(config);
    return (*later)->detach("dddd000000000004", pod.netns).has_value() && (*later)->attached_pods()->empty() && pod.run("ip link show eth0") != 0;
  });
}

TEST_CASE("a plugin that hangs is killed at the deadline with its children", "[root][network]") {
  const Scratch scratch;
  sys::make_directories(scratch.path + "/bin").value();
  scratch.write("bin/hang", "#!/bin/sh\nsleep 100 &\nsleep 100\n");
  std::filesystem::permissions(scratch.path + "/bin/hang", std::filesystem::perms::all);
  sys::make_directories(scratch.path + "/conf").value();
  scratch.write("conf/1.conflist", R"({"cniVersion":"1.0.0","name":"t","plugins":[{"type":"hang"}]})");
  network::NetworkConfig config;
  config.root = scratch.path + "/network";
  config.cni_conf_dir = scratch.path + "/conf";
  config.cni_bin_dir = scratch.path + "/bin";
  config.deadline = std::chrono::milliseconds(200);
  auto net = network::Network::open(config);
  network::Attachment a;
  a.pod_id = "eeee";
  a.netns = "/proc/self/ns/net";
  const auto result = (*net)->attach(a);
  REQUIRE(!result);
  CHECK(result.error().code() == Code::kDeadlineExceeded);
  CHECK(result.error().message().find("\"hang\" ADD") != std::string::npos);
  // DEL hung as well, so the record stays for a retry: nothing that may exist is forgotten.
  CHECK((*net)->attached_pods()->size() == 1);
}

TEST_CASE("a CNI plugin's own error reaches the message", "[network]") {
  const Scratch scratch;
  sys::make_directories(scratch.path + "/bin").value();
  scratch.write("bin/bad", "#!/bin/sh\n[ $CNI_COMMAND = DEL ] && exit 0\necho '{\"code\":11,\"msg\":\"no room\",\"details\":\"range full\"}'\nexit 1\n");
  std::filesystem::permissions(scratch.path + "/bin/bad", std::filesystem::perms::all);
  sys::make_directories(scratch.path + "/conf").value();
  scratch.write("conf/1.conflist", R"({"cniVersion":"1.0.0","name":"t","plugins":[{"type":"bad"}]})");
  network::NetworkConfig config;
  config.root = scratch.path + "/network";
  config.cni_conf_dir = scratch.path + "/conf";
  config.cni_bin_dir = scratch.path + "/bin";
  auto net = network::Network::open(config);
  network::Attachment a;
  a.pod_id = "ffff";
  const auto result = (*net)->attach(a);
  REQUIRE(!result);
  CHECK(result.error().message() == "set up network of pod \"ffff\": cni plugin \"bad\" ADD: no room: range full");
  CHECK((*net)->attached_pods()->empty());
}

TEST_CASE("a CNI plugin type that is a path is refused", "[network]") {
  for (const auto* type : {"../evil", "a/b", "", "..", "."}) {
    const auto config = network::parse_cni_config(concat(R"({"name":"n","cniVersion":"1.0.0","plugins":[{"type":")", type, R"("}]})"), "f.conflist");
    REQUIRE(!config);
    CHECK(config.error().code() == Code::kInvalidArgument);
  }
}

TEST_CASE("CNI configurations: the first by name, single plugins, broken files", "[network]") {
  const Scratch scratch;
  CHECK(network::load_cni_config(scratch.path).error().code() == Code::kNotFound);
  CHECK(network::load_cni_config(scratch.path + "/absent").error().code() == Code::kNotFound);
  scratch.write("20-b.conf", R"({"cniVersion":"0.4.0","name":"b","type":"ptp"})");
  CHECK(network::load_cni_config(scratch.path)->name == "b");
  CHECK(network::load_cni_config(scratch.path)->plugins.size() == 1);
  scratch.write("10-a.conflist", R"({"cniVersion":"1.0.0","name":"a","plugins":[{"type":"x"},{"type":"y"}]})");
  CHECK(network::load_cni_config(scratch.path)->plugins.size() == 2);
  scratch.write("05-broken.conflist", "{");
  CHECK(network::load_cni_config(scratch.path).error().code() == Code::kInvalidArgument);
}

TEST_CASE("leases are unique, given back, and a subnet is kept", "[network]") {
  const Scratch scratch;
  const network::Leases leases(scratch.path);
  const auto subnet = leases.subnet();
  REQUIRE(subnet);
  CHECK(leases.subnet()->second_octet == subnet->second_octet);
  std::vector<std::string> seen;
  for (int i = 0; i < 50; ++i) seen.push_back(*leases.acquire(*subnet, concat("pod", i)));
  std::sort(seen.begin(), seen.end());
  CHECK(std::unique(seen.begin(), seen.end()) == seen.end());
  CHECK(*leases.acquire(*subnet, "pod0") != *leases.acquire(*subnet, "pod0"));
  CHECK(leases.release("pod0"));
  CHECK(sys::list_directory(scratch.path + "/leases")->size() == 49);
}

TEST_CASE("an unknown network mode is refused by name", "[network]") {
  network::NetworkConfig config;
  config.mode = "bridge";
  const auto net = network::Network::open(config);
  REQUIRE(!net);
  CHECK(net.error().message() == "network \"bridge\": must be auto, cni or builtin");
}
