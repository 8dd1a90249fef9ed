// SPDX-License-Identifier: Apache-2.0
// The order of create, start, exec, delete; errors and what they leave; hooks; terminals; hostile images.
#include <sys/socket.h>
#include <sys/wait.h>

#include "tests/root/runtime/container_rig.h"

using namespace berth;
using test::contains;
using test::Outcome;
using test::Rig;

#define NEEDS_ROOT SKIP_UNLESS(test::can_run_containers(), "containers need root and /bin/busybox")

namespace {

bool cgroup_left() { return sys::path_exists(concat("/sys/fs/cgroup/memory/berth-container-test-", ::getpid(), "-c1")); }

}  // namespace

TEST_CASE("create waits, start goes on", "[container]") {
  NEEDS_ROOT;
  Rig rig;
  auto created = container::create(rig.request(Rig::shell("touch /ran"), -1));
  REQUIRE(created.has_value());
  CHECK(container::state(rig.base + "/state", rig.id)->status == container::Status::kCreated);
  CHECK_FALSE(sys::path_exists(rig.rootfs + "/ran"));
  REQUIRE(container::start(rig.base + "/state", rig.id));
  CHECK(sys::wait_child(created->pidfd, true).value()->code == 0);
  CHECK(sys::path_exists(rig.rootfs + "/ran"));
  CHECK(container::state(rig.base + "/state", rig.id)->status == container::Status::kStopped);
}

TEST_CASE("a second start is refused in runc's words", "[container]") {
  NEEDS_ROOT;
  Rig rig;
  auto created = rig.start_sleeper();
  CHECK(container::start(rig.base + "/state", rig.id).error().message() == "cannot start an already running container");
  (void)sys::send_signal(created.pidfd, SIGKILL);
  (void)sys::wait_child(created.pidfd, true);
  CHECK(container::start(rig.base + "/state", rig.id).error().message() == "cannot start a container that has stopped");
  CHECK(container::start(rig.base + "/state", "other").error().code() == Code::kNotFound);
}

TEST_CASE("start of a container whose init was killed is an error, not a hang", "[container]") {
  NEEDS_ROOT;
  Rig rig;
  auto created = container::create(rig.request(Rig::spec({"true"}), -1));
  REQUIRE(created.has_value());
  (void)sys::send_signal(created->pidfd, SIGKILL);
  (void)sys::wait_child(created->pidfd, true);
  CHECK_FALSE(container::start(rig.base + "/state", rig.id).has_value());
}

TEST_CASE("an id is taken once and checked", "[container]") {
  NEEDS_ROOT;
  Rig rig;
  auto created = rig.start_sleeper();
  const auto again = container::create(rig.request(Rig::spec({"true"}), -1));
  REQUIRE_FALSE(again.has_value());
  CHECK(again.error().code() == Code::kAlreadyExists);
  CHECK(again.error().message() == "container with given ID already exists");
  for (const std::string id : {"", ".", "..", "a/b", "a b", "\xc3\xa9", "../x"}) {
    auto request = rig.request(Rig::spec({"true"}), -1);
    request.id = id;
    INFO(id);
    CHECK(container::create(std::move(request)).error().code() == Code::kInvalidArgument);
  }
  rig.end(created);
}

TEST_CASE("a program that is not there is create's error, and nothing stays", "[container]") {
  NEEDS_ROOT;
  Rig rig;
  CHECK(contains(rig.run(Rig::spec({"nope"})).error, "exec: \"nope\": executable file not found in $PATH"));
  CHECK(contains(rig.run(Rig::spec({"/nope"})).error, "exec: \"/nope\": stat /nope: no such file or directory"));
  CHECK(contains(rig.run(Rig::spec({"/etc/passwd"})).error, "exec: \"/etc/passwd\": permission denied"));
  CHECK(contains(rig.run(Rig::spec({"/etc"})).error, "is a directory"));
  CHECK_FALSE(sys::path_exists(rig.base + "/state/c1"));
  CHECK_FALSE(cgroup_left());
}

TEST_CASE("the working directory is made when it is missing", "[container]") {
  NEEDS_ROOT;
  Rig rig;
  auto spec = Rig::spec({"pwd"});
  spec.process->cwd = "/srv/deep/down";
  CHECK(rig.run(spec).output == "/srv/deep/down\n");
}

TEST_CASE("a working directory through /proc/self/fd is refused (CVE-2024-21626)", "[container]") {
  NEEDS_ROOT;
  Rig rig;
  REQUIRE(::symlink("/proc/self/fd/7", (rig.rootfs + "/cwd7").c_str()) == 0);
  const Fd leak(::open("/", O_RDONLY | O_DIRECTORY));
  for (int number = 3; number < 40; ++number) {
    auto spec = Rig::spec({"ls", "work"});
    spec.process->cwd = concat("/proc/self/fd/", number);
    const Outcome outcome = rig.run(spec);
    INFO(number << outcome.error << outcome.output);
    CHECK((!outcome.error.empty() || !contains(outcome.output, "main")));
    CHECK_FALSE(outcome.error.empty());
  }
  auto spec = Rig::spec({"pwd"});
  spec.process->cwd = "/cwd7";
  CHECK_FALSE(rig.run(spec).error.empty());
}

TEST_CASE("links in the image never lead a mount to the host", "[container]") {
  NEEDS_ROOT;
  Rig rig;
  const std::string canary = rig.base + "/canary";
  REQUIRE(::symlink(canary.c_str(), (rig.rootfs + "/abs").c_str()) == 0);
  REQUIRE(::symlink("../../../../../../../../tmp", (rig.rootfs + "/climb").c_str()) == 0);
  auto spec = Rig::shell("touch /abs/made/in /climb/also/in; ls /abs/made /tmp/also");
  spec.mounts.push_back({"/abs/made", "tmpfs", "tmpfs", {}, {}, {}});
  spec.mounts.push_back({"/climb/also", "tmpfs", "tmpfs", {}, {}, {}});
  const Outcome outcome = rig.run(spec);
  CHECK(outcome.error == "");
  CHECK(sys::list_directory(canary)->empty());
  CHECK_FALSE(sys::path_exists("/tmp/also"));
  CHECK(sys::path_exists(rig.rootfs + canary + "/made"));  // resolved inside the image
}

TEST_CASE("an image whose /dev is a link does not reach the host (CVE-2026-41579)", "[container]") {
  NEEDS_ROOT;
  Rig rig;
  REQUIRE(::rmdir((rig.rootfs + "/dev").c_str()) == 0);
  REQUIRE(::symlink((rig.base + "/canary").c_str(), (rig.rootfs + "/dev").c_str()) == 0);
  auto spec = Rig::shell("true");
  spec.mounts.erase(spec.mounts.begin() + 1, spec.mounts.end());
  (void)rig.run(spec);
  CHECK(sys::list_directory(rig.base + "/canary")->empty());
  (void)rig.run(Rig::shell("true"));  // with a tmpfs on /dev
  CHECK(sys::list_directory(rig.base + "/canary")->empty());
}

TEST_CASE("proc and sys that are links are refused (CVE-2019-19921)", "[container]") {
  NEEDS_ROOT;
  Rig rig;
  REQUIRE(::rmdir((rig.rootfs + "/proc").c_str()) == 0);
  REQUIRE(::symlink("/tmp", (rig.rootfs + "/proc").c_str()) == 0);
  CHECK(contains(rig.run(Rig::spec({"true"})).error, "too many levels of symbolic links"));
}

TEST_CASE("a link does not smuggle a mount into /proc", "[container]") {
  NEEDS_ROOT;
  Rig rig;
  REQUIRE(::symlink("/proc/sys", (rig.rootfs + "/link").c_str()) == 0);
  auto spec = Rig::spec({"true"});
  spec.mounts.push_back({"/link", "tmpfs", "tmpfs", {}, {}, {}});
  CHECK(contains(rig.run(spec).error, "inside /proc"));
}

TEST_CASE("a console that is a link is refused (CVE-2025-52565)", "[container]") {
  NEEDS_ROOT;
  Rig rig;
  REQUIRE(::symlink((rig.base + "/canary/new").c_str(), (rig.rootfs + "/dev/console").c_str()) == 0);
  REQUIRE(sys::make_directories(rig.rootfs + "/dev/pts"));
  auto spec = Rig::spec({"true"});
  spec.mounts.erase(spec.mounts.begin() + 1);
  spec.process->terminal = true;
  CHECK(contains(rig.run(spec).error, "terminal"));
  CHECK(sys::list_directory(rig.base + "/canary")->empty());
}

TEST_CASE("a terminal is the controlling one and /dev/console", "[container]") {
  NEEDS_ROOT;
  Rig rig;
  auto spec = Rig::shell("tty; stty size; echo x > /dev/console; echo y > /dev/tty");
  spec.process->terminal = true;
  spec.process->console_size = oci::Box{33, 77};
  auto created = container::create(rig.request(spec, -1));
  REQUIRE(created.has_value());
  REQUIRE(created->console.valid());
  REQUIRE(container::start(rig.base + "/state", rig.id));
  std::string output;
  char chunk[256];
  while (true) {
    const ssize_t got = ::read(created->console.get(), chunk, sizeof chunk);
    if (got <= 0) break;
    output.append(chunk, static_cast<size_t>(got));
  }
  (void)sys::wait_child(created->pidfd, true);
  CHECK(output == "/dev/pts/0\r\n33 77\r\nx\r\ny\r\n");
}

TEST_CASE("a terminal is sent to the console socket", "[container]") {
  NEEDS_ROOT;
  Rig rig;
  const std::string path = rig.base + "/console.sock";
  const Fd listener = sys::listen_unix(path, SOCK_STREAM).value();
  auto spec = Rig::spec({"true"});
  spec.process->terminal = true;
  auto request = rig.request(spec, -1);
  request.console_socket = path;
  auto created = container::create(std::move(request));
  REQUIRE(created.has_value());
  CHECK_FALSE(created->console.valid());
  const Fd peer(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
  const auto message = sys::receive_message(peer.get()).value();
  CHECK(message.data == "/dev/pts/0");
  REQUIRE(message.fds.size() == 1);
  CHECK(::isatty(message.fds[0].get()) == 1);
  rig.end(*created);
}

TEST_CASE("exec runs in the container's namespaces with its capabilities", "[container]") {
  NEEDS_ROOT;
  Rig rig;
  auto spec = Rig::spec({"sleep", "1000"});
  spec.hostname = "ship";
  spec.process->capabilities = oci::Capabilities{{"CAP_KILL"}, {"CAP_KILL"}, {}, {"CAP_KILL"}, {}};
  auto created = rig.start_sleeper(spec);
  const Outcome outcome = rig.exec_shell("hostname; cat /proc/1/cmdline; grep CapEff /proc/self/status; exit 3");
  CHECK(outcome.error == "");
  CHECK(contains(outcome.output, "ship\nsleep"));
  CHECK(contains(outcome.output, "0000000000000020"));
  CHECK(outcome.code == 3);
  rig.end(created);
}

TEST_CASE("exec joins the container's cgroup", "[container]") {
  NEEDS_ROOT;
  Rig rig;
  auto created = rig.start_sleeper();
  CHECK(contains(rig.exec_shell("cat /proc/self/cgroup").output, concat("berth-container-test-", ::getpid())));
  rig.end(created);
}

TEST_CASE("exec is confined by the container's seccomp profile", "[container]") {
  NEEDS_ROOT;
  Rig rig;
  auto spec = Rig::spec({"sleep", "1000"});
  spec.linux_.seccomp.emplace();
  spec.linux_.seccomp->default_action = "SCMP_ACT_ALLOW";
  spec.linux_.seccomp->syscalls = {{{"mkdir", "mkdirat"}, "SCMP_ACT_ERRNO", 13, {}}};
  auto created = rig.start_sleeper(spec);
  CHECK(contains(rig.exec_shell("mkdir /tmp/x").output, "Permission denied"));
  rig.end(created);
}

TEST_CASE("exec reports a missing program and a bad cwd", "[container]") {
  NEEDS_ROOT;
  Rig rig;
  auto created = rig.start_sleeper();
  auto process = *Rig::spec({"nope"}).process;
  CHECK(contains(rig.exec(process).error, "exec: \"nope\": executable file not found in $PATH"));
  process = *Rig::spec({"pwd"}).process;
  for (int number = 3; number < 30; ++number) {
    process.cwd = concat("/proc/self/fd/", number);
    CHECK_FALSE(rig.exec(process).error.empty());
  }
  rig.end(created);
}

TEST_CASE("exec as another user with a terminal", "[container]") {
  NEEDS_ROOT;
  Rig rig;
  auto created = rig.start_sleeper();
  container::ExecRequest request;
  request.root = rig.base + "/state";
  request.id = rig.id;
  request.process = *Rig::shell("id -u; tty").process;
  request.process.user.uid = 1000;
  request.process.terminal = true;
  auto second = container::exec(std::move(request));
  INFO((second ? "" : second.error().message()));
  REQUIRE(second.has_value());
  std::string output(256, '\0');
  size_t size = 0;
  ssize_t got = 0;
  while ((got = ::read(second->console.get(), output.data() + size, output.size() - size)) > 0) size += static_cast<size_t>(got);
  output.resize(size);
  CHECK(output == "1000\r\n/dev/pts/0\r\n");
  (void)sys::wait_child(second->pidfd, true);
  rig.end(created);
}

TEST_CASE("exec in a stopped or unknown container is refused", "[container]") {
  NEEDS_ROOT;
  Rig rig;
  CHECK(contains(rig.exec_shell("true").error, "container does not exist"));
  auto created = rig.start_sleeper();
  (void)sys::send_signal(created.pidfd, SIGKILL);
  (void)sys::wait_child(created.pidfd, true);
  CHECK(rig.exec_shell("true").error == "cannot exec in a stopped container");
}

TEST_CASE("hooks run in their order with the state on standard input", "[container]") {
  NEEDS_ROOT;
  Rig rig;
  const std::string log = rig.base + "/log";
  const auto hook = [&](const char* name) {
    return std::vector<oci::Hook>{{"/bin/sh", {"sh", "-c", concat("echo ", name, " $(cat) >> ", log)}, {{"PATH=/bin:/usr/bin"}}, {}}};
  };
  auto spec = Rig::spec({"true"});
  spec.hooks.emplace();
  spec.hooks->prestart = hook("prestart");
  spec.hooks->create_runtime = hook("createRuntime");
  spec.hooks->create_container = hook("createContainer");
  spec.hooks->start_container = {{"/bin/sh", {"sh", "-c", "cat > /hooked"}, {{"PATH=/bin"}}, {}}};
  spec.hooks->poststart = hook("poststart");
  spec.hooks->poststop = hook("poststop");
  CHECK(rig.run(spec).code == 0);
  const auto text = sys::read_file(log).value();
  size_t at = 0;
  for (const char* name : {"prestart ", "createRuntime ", "createContainer ", "poststart ", "poststop "}) {
    const size_t found = text.find(name, at);
    INFO(name << text);
    REQUIRE(found != std::string::npos);
    at = found;
  }
  CHECK(contains(text, "\"status\":\"creating\""));
  CHECK(contains(sys::read_file(rig.rootfs + "/hooked").value(), "\"id\":\"c1\""));
}

TEST_CASE("a failing hook of creation leaves nothing", "[container]") {
  NEEDS_ROOT;
  Rig rig;
  auto spec = Rig::spec({"true"});
  spec.hooks.emplace();
  spec.hooks->create_runtime = {{"/bin/sh", {"sh", "-c", "echo no >&2; exit 3"}, {{"PATH=/bin"}}, {}}};
  const auto error = rig.run(spec).error;
  CHECK(contains(error, "error running createRuntime hook #0: exit status 3"));
  CHECK(contains(error, "stderr: no"));
  spec.hooks->create_runtime.clear();
  spec.hooks->create_container = {{"/bin/sh", {"sh", "-c", "exit 3"}, {{"PATH=/bin"}}, {}}};
  CHECK(contains(rig.run(spec).error, "error running createContainer hook #0"));
  CHECK_FALSE(sys::path_exists(rig.base + "/state/c1"));
  CHECK_FALSE(cgroup_left());
}

TEST_CASE("a hook that hangs is killed at its timeout", "[container]") {
  NEEDS_ROOT;
  Rig rig;
  auto spec = Rig::spec({"true"});
  spec.hooks.emplace();
  spec.hooks->create_container = {{"/bin/sleep", {"sleep", "1000"}, {{"PATH=/bin"}}, 1}};
  CHECK(contains(rig.run(spec).error, "timeout"));
}

TEST_CASE("a user namespace maps root and its mounts work", "[container]") {
  NEEDS_ROOT;
  Rig rig;
  auto spec = Rig::shell("id -u; cat /proc/self/uid_map; echo x > /dev/null && echo null; hostname");
  spec.hostname = "ship";
  spec.linux_.namespaces.push_back({"user", ""});
  spec.linux_.uid_mappings = {{0, 100000, 65536}};
  spec.linux_.gid_mappings = {{0, 100000, 65536}};
  spec.process->rlimits = {{"RLIMIT_NOFILE", 64, 64}};
  const Outcome outcome = rig.run(spec);
  CHECK(outcome.error == "");
  CHECK(outcome.output.starts_with("0\n"));
  CHECK(contains(outcome.output, "100000"));
  CHECK(contains(outcome.output, "null\nship\n"));
}

TEST_CASE("exec enters a user namespace", "[container]") {
  NEEDS_ROOT;
  Rig rig;
  auto spec = Rig::spec({"sleep", "1000"});
  spec.linux_.namespaces.push_back({"user", ""});
  spec.linux_.uid_mappings = {{0, 100000, 65536}};
  spec.linux_.gid_mappings = {{0, 100000, 65536}};
  auto created = rig.start_sleeper(spec);
  const Outcome outcome = rig.exec_shell("id -u; cat /proc/self/uid_map");
  CHECK(outcome.error == "");
  CHECK(contains(outcome.output, "100000"));
  rig.end(created);
}

TEST_CASE("a pid file holds digits only", "[container]") {
  NEEDS_ROOT;
  Rig rig;
  auto request = rig.request(Rig::spec({"true"}), -1);
  request.pid_file = rig.base + "/pid";
  auto created = container::create(std::move(request));
  REQUIRE(created.has_value());
  CHECK(sys::read_file(rig.base + "/pid").value() == std::to_string(created->pid));
  rig.end(*created);
}

TEST_CASE("preserved descriptors reach the process and others do not", "[container]") {
  NEEDS_ROOT;
  Rig rig;
  auto created_pipe = sys::make_pipe().value();
  const pid_t pid = ::fork();
  if (pid == 0) {  // a child of its own: descriptor 3 must be free
    ::dup2(created_pipe.second.get(), 3);
    auto request = rig.request(Rig::shell("echo kept >&3"), -1);
    request.preserve_fds = 1;
    auto created = container::create(std::move(request));
    if (!created || !container::start(rig.base + "/state", rig.id)) ::_exit(1);
    (void)sys::wait_child(created->pidfd, true);
    ::_exit(0);
  }
  created_pipe.second.reset();
  int status = 0;
  ::waitpid(pid, &status, 0);
  CHECK(status == 0);
  CHECK(sys::read_all(created_pipe.first.get()).value() == "kept\n");
}

TEST_CASE("delete --force finishes what a killed create left", "[container]") {
  NEEDS_ROOT;
  Rig rig;
  for (const int delay_us : {0, 300, 1000, 2000, 4000, 8000}) {
    const pid_t pid = ::fork();
    if (pid == 0) {
      (void)container::create(rig.request(Rig::spec({"sleep", "1000"}), -1));
      ::_exit(0);
    }
    ::usleep(static_cast<useconds_t>(delay_us));
    ::kill(pid, SIGKILL);
    int status = 0;
    ::waitpid(pid, &status, 0);
    CHECK(container::remove(rig.base + "/state", rig.id, true));
    CHECK_FALSE(sys::path_exists(rig.base + "/state/c1"));
    CHECK_FALSE(cgroup_left());
  }
}
