// SPDX-License-Identifier: Apache-2.0
// A busybox root file system in a scratch directory and short verbs to run containers on it.
#pragma once

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <functional>
#include <string>

#include "runtime/base/strings.h"
#include "runtime/container/container.h"
#include "runtime/container/layout.h"
#include "runtime/sys/file.h"
#include "runtime/sys/socket.h"
#include "tests/support/catch.h"
#include "tests/support/requires.h"

namespace berth::test {

inline bool can_run_containers() { return ::geteuid() == 0 && sys::path_exists("/bin/busybox"); }

struct Outcome {
  std::string error;   // create's or start's message; empty when the container ran
  std::string output;  // standard output and error
  int code = -1;
};

class Rig {
 public:
  Rig() {
    ::signal(SIGPIPE, SIG_IGN);  // as every program of ours: a hook need not read its input
    static int counter = 0;
    base = concat("/tmp/berth-container-test-", ::getpid(), '-', counter++);
    rootfs = base + "/bundle/rootfs";
    for (const char* name : {"bin", "etc", "proc", "sys", "dev", "tmp", "root", "home"}) {
      REQUIRE(sys::make_directories(concat(rootfs, '/', name), 0755));
    }
    REQUIRE(::chmod(base.c_str(), 0755) == 0);
    REQUIRE(::chmod((base + "/bundle").c_str(), 0755) == 0);
    REQUIRE(::chmod(rootfs.c_str(), 0755) == 0);
    REQUIRE(sys::replace_file(rootfs + "/bin/busybox", sys::read_file("/bin/busybox").value(), 0755, false));
    for (const char* applet : {"sh", "cat", "id", "ls", "mount", "sleep", "true", "false", "touch", "mkdir", "stat", "pwd", "echo", "tty",
                               "grep", "readlink", "hostname", "env", "stty", "kill", "mknod", "umask", "ps"}) {
      REQUIRE(::symlink("busybox", concat(rootfs, "/bin/", applet).c_str()) == 0);
    }
    REQUIRE(sys::replace_file(rootfs + "/etc/passwd", "root:x:0:0::/root:/bin/sh\nuser:x:1000:1000::/home/user:/bin/sh\n", 0644, false));
    REQUIRE(sys::make_directories(base + "/canary", 0755));
  }
  ~Rig() {
    CHECK(container::remove(base + "/state", id, true));
    CHECK(sys::remove_tree(base));
  }

  static oci::Spec spec(std::vector<std::string> args) {
    oci::Spec out;
    out.root = oci::Root{"rootfs", false};
    out.process.emplace();
    out.process->args = std::move(args);
    out.process->env = {"PATH=/bin"};
    out.process->cwd.assign(1, '/');
    for (const char* type : {"pid", "mount", "uts", "ipc", "network"}) out.linux_.namespaces.push_back({type, ""});
    out.mounts = {{"/proc", "proc", "proc", {}, {}, {}},
                  {"/dev", "tmpfs", "tmpfs", {"nosuid", "mode=755", "size=64k"}, {}, {}},
                  {"/dev/pts", "devpts", "devpts", {"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"}, {}, {}}};
    return out;
  }
  static oci::Spec shell(std::string script) { return spec({"sh", "-c", std::move(script)}); }

  container::CreateRequest request(oci::Spec config, int out_fd) {
    container::CreateRequest create;
    create.root = base + "/state";
    create.id = id;
    create.bundle = base + "/bundle";
    create.spec = std::move(config);
    create.spec.linux_.cgroups_path = concat("/berth-container-test-", ::getpid(), '-', id);
    create.stdio = {-1, out_fd, out_fd};
    return create;
  }

  // create, start, wait, delete.
  Outcome run(oci::Spec config) {
    Outcome outcome;
    auto [reader, writer] = sys::make_pipe().value();
    auto created = container::create(request(std::move(config), writer.get()));
    writer.reset();
    if (!created) {
      outcome.error = created.error().message();
      return outcome;
    }
    const auto started = container::start(base + "/state", id);
    if (!started) {
      outcome.error = started.error().message();
      (void)sys::send_signal(created->pidfd, SIGKILL);
    }
    outcome.output = sys::read_all(reader.get()).value();
    outcome.code = sys::wait_child(created->pidfd, true).value()->code;
    CHECK(container::remove(base + "/state", id, true));
    return outcome;
  }
  Outcome run_shell(std::string script) { return run(shell(std::move(script))); }

  // A running container that sleeps, and a process in it.
  container::Created start_sleeper(oci::Spec config = spec({"sleep", "1000"})) {
    auto created = container::create(request(std::move(config), -1));
    INFO((created ? "" : created.error().message()));
    REQUIRE(created.has_value());
    REQUIRE(container::start(base + "/state", id));
    return std::move(*created);
  }
  void end(container::Created& created) {
    (void)sys::send_signal(created.pidfd, SIGKILL);
    (void)sys::wait_child(created.pidfd, true);
    CHECK(container::remove(base + "/state", id, true));
  }
  Outcome exec(oci::Process process) {
    Outcome outcome;
    auto [reader, writer] = sys::make_pipe().value();
    container::ExecRequest request;
    request.root = base + "/state";
    request.id = id;
    request.process = std::move(process);
    request.stdio = {-1, writer.get(), writer.get()};
    auto created = container::exec(std::move(request));
    writer.reset();
    if (!created) {
      outcome.error = created.error().message();
      return outcome;
    }
    outcome.output = sys::read_all(reader.get()).value();
    outcome.code = sys::wait_child(created->pidfd, true).value()->code;
    return outcome;
  }
  Outcome exec_shell(std::string script) { return exec(*shell(std::move(script)).process); }

  std::string base;
  std::string rootfs;
  std::string id = "c1";
};

inline bool contains(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

}  // namespace berth::test
