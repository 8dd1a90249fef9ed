// SPDX-License-Identifier: Apache-2.0
// A pod of the real berth-shim in a directory of its own, driven by the real client, with containers of busybox.
#pragma once

#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <cstdlib>
#include <functional>
#include <thread>

#include "agent/shims/client.h"
#include "runtime/base/log.h"
#include "runtime/base/strings.h"
#include "runtime/oci/spec_json.h"
#include "runtime/sys/file.h"
#include "runtime/sys/process.h"
#include "runtime/sys/socket.h"
#include "tests/support/catch.h"
#include "tests/support/requires.h"

namespace shim_test {

using namespace berth;
using namespace std::chrono_literals;
using shims::ShimClient;

#define NEEDS_ROOT SKIP_UNLESS(::geteuid() == 0 && ::access("/bin/busybox", X_OK) == 0, "needs root and busybox-static")

inline std::string shim_program() {
  if (const char* path = ::getenv("BERTH_SHIM")) return path;
  char here[4096];
  REQUIRE(::getcwd(here, sizeof here) != nullptr);
  return concat(here, "/build/berth-shim");
}

inline bool holds(const std::function<bool()>& condition, std::chrono::milliseconds within = 5s) {
  const long long until = monotonic_nanos() + within.count() * 1'000'000LL;
  while (!condition()) {
    if (monotonic_nanos() > until) return false;
    std::this_thread::sleep_for(5ms);
  }
  return true;
}

inline std::string read_to_end(int fd) {
  std::string text;
  char chunk[65536];
  for (ssize_t got = 0; (got = ::read(fd, chunk, sizeof chunk)) > 0;) text.append(chunk, static_cast<size_t>(got));
  return text;
}

// Reads until `wanted` has been seen.
inline std::string read_until(int fd, const std::string& wanted, std::chrono::milliseconds within = 5s) {
  std::string text;
  const long long until = monotonic_nanos() + within.count() * 1'000'000LL;
  while (text.find(wanted) == std::string::npos && monotonic_nanos() < until) {
    pollfd entry{fd, POLLIN, 0};
    if (::poll(&entry, 1, 50) <= 0) continue;
    char chunk[4096];
    const ssize_t got = ::read(fd, chunk, sizeof chunk);
    if (got <= 0) break;
    text.append(chunk, static_cast<size_t>(got));
  }
  return text;
}

struct LogLine {
  std::string stream, tag, content;
};

// One pod directory with a busybox layer; everything is killed and removed at the end.
class Pod {
 public:
  explicit Pod(shim::PodSettings settings = {}) {
    char name[] = "/tmp/berth-shimtest-XXXXXX";
    dir_ = ::mkdtemp(name);
    make_layer();
    settings.pod_id = "test";
    auto spawned = ShimClient::spawn(shim_program(), dir_ + "/pod", settings, "debug");
    if (!spawned) FAIL(spawned.error().message());
    client_ = std::move(*spawned);
  }
  ~Pod() {
    if (client_.alive()) {
      ::kill(client_.pid(), SIGCONT);
      if (auto stopped = client_.stop(20s); !stopped) {
        WARN(stopped.error().message());
        ::kill(client_.pid(), SIGKILL);
      }
    }
    ::umount2((dir_ + "/pod/shm").c_str(), MNT_DETACH);
    [[maybe_unused]] const auto removed = sys::remove_tree(dir_);
  }
  Pod(const Pod&) = delete;
  Pod& operator=(const Pod&) = delete;

  const ShimClient* operator->() const { return &client_; }
  const ShimClient& client() const { return client_; }
  const std::string& dir() const { return dir_; }
  std::string pod_dir() const { return dir_ + "/pod"; }
  std::string log_path(const std::string& id) const { return concat(dir_, "/", id, ".log"); }
  std::string cgroup_name(const std::string& id) const {
    return concat("/berth-shimtest-", dir_.substr(dir_.size() - 6), "-", id);
  }

  oci::Spec spec(const std::string& id, const std::vector<std::string>& args) const {
    oci::Spec made;
    made.process = process(args);
    made.root = oci::Root{"rootfs", false};
    made.mounts = {
        {"/proc", "proc", "proc", {}, {}, {}},
        {"/dev", "tmpfs", "tmpfs", {"nosuid", "mode=755"}, {}, {}},
        {"/dev/pts", "devpts", "devpts", {"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"}, {}, {}}};
    made.linux_.namespaces = {{"pid", ""}, {"mount", ""}};
    made.linux_.cgroups_path = cgroup_name(id);
    return made;
  }

  static oci::Process process(const std::vector<std::string>& args) {
    oci::Process made;
    made.args = args;
    made.env = {"PATH=/bin", "TERM=xterm"};
    made.cwd = "/";
    return made;
  }

  Result<pid_t> create(const std::string& id, const oci::Spec& config,
                       std::function<void(shims::CreateOptions&)> change = {}) const {
    shims::CreateOptions options;
    options.id = id;
    options.bundle = concat(pod_dir(), "/containers/", id);
    REQUIRE(sys::make_directories(options.bundle));
    REQUIRE(sys::replace_file(options.bundle + "/config.json", oci::to_json(config), 0600, false));
    options.log_path = log_path(id);
    options.lower = {dir_ + "/top", dir_ + "/layer"};
    for (const char* part : {"upper", "work"}) REQUIRE(sys::make_directories(concat(dir_, "/", id, "-", part), 0755));
    options.upper = concat(dir_, "/", id, "-upper");
    options.work = concat(dir_, "/", id, "-work");
    if (change) change(options);
    return client_.create(options);
  }

  void run(const std::string& id, const std::vector<std::string>& args,
           std::function<void(shims::CreateOptions&)> change = {}) const {
    shims::CreateOptions probe;
    if (change) change(probe);
    auto config = spec(id, args);
    config.process->terminal = probe.terminal;
    const auto made = create(id, config, change);
    if (!made) FAIL(made.error().message());
    const auto started = client_.start(id);
    if (!started) FAIL(started.error().message());
  }

  std::vector<LogLine> log(const std::string& id) const {
    std::vector<LogLine> lines;
    const auto text = sys::read_file(log_path(id));
    if (!text) return lines;
    for (const auto line : split(*text, '\n')) {
      if (line.empty()) continue;
      const size_t a = line.find(' '), b = line.find(' ', a + 1), c = line.find(' ', b + 1);
      REQUIRE(c != std::string_view::npos);
      lines.push_back({std::string(line.substr(a + 1, b - a - 1)), std::string(line.substr(b + 1, c - b - 1)),
                       std::string(line.substr(c + 1))});
    }
    return lines;
  }

  shims::ExecCall exec_call(const std::string& id, const std::vector<std::string>& args) const {
    shims::ExecCall call;
    call.id = id;
    static int number = 0;
    call.exec_id = concat("e", ++number);
    call.process = process(args);
    return call;
  }

 private:
  void make_layer() {
    for (const char* part :
         {"/layer/bin", "/layer/proc", "/layer/dev", "/layer/tmp", "/layer/sys", "/layer/etc", "/top/etc"}) {
      REQUIRE(sys::make_directories(dir_ + part, 0755));
    }
    REQUIRE(sys::replace_file(dir_ + "/top/etc/layer", "top\n", 0644, false));
    REQUIRE(sys::replace_file(dir_ + "/layer/etc/layer", "bottom\n", 0644, false));
    const auto busybox = sys::read_file("/bin/busybox");
    REQUIRE(busybox);
    REQUIRE(sys::replace_file(dir_ + "/layer/bin/busybox", *busybox, 0755, false));
    for (const char* name :
         {"sh", "cat", "echo",     "sleep", "true", "false", "stty", "head", "tr",   "seq",   "setsid",
          "dd", "id",  "hostname", "nc",    "tail", "yes",   "kill", "ps",   "test", "printf"}) {
      REQUIRE(::symlink("/bin/busybox", concat(dir_, "/layer/bin/", name).c_str()) == 0);
    }
  }

  std::string dir_;
  ShimClient client_;
};

inline int processes_with(const std::string& mark) {
  int found = 0;
  const auto names = sys::list_directory("/proc");
  for (const auto& name : *names) {
    if (!parse_uint32(name)) continue;
    const auto line = sys::read_file(concat("/proc/", name, "/cmdline"), 1u << 20);
    if (line && line->find(mark) != std::string::npos) ++found;
  }
  return found;
}

inline bool runtime_works() {
  static const bool works = [] {
    Pod pod;
    const auto made = pod.create("probe", pod.spec("probe", {"true"}));
    if (!made) std::fprintf(stderr, "create does not work: %s\n", made.error().message().c_str());
    return made.has_value();
  }();
  return works;
}

#define NEEDS_RUNTIME \
  NEEDS_ROOT;         \
  REQUIRE(runtime_works())

}  // namespace shim_test
