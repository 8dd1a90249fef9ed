// SPDX-License-Identifier: Apache-2.0
// The engine over real shims: life cycle, exec, logs, stop, removal, and what a new engine finds after the old one is
// gone. Host network only: the node's network is left alone.
#include "agent/pods/engine.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <set>
#include <thread>

#include "agent/shims/client.h"
#include "runtime/base/log.h"
#include "runtime/base/strings.h"
#include "runtime/sys/file.h"
#include "runtime/sys/process.h"
#include "tests/support/catch.h"
#include "tests/support/requires.h"

using namespace berth;
using namespace std::chrono_literals;
namespace v1 = ::runtime::v1;

namespace {

std::string build_directory() {
  char path[4096];
  const ssize_t length = ::readlink("/proc/self/exe", path, sizeof path);
  std::string self(path, length > 0 ? size_t(length) : 0);
  for (int up = 0; up < 2 && !self.empty(); ++up) self.resize(self.rfind('/'));
  return self;
}

std::string shim_path() { return build_directory() + "/berth-shim"; }

bool can_run() { return ::geteuid() == 0 && sys::path_exists(shim_path()) && sys::path_exists("/bin/busybox"); }

// One image, whose only layer holds busybox.
class OneImage final : public rootfs::Images {
 public:
  explicit OneImage(std::string directory) : directory_(std::move(directory)) {
    const std::string layer = directory_ + "/layer";
    for (const char* name : {"/bin", "/etc", "/tmp", "/proc", "/sys", "/dev"})
      REQUIRE(sys::make_directories(layer + name, 0755));
    const std::string busybox = sys::read_file("/bin/busybox").value();
    REQUIRE(sys::replace_file(layer + "/bin/busybox", busybox, 0755, false));
    for (const char* name :
         {"sh", "cat", "echo", "sleep", "id", "true", "false", "hostname", "kill", "touch", "top", "grep", "yes"}) {
      REQUIRE(::symlink("busybox", concat(layer, "/bin/", name).c_str()) == 0);
    }
    REQUIRE(
        sys::replace_file(layer + "/etc/passwd", "root:x:0:0::/:/bin/sh\nweb:x:1000:1000::/:/bin/sh\n", 0644, false));
    REQUIRE(sys::replace_file(layer + "/etc/group", "root:x:0:\nweb:x:1000:\nextra:x:50000:web\n", 0644, false));
    image_.id = "sha256:" + std::string(64, 'a');
    image_.repo_tags = {"test/busybox:latest"};
    image_.size = 1;
    image_.config.cmd = {"/bin/sh"};
  }
  Result<rootfs::Image> pull(const rootfs::PullRequest&) override { return image_; }
  Result<std::optional<rootfs::Image>> find(const std::string& name) override {
    if (name == image_.id || name == "test/busybox:latest") return image_;
    return std::nullopt;
  }
  Result<std::vector<rootfs::Image>> list() override { return std::vector{image_}; }
  Result<> remove(const std::string&) override { return {}; }
  Result<std::vector<std::string>> untag(const std::string&) override { return std::vector<std::string>(); }
  Result<> tag(const std::string&, const std::string&) override { return {}; }
  Result<> collect_garbage() override { return {}; }
  Result<rootfs::FsUsage> usage() override { return rootfs::FsUsage{directory_, 1, 1}; }
  Result<rootfs::OverlayDirs> prepare_snapshot(const std::string& key, const std::string&) override {
    const std::string base = concat(directory_, "/snapshots/", key);
    TRY(sys::make_directories(base + "/fs", 0755));
    TRY(sys::make_directories(base + "/work", 0755));
    return rootfs::OverlayDirs{{directory_ + "/layer"}, base + "/fs", base + "/work"};
  }
  Result<> remove_snapshot(const std::string& key) override {
    return sys::remove_tree(concat(directory_, "/snapshots/", key));
  }
  Result<std::vector<std::string>> snapshots() override {
    if (!sys::path_exists(directory_ + "/snapshots")) return std::vector<std::string>();
    return sys::list_directory(directory_ + "/snapshots");
  }
  Result<rootfs::FsUsage> snapshot_usage(const std::string&) override { return rootfs::FsUsage{directory_, 4096, 1}; }

 private:
  std::string directory_;
  rootfs::Image image_;
};

// A node of its own below /tmp; everything is removed at the end, and nothing may be left by then.
class Node {
 public:
  Node() : path_(concat("/tmp/berth-engine-test-", ::getpid(), "-", random_hex(4))) {
    REQUIRE(sys::make_directories(path_ + "/logs", 0755));
    images_ = std::make_shared<OneImage>(path_ + "/images");
    open();
  }
  ~Node() {
    if (engine_ != nullptr) {
      const auto pods = engine_->list_pod_sandbox({});
      if (pods) {
        for (const v1::PodSandbox& pod : pods->items()) (void)engine_->remove_pod_sandbox(pod.id());
      }
    }
    engine_.reset();
    (void)sys::remove_tree(path_);
  }
  void open(bool recover = true) {
    engine_.reset();
    pods::EngineConfig config;
    config.root = path_ + "/root";
    config.state = path_ + "/state";
    config.shim_path = shim_path();
    config.network = "builtin";
    auto opened = pods::Engine::open(config, images_, recover);
    if (!opened) FAIL(opened.error().message());
    engine_ = std::move(*opened);
    engine_->on_event([this](const pods::LifecycleEvent& event) {
      const std::lock_guard lock(mutex_);
      events_.push_back(event);
    });
  }
  void close() { engine_.reset(); }
  pods::Engine& engine() { return *engine_; }
  const std::string& path() const { return path_; }
  OneImage& images() { return *images_; }
  std::string pod_directory(const std::string& id) const { return concat(path_, "/state/k8s/pods/", id); }
  std::vector<pods::LifecycleEvent::Kind> kinds(const std::string& container) {
    const std::lock_guard lock(mutex_);
    std::vector<pods::LifecycleEvent::Kind> found;
    for (const auto& event : events_) {
      if (event.container_id == container) found.push_back(event.kind);
    }
    return found;
  }

  v1::RunPodSandboxRequest pod_request(const std::string& name) const {
    v1::RunPodSandboxRequest request;
    v1::PodSandboxConfig& config = *request.mutable_config();
    config.mutable_metadata()->set_name(name);
    config.mutable_metadata()->set_namespace_("test");
    config.mutable_metadata()->set_uid("uid-" + name);
    config.set_log_directory(path_ + "/logs");
    auto& options = *config.mutable_linux()->mutable_security_context()->mutable_namespace_options();
    options.set_network(v1::NODE);
    options.set_pid(v1::CONTAINER);
    (*config.mutable_labels())["app"] = name;
    return request;
  }
  v1::CreateContainerRequest container_request(const std::string& pod, const std::string& name,
                                               const std::vector<std::string>& command) const {
    v1::CreateContainerRequest request;
    request.set_pod_sandbox_id(pod);
    v1::ContainerConfig& config = *request.mutable_config();
    config.mutable_metadata()->set_name(name);
    config.mutable_image()->set_image("test/busybox:latest");
    for (const std::string& word : command) config.add_command(word);
    config.set_log_path(name + ".log");
    auto& options = *config.mutable_linux()->mutable_security_context()->mutable_namespace_options();
    options.set_network(v1::NODE);
    options.set_pid(v1::CONTAINER);
    return request;
  }
  std::string run_pod(const std::string& name) {
    auto id = engine_->run_pod_sandbox(pod_request(name));
    if (!id) FAIL(id.error().message());
    return *id;
  }
  std::string create(const v1::CreateContainerRequest& request) {
    auto id = engine_->create_container(request);
    if (!id) FAIL(id.error().message());
    return *id;
  }
  std::string start(const std::string& pod, const std::string& name, const std::vector<std::string>& command) {
    const std::string id = create(container_request(pod, name, command));
    const auto started = engine_->start_container(id);
    if (!started) FAIL(started.error().message());
    return id;
  }
  v1::ContainerStatus status(const std::string& id) {
    auto status = engine_->container_status(id, false);
    if (!status) FAIL(status.error().message());
    return status->status();
  }
  v1::ContainerStatus wait_exited(const std::string& id) {
    for (int i = 0; i < 500; ++i) {
      v1::ContainerStatus now = status(id);
      if (now.state() == v1::CONTAINER_EXITED) return now;
      std::this_thread::sleep_for(20ms);
    }
    FAIL("container did not exit");
    return {};
  }
  Result<v1::ExecSyncResponse> exec(const std::string& id, const std::vector<std::string>& command,
                                    int64_t timeout = 10) {
    v1::ExecSyncRequest request;
    request.set_container_id(id);
    for (const std::string& word : command) request.add_cmd(word);
    request.set_timeout(timeout);
    return engine_->exec_sync(request);
  }

 private:
  std::string path_;
  std::shared_ptr<OneImage> images_;
  std::unique_ptr<pods::Engine> engine_;
  std::mutex mutex_;
  std::vector<pods::LifecycleEvent> events_;
};

#define NEEDS_A_NODE() SKIP_UNLESS(can_run(), "needs root, berth-shim and busybox")

}  // namespace

TEST_CASE("a pod and a container live, log, exit and go without a trace") {
  NEEDS_A_NODE();
  Node node;
  const std::string pod = node.run_pod("life");
  const std::string id = node.create(node.container_request(pod, "app", {"sh", "-c", "echo hello; exit 3"}));
  CHECK(node.status(id).state() == v1::CONTAINER_CREATED);
  CHECK(node.status(id).created_at() > 0);
  CHECK(node.status(id).started_at() == 0);
  REQUIRE(node.engine().start_container(id));
  const auto status = node.wait_exited(id);
  CHECK(status.exit_code() == 3);
  CHECK(status.reason() == "Error");
  CHECK(status.created_at() <= status.started_at());
  CHECK(status.started_at() <= status.finished_at());
  CHECK(status.image().image() == "test/busybox:latest");
  CHECK(status.log_path() == node.path() + "/logs/app.log");
  CHECK(sys::read_file(status.log_path())->find(" stdout F hello\n") != std::string::npos);
  using Kind = pods::LifecycleEvent::Kind;
  CHECK(node.kinds(id) == std::vector<Kind>{Kind::kContainerCreated, Kind::kContainerStarted, Kind::kContainerExited});
  REQUIRE(node.engine().remove_container(id));
  REQUIRE(node.engine().remove_container(id));
  REQUIRE(node.engine().stop_pod_sandbox(pod));
  REQUIRE(node.engine().stop_pod_sandbox(pod));
  CHECK(node.engine().pod_sandbox_status(pod, false)->status().state() == v1::SANDBOX_NOTREADY);
  REQUIRE(node.engine().remove_pod_sandbox(pod));
  REQUIRE(node.engine().remove_pod_sandbox(pod));
  CHECK_FALSE(sys::path_exists(node.pod_directory(pod)));
  CHECK(node.images().snapshots()->empty());
  CHECK(sys::read_file("/proc/self/mountinfo")->find(node.path()) == std::string::npos);
  CHECK(node.engine().pod_sandbox_status(pod, false).error().code() == Code::kNotFound);
}

TEST_CASE("exec runs in the container, tells both streams and the exit code, and ends at its timeout") {
  NEEDS_A_NODE();
  Node node;
  const std::string pod = node.run_pod("exec");
  const std::string id = node.start(pod, "app", {"sleep", "1000"});
  const auto both = node.exec(id, {"sh", "-c", "echo out; echo err >&2; exit 7"});
  REQUIRE(both);
  CHECK(both->stdout() == "out\n");
  CHECK(both->stderr() == "err\n");
  CHECK(both->exit_code() == 7);
  const auto begun = std::chrono::steady_clock::now();
  const auto late = node.exec(id, {"sleep", "4321"}, 1);
  REQUIRE_FALSE(late);
  CHECK(late.error().code() == Code::kDeadlineExceeded);
  CHECK(std::chrono::steady_clock::now() - begun < 5s);
  CHECK(node.exec(id, {}).error().code() == Code::kInvalidArgument);
  CHECK(node.exec("nowhere", {"true"}).error().code() == Code::kNotFound);
}

TEST_CASE("a background child that keeps exec's output open does not hold it up") {
  NEEDS_A_NODE();
  Node node;
  const std::string id = node.start(node.run_pod("drain"), "app", {"sleep", "1000"});
  const auto begun = std::chrono::steady_clock::now();
  const auto result = node.exec(id, {"sh", "-c", "sleep 50 & echo done"});
  REQUIRE(result);
  CHECK(result->stdout() == "done\n");
  CHECK(std::chrono::steady_clock::now() - begun < 4s);
}

TEST_CASE("stop sends the signal, waits, then kills") {
  NEEDS_A_NODE();
  Node node;
  const std::string pod = node.run_pod("stop");
  const std::string polite =
      node.start(pod, "polite", {"sh", "-c", "trap 'exit 5' TERM; while true; do sleep 0.1; done"});
  REQUIRE(node.exec(polite, {"true"}));
  REQUIRE(node.engine().stop_container(polite, 10s));
  CHECK(node.status(polite).state() == v1::CONTAINER_EXITED);
  CHECK(node.status(polite).exit_code() == 5);
  const std::string deaf = node.start(pod, "deaf", {"sh", "-c", "trap '' TERM; while true; do sleep 0.1; done"});
  REQUIRE(node.exec(deaf, {"true"}));
  REQUIRE(node.engine().stop_container(deaf, 1s));
  CHECK(node.status(deaf).exit_code() == 137);
  REQUIRE(node.engine().stop_container(deaf, 1s));
  REQUIRE(node.engine().stop_container("nowhere", 1s));
}

TEST_CASE("a second stop with less patience overtakes the first") {
  NEEDS_A_NODE();
  Node node;
  const std::string id =
      node.start(node.run_pod("overtake"), "deaf", {"sh", "-c", "trap '' TERM; while true; do sleep 0.1; done"});
  REQUIRE(node.exec(id, {"true"}));
  std::atomic<bool> first_fine{false};
  std::thread patient([&] { first_fine = node.engine().stop_container(id, 60s).has_value(); });
  std::this_thread::sleep_for(200ms);
  const auto begun = std::chrono::steady_clock::now();
  REQUIRE(node.engine().stop_container(id, 0s));
  patient.join();
  CHECK(first_fine);
  CHECK(std::chrono::steady_clock::now() - begun < 5s);
}

TEST_CASE("a command that does not exist fails the start and leaves the container exited") {
  NEEDS_A_NODE();
  Node node;
  const std::string pod = node.run_pod("missing");
  const auto request = node.container_request(pod, "app", {"/no/such/program"});
  const auto id = node.engine().create_container(request);
  if (!id) {
    // Found out at create: then nothing is left of it.
    CHECK(id.error().message().find("/no/such/program") != std::string::npos);
    CHECK(node.engine().list_containers({})->containers().empty());
    return;
  }
  const auto started = node.engine().start_container(*id);
  REQUIRE_FALSE(started);
  CHECK(started.error().message().find("/no/such/program") != std::string::npos);
  const auto status = node.status(*id);
  CHECK(status.state() == v1::CONTAINER_EXITED);
  CHECK(status.exit_code() == 128);
  CHECK(status.reason() == "StartError");
}

TEST_CASE("users and groups are those asked for, in the process and in the status") {
  NEEDS_A_NODE();
  Node node;
  const std::string pod = node.run_pod("users");
  auto request = node.container_request(pod, "app", {"sh", "-c", "id -G; sleep 1000"});
  auto& security = *request.mutable_config()->mutable_linux()->mutable_security_context();
  security.mutable_run_as_user()->set_value(1000);
  security.add_supplemental_groups(1234);
  const std::string id = node.create(request);
  REQUIRE(node.engine().start_container(id));
  CHECK(node.exec(id, {"id", "-G"})->stdout() == "1000 1234 50000\n");
  CHECK(node.status(id).user().linux().uid() == 1000);
  CHECK(node.status(id).user().linux().supplemental_groups_size() == 3);
}

TEST_CASE("the same request gives the same pod, another one of that name is refused") {
  NEEDS_A_NODE();
  Node node;
  const std::string pod = node.run_pod("same");
  CHECK(node.engine().run_pod_sandbox(node.pod_request("same")).value() == pod);
  auto other = node.pod_request("same");
  (*other.mutable_config()->mutable_annotations())["x"] = "y";
  CHECK(node.engine().run_pod_sandbox(other).error().code() == Code::kAlreadyExists);
  CHECK(node.engine().list_pod_sandbox({})->items_size() == 1);
}

TEST_CASE("a stopped pod takes no container, and an image that is not there is named") {
  NEEDS_A_NODE();
  Node node;
  const std::string pod = node.run_pod("refuse");
  auto request = node.container_request(pod, "app", {"true"});
  request.mutable_config()->mutable_image()->set_image("nowhere/nothing");
  CHECK(node.engine().create_container(request).error().code() == Code::kNotFound);
  REQUIRE(node.engine().stop_pod_sandbox(pod));
  CHECK(node.engine().create_container(node.container_request(pod, "app", {"true"})).error().code() ==
        Code::kFailedPrecondition);
  CHECK(node.images().snapshots()->empty());
}

TEST_CASE("lists filter by state, pod and label") {
  NEEDS_A_NODE();
  Node node;
  const std::string one = node.run_pod("one");
  const std::string two = node.run_pod("two");
  const std::string running = node.start(one, "app", {"sleep", "1000"});
  node.create(node.container_request(two, "app", {"true"}));
  v1::ListContainersRequest request;
  request.mutable_filter()->mutable_state()->set_state(v1::CONTAINER_RUNNING);
  CHECK(node.engine().list_containers(request)->containers_size() == 1);
  request.Clear();
  request.mutable_filter()->set_pod_sandbox_id(two);
  CHECK(node.engine().list_containers(request)->containers_size() == 1);
  request.Clear();
  request.mutable_filter()->set_id(running.substr(0, 12));
  CHECK(node.engine().list_containers(request)->containers_size() == 1);
  v1::ListPodSandboxRequest pods;
  (*pods.mutable_filter()->mutable_label_selector())["app"] = "two";
  REQUIRE(node.engine().list_pod_sandbox(pods)->items_size() == 1);
  CHECK(node.engine().list_pod_sandbox(pods)->items(0).id() == two);
}

TEST_CASE("resources are updated and told, stats are read") {
  NEEDS_A_NODE();
  Node node;
  const std::string pod = node.run_pod("resources");
  auto create = node.container_request(pod, "app", {"sh", "-c", "while true; do :; done"});
  create.mutable_config()->mutable_linux()->mutable_resources()->set_memory_limit_in_bytes(64 << 20);
  create.mutable_config()->mutable_linux()->mutable_resources()->set_cpu_shares(512);
  const std::string id = node.create(create);
  REQUIRE(node.engine().start_container(id));
  v1::UpdateContainerResourcesRequest update;
  update.set_container_id(id);
  update.mutable_linux()->set_cpu_shares(1024);
  const auto updated = node.engine().update_container_resources(update);
  if (!updated) FAIL(updated.error().message());
  CHECK(node.status(id).resources().linux().cpu_shares() == 1024);
  CHECK(node.status(id).resources().linux().memory_limit_in_bytes() == 64 << 20);
  (void)node.engine().container_stats(id);
  std::this_thread::sleep_for(300ms);
  const auto stats = node.engine().container_stats(id);
  REQUIRE(stats);
  CHECK(stats->cpu().usage_core_nano_seconds().value() > 0);
  CHECK(stats->cpu().usage_nano_cores().value() > 0);
  CHECK(stats->memory().working_set_bytes().value() > 0);
  CHECK(stats->memory().available_bytes().value() > 0);
  CHECK(stats->writable_layer().used_bytes().value() == 4096);
  const auto pod_stats = node.engine().pod_sandbox_stats(pod);
  REQUIRE(pod_stats);
  CHECK(pod_stats->linux().containers_size() == 1);
}

TEST_CASE("a new engine finds what the old one left: running, exited meanwhile, and the exit's code") {
  NEEDS_A_NODE();
  Node node;
  const std::string pod = node.run_pod("restart");
  const std::string stays = node.start(pod, "stays", {"sleep", "1000"});
  const std::string ends = node.start(pod, "ends", {"sh", "-c", "sleep 0.5; exit 9"});
  node.close();
  std::this_thread::sleep_for(1200ms);
  node.open();
  CHECK(node.engine().pod_sandbox_status(pod, false)->status().state() == v1::SANDBOX_READY);
  CHECK(node.status(stays).state() == v1::CONTAINER_RUNNING);
  CHECK(node.status(ends).state() == v1::CONTAINER_EXITED);
  CHECK(node.status(ends).exit_code() == 9);
  REQUIRE(node.exec(stays, {"true"}));
  REQUIRE(node.engine().stop_container(stays, 0s));
  CHECK(node.status(stays).exit_code() == 137);
}

TEST_CASE("a dead shim makes the pod not ready and its containers exited, at once and after a restart") {
  NEEDS_A_NODE();
  Node node;
  const bool while_closed = GENERATE(false, true);
  CAPTURE(while_closed);
  const std::string pod = node.run_pod("dead");
  const std::string id = node.start(pod, "app", {"sleep", "1000"});
  const auto shim = shims::ShimClient::connect(node.pod_directory(pod));
  REQUIRE(shim);
  if (while_closed) node.close();
  REQUIRE(::kill(shim->pid(), SIGKILL) == 0);
  if (while_closed) node.open();
  const auto status = node.wait_exited(id);
  CHECK(status.exit_code() == 255);
  CHECK(status.reason() == "Unknown");
  for (int i = 0; i < 100 && node.engine().pod_sandbox_status(pod, false)->status().state() == v1::SANDBOX_READY; ++i)
    std::this_thread::sleep_for(20ms);
  CHECK(node.engine().pod_sandbox_status(pod, false)->status().state() == v1::SANDBOX_NOTREADY);
  REQUIRE(node.engine().remove_pod_sandbox(pod));
  CHECK(sys::read_file("/proc/self/mountinfo")->find(node.path()) == std::string::npos);
}

TEST_CASE("a stopped shim slows nobody else") {
  NEEDS_A_NODE();
  Node node;
  const std::string frozen = node.run_pod("frozen");
  const std::string other = node.run_pod("other");
  const std::string app = node.start(other, "app", {"sleep", "1000"});
  const auto shim = shims::ShimClient::connect(node.pod_directory(frozen));
  REQUIRE(shim);
  REQUIRE(::kill(shim->pid(), SIGSTOP) == 0);
  const auto begun = std::chrono::steady_clock::now();
  CHECK(node.engine().list_pod_sandbox({})->items_size() == 2);
  CHECK(node.engine().list_containers({})->containers_size() == 1);
  CHECK(node.engine().list_container_stats({})->stats_size() == 1);
  CHECK(node.engine().list_pod_sandbox_stats({})->stats_size() == 2);
  CHECK(node.exec(app, {"true"}));
  CHECK(std::chrono::steady_clock::now() - begun < 2s);
  REQUIRE(::kill(shim->pid(), SIGCONT) == 0);
}

TEST_CASE("what has no record is removed when an engine opens") {
  NEEDS_A_NODE();
  Node node;
  node.close();
  const std::string orphan(64, 'b');
  REQUIRE(node.images().prepare_snapshot(orphan, ""));
  REQUIRE(sys::make_directories(node.pod_directory(orphan)));
  REQUIRE(sys::make_directories(node.path() + "/images/snapshots/a-build"));
  node.open();
  CHECK_FALSE(sys::path_exists(node.pod_directory(orphan)));
  CHECK(node.images().snapshots().value() == std::vector<std::string>{"a-build"});
}

TEST_CASE("a daemonless engine shares the store: another one sees, stops and removes what it made") {
  NEEDS_A_NODE();
  Node node;
  node.open(false);
  const std::string pod = node.run_pod("daemonless");
  const std::string id = node.start(pod, "app", {"sleep", "1000"});
  const std::string ends = node.start(pod, "ends", {"sh", "-c", "exit 4"});
  node.open(false);
  CHECK(node.status(id).state() == v1::CONTAINER_RUNNING);
  CHECK(node.engine().resolve_container("app").value() == id);
  CHECK(node.engine().resolve_container(id.substr(0, 6)).value() == id);
  CHECK(node.engine().resolve_container("nothing").error().code() == Code::kNotFound);
  CHECK(node.engine().wait_container(ends)->code == 4);
  CHECK(node.wait_exited(ends).exit_code() == 4);
  REQUIRE(node.engine().stop_container(id, 0s));
  CHECK(node.engine().wait_container(id)->code == 137);
  REQUIRE(node.engine().remove_pod_sandbox(pod));
  CHECK_FALSE(sys::path_exists(node.pod_directory(pod)));
}
