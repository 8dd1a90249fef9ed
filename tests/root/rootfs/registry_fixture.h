// SPDX-License-Identifier: Apache-2.0
// A real registry on a free loopback port, filled by tests/support/make_image.py, gone with the object.
#pragma once

#include <arpa/inet.h>
#include <boost/json.hpp>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

#include "rootfs/snapshot/tree.h"
#include "runtime/base/strings.h"
#include "runtime/sys/file.h"
#include "runtime/sys/process.h"
#include "tests/support/catch.h"

namespace berth::rootfs::test {

inline bool registry_installed() {
  return ::geteuid() == 0 && sys::path_exists("/usr/bin/docker-registry") && sys::path_exists("/usr/bin/python3") && sys::path_exists("/bin/busybox");
}

class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    char name[] = "/tmp/berth-rootfs-XXXXXX";
    path = ::mkdtemp(name);
  }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  ~TemporaryDirectory() { CHECK(remove_tree(path).has_value()); }
  std::string path;
};

inline uint16_t free_port() {
  const Fd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  REQUIRE(::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), size) == 0);
  REQUIRE(::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&address), &size) == 0);
  return ntohs(address.sin_port);
}

struct Pushed {
  std::string manifest;
  std::string config;
  std::vector<std::string> layers;
};

class Registry {
 public:
  Registry() : host(concat("127.0.0.1:", free_port())) { start(); }
  Registry(const Registry&) = delete;
  Registry& operator=(const Registry&) = delete;
  ~Registry() { stop(); }

  void start() {
    const std::string config = concat("version: 0.1\nlog: {level: error, accesslog: {disabled: true}}\nstorage:\n  filesystem: {rootdirectory: ", folder.path,
                                      "/data}\n  delete: {enabled: true}\n  cache: {}\nhttp: {addr: '", host, "'}\n");
    REQUIRE(sys::replace_file(folder.path + "/config.yml", config, 0600, false).has_value());
    sys::SpawnRequest request;
    request.argv = {"/usr/bin/docker-registry", "serve", folder.path + "/config.yml"};
    auto spawned = sys::spawn(request);
    REQUIRE(spawned.has_value());
    process = std::move(spawned->pidfd);
    for (int i = 0; i < 200 && !answers(); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(50));
    REQUIRE(answers());
  }
  void stop() {
    if (!process) return;
    (void)sys::send_signal(process, SIGKILL).has_value();
    (void)sys::wait_child(process, true).has_value();
    process.reset();
  }
  bool answers() const {
    const Fd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(static_cast<uint16_t>(*parse_uint32(host.substr(host.find(':') + 1))));
    return ::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
  }
  Pushed push(std::vector<std::string> arguments) {
    sys::SpawnRequest request;
    request.argv = {"/usr/bin/python3", "tests/support/make_image.py", "--registry", host};
    request.argv.insert(request.argv.end(), arguments.begin(), arguments.end());
    const auto output = sys::run(request, "", std::chrono::seconds(60));
    REQUIRE(output.has_value());
    INFO(output->err);
    REQUIRE(output->exit.code == 0);
    boost::system::error_code error;
    const auto document = boost::json::parse(output->out, error);
    REQUIRE_FALSE(error);
    Pushed pushed;
    pushed.manifest = document.at("manifest").as_string().c_str();
    pushed.config = document.at("config").as_string().c_str();
    for (const auto& layer : document.at("layers").as_array()) pushed.layers.emplace_back(layer.as_string().c_str());
    return pushed;
  }
  // The file in which the registry keeps a blob.
  std::string blob_file(const std::string& digest) const {
    const std::string digits = digest.substr(7);
    return concat(folder.path, "/data/docker/registry/v2/blobs/sha256/", digits.substr(0, 2), "/", digits, "/data");
  }

  TemporaryDirectory folder;
  std::string host;
  Fd process;
};

}  // namespace berth::rootfs::test
