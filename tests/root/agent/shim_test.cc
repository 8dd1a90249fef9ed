// SPDX-License-Identifier: Apache-2.0
// berth-shim and its client: the pod and the socket. Containers: shim_container_test.cc.
#include "tests/root/agent/shim_pod.h"

using namespace shim_test;

// ---- the pod
// ------------------------------------------------------------------------------------------------------------

TEST_CASE("a shim comes up in namespaces of its own with lo up, and answers", "[shim][root]") {
  NEEDS_ROOT;
  shim::PodSettings settings;
  settings.hostname = "a-pod";
  settings.sysctls = {{"net.ipv4.ip_unprivileged_port_start", "0"}, {"kernel.shm_rmid_forced", "1"}};
  Pod pod(settings);
  REQUIRE(pod->hello());
  CHECK(pod->alive());
  for (const char* name : {"net", "ipc", "uts"}) {
    struct stat ours{}, theirs{};
    REQUIRE(::stat(concat("/proc/self/ns/", name).c_str(), &ours) == 0);
    REQUIRE(::stat(pod->namespace_path(name).c_str(), &theirs) == 0);
    CHECK(ours.st_ino != theirs.st_ino);
  }
  struct stat ours{}, theirs{};
  REQUIRE(::stat("/proc/self/ns/mnt", &ours) == 0);
  REQUIRE(::stat(pod->namespace_path("mnt").c_str(), &theirs) == 0);
  CHECK(ours.st_ino == theirs.st_ino);
  CHECK(::getsid(pod->pid()) == pod->pid());
}

TEST_CASE("the pod's shm is a tmpfs on the host and goes with the pod", "[shim][root]") {
  NEEDS_ROOT;
  shim::PodSettings settings;
  settings.shm_bytes = 1 << 20;
  Pod pod(settings);
  const std::string shm = pod.pod_dir() + "/shm";
  struct statfs info{};
  REQUIRE(::statfs(shm.c_str(), &info) == 0);
  CHECK(info.f_type == 0x01021994);
  CHECK(info.f_blocks * static_cast<uint64_t>(info.f_bsize) == 1 << 20);
  struct stat mode{};
  REQUIRE(::stat(shm.c_str(), &mode) == 0);
  CHECK((mode.st_mode & 07777) == 01777);
  REQUIRE(pod->stop());
  CHECK_FALSE(pod->alive());
  const auto mounts = sys::read_file("/proc/self/mountinfo");
  CHECK(mounts->find(shm) == std::string::npos);
  CHECK_FALSE(sys::path_exists(pod.pod_dir() + "/shim.sock"));
  CHECK(pod->stop());
}

TEST_CASE("a pod with the host's namespaces stays in them and mounts nothing", "[shim][root]") {
  NEEDS_ROOT;
  shim::PodSettings settings;
  settings.new_network = settings.new_ipc = settings.new_uts = false;
  Pod pod(settings);
  for (const char* name : {"net", "ipc", "uts"}) {
    struct stat ours{}, theirs{};
    REQUIRE(::stat(concat("/proc/self/ns/", name).c_str(), &ours) == 0);
    REQUIRE(::stat(pod->namespace_path(name).c_str(), &theirs) == 0);
    CHECK(ours.st_ino == theirs.st_ino);
  }
  CHECK(sys::read_file("/proc/self/mountinfo")->find(pod.pod_dir()) == std::string::npos);
}

TEST_CASE("a shared pid namespace has an init that ignores TERM and ends with the pod", "[shim][root]") {
  NEEDS_ROOT;
  shim::PodSettings settings;
  settings.shared_pid = true;
  Pod pod(settings);
  const pid_t init = pod->pid_namespace_pid();
  REQUIRE(init > 0);
  const auto status = sys::read_file(concat("/proc/", init, "/status"));
  REQUIRE(status);
  CHECK(status->find("\t1\n") != std::string::npos);  // NSpid: <host> 1
  ::kill(init, SIGTERM);
  std::this_thread::sleep_for(50ms);
  CHECK(::kill(init, 0) == 0);
  REQUIRE(pod->stop());
  CHECK(holds([&] { return ::kill(init, 0) != 0; }));
}

TEST_CASE("a pod that cannot be made leaves no shim and says why", "[shim][root]") {
  NEEDS_ROOT;
  char name[] = "/tmp/berth-shimtest-XXXXXX";
  const std::string dir = ::mkdtemp(name);
  shim::PodSettings settings;
  settings.sysctls = {{"kernel.core_pattern", "|/bin/evil"}};
  const auto refused = ShimClient::spawn(shim_program(), dir, settings);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code() == Code::kInvalidArgument);
  CHECK(refused.error().message().find("kernel.core_pattern") != std::string::npos);
  settings.sysctls = {{"net.no_such_thing", "1"}};
  CHECK_FALSE(ShimClient::spawn(shim_program(), dir, settings));
  CHECK(processes_with(dir) == 0);
  CHECK(sys::read_file("/proc/self/mountinfo")->find(dir) == std::string::npos);
  CHECK_FALSE(ShimClient::spawn("/no/such/program", dir, {}));
  REQUIRE(sys::remove_tree(dir));
}

TEST_CASE("SIGTERM and a client's death leave the shim alone", "[shim][root]") {
  NEEDS_ROOT;
  Pod pod;
  for (const int signal : {SIGTERM, SIGINT, SIGHUP, SIGPIPE}) ::kill(pod->pid(), signal);
  for (int i = 0; i < 20; ++i) {
    auto half = sys::connect_unix(pod.pod_dir() + "/shim.sock", SOCK_SEQPACKET);
    REQUIRE(half);
    if (i % 2 == 0) REQUIRE(sys::send_message(half->get(), R"({"op":"hello"})"));
  }
  CHECK(pod->hello());
  const auto again = ShimClient::connect(pod.pod_dir());
  REQUIRE(again);
  CHECK(again->pid() == pod->pid());
}

TEST_CASE("nonsense is answered with an error and harms nobody", "[shim][root]") {
  NEEDS_ROOT;
  Pod pod;
  for (const char* text :
       {"", "x", "{}", "[1]", R"({"op":"fly"})", R"({"op":"start"})", R"({"op":"create","bundle":"rel"})",
        R"({"op":"exec","id":"a","process":3})", R"({"op":"dial","port":0})", R"({"op":"dial","port":70000})",
        R"({"op":"resize","id":"a","width":-1})"}) {
    INFO(text);
    auto connection = sys::connect_unix(pod.pod_dir() + "/shim.sock", SOCK_SEQPACKET);
    REQUIRE(connection);
    REQUIRE(sys::send_message(connection->get(), text));
    pollfd entry{connection->get(), POLLIN, 0};
    REQUIRE(::poll(&entry, 1, 3000) == 1);
    const auto answer = sys::receive_message(connection->get());
    if (*text != '\0') {
      REQUIRE(answer);
      CHECK(answer->data.find("\"error\"") != std::string::npos);
    }
  }
  CHECK(pod->hello());
}

TEST_CASE("only root may speak to a shim", "[shim][root]") {
  NEEDS_ROOT;
  Pod pod;
  const std::string path = pod.pod_dir() + "/shim.sock";
  struct stat info{};
  REQUIRE(::stat(path.c_str(), &info) == 0);
  CHECK((info.st_mode & 0777) == 0600);
  // Even where the path's permissions let somebody in.
  REQUIRE(::chmod(path.c_str(), 0666) == 0);
  for (const auto& dir : {pod.dir(), pod.pod_dir()}) REQUIRE(::chmod(dir.c_str(), 0755) == 0);
  const pid_t child = ::fork();
  if (child == 0) {
    if (::setgid(65534) != 0 || ::setuid(65534) != 0) ::_exit(3);
    auto connection = sys::connect_unix(path, SOCK_SEQPACKET);
    if (!connection) ::_exit(4);
    [[maybe_unused]] const auto sent = sys::send_message(connection->get(), R"({"op":"hello"})");
    const auto answer = sys::receive_message(connection->get());
    ::_exit(answer && !answer->closed ? 5 : 0);
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  CHECK(WEXITSTATUS(status) == 0);
  CHECK(sys::read_file(concat("/proc/", pod->pid(), "/net/unix"))->find('@') == std::string::npos);
}

TEST_CASE("a stopped shim costs its caller the deadline and no more", "[shim][root]") {
  NEEDS_ROOT;
  Pod pod;
  REQUIRE(::kill(pod->pid(), SIGSTOP) == 0);
  const long long before = monotonic_nanos();
  const auto hello = pod->hello(200ms);
  REQUIRE_FALSE(hello);
  CHECK(hello.error().code() == Code::kDeadlineExceeded);
  CHECK(monotonic_nanos() - before < 1'500'000'000);
  REQUIRE(::kill(pod->pid(), SIGCONT) == 0);
  CHECK(pod->hello());
}

TEST_CASE("a dead shim is unavailable", "[shim][root]") {
  NEEDS_ROOT;
  Pod pod;
  ::kill(pod->pid(), SIGKILL);
  CHECK(holds([&] { return !pod->alive(); }));
  const auto hello = pod->hello();
  REQUIRE_FALSE(hello);
  CHECK(hello.error().code() == Code::kUnavailable);
  CHECK_FALSE(ShimClient::connect(pod.pod_dir()));
  CHECK(pod->stop());
}

TEST_CASE("dial to a port where nobody listens says so at once", "[shim][root]") {
  NEEDS_ROOT;
  Pod pod;
  const auto made = pod->dial(81);
  REQUIRE_FALSE(made);
  CHECK(made.error().code() == Code::kUnavailable);
}

TEST_CASE("an idle shim is small", "[shim][root]") {
  NEEDS_ROOT;
  Pod pod;
  const auto rollup = sys::read_file(concat("/proc/", pod->pid(), "/smaps_rollup"));
  REQUIRE(rollup);
  const size_t at = rollup->find("\nPss:");
  REQUIRE(at != std::string::npos);
  const int kib = std::atoi(rollup->c_str() + at + 5);
  WARN("idle shim: " << kib << " KiB PSS");
  CHECK(kib < 2048);
}
