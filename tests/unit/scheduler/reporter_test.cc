// SPDX-License-Identifier: Apache-2.0
// The reporter against the real scheduler, over a unix socket in one process.
#include <atomic>

#include "agent/scheduler/reporter.h"
#include "contrib/scheduler/service.h"
#include "runtime/base/log.h"
#include "runtime/base/strings.h"
#include "tests/support/catch.h"
#include "tests/unit/scheduler/scratch.h"

using namespace berth;
using namespace berth::scheduler;
namespace wire = ::scheduler::v1;
using Kind = pods::LifecycleEvent::Kind;

namespace {

struct Upstream {
  std::shared_ptr<Registry> registry;
  std::unique_ptr<Server> server;
};

struct Fixture {
  Scratch scratch;
  Upstream up;
  Fixture() { set_log_level(LogLevel::kError); }

  std::string address() const { return "unix://" + scratch.path("s.sock"); }
  void serve(int heartbeat_ms = 100) {
    RegistryConfig config;
    config.times.heartbeat = int64_t{heartbeat_ms} * 1'000'000;
    config.times.ttl = 3 * config.times.heartbeat;
    up.registry = std::shared_ptr<Registry>(Registry::open(scratch.path("s.db"), config, monotonic_nanos()).value());
    auto server = Server::start(address(), up.registry);
    INFO((server ? "" : server.error().message()));
    REQUIRE(server);
    up.server = std::move(*server);
  }
  void down() {
    up.server->stop();
    up.server.reset();
    up.registry.reset();
  }
  Reporter::Config config() const {
    Reporter::Config out;
    out.address = address();
    out.root = scratch.path("node");
    out.node_name = "n1";
    out.labels = {{"zone", "a"}};
    out.capacity["cpu"].capacity = 4000;
    out.capacity["memory"].capacity = 8ll << 30;
    out.capacity["slots"].capacity = 110;
    out.backoff_cap_ms = 50;
    return out;
  }
  std::unique_ptr<Reporter> reporter() const { return Reporter::open(config()).value(); }
  wire::NodeSummary node() const {
    const auto out = up.registry->get("n1", monotonic_nanos());
    return out ? out->node() : wire::NodeSummary();
  }
  std::vector<uint64_t> received() const {
    std::vector<uint64_t> out;
    wire::ListEventsRequest request;
    request.set_limit(10'000);
    const auto events = up.registry->events(request).value();
    for (const auto& e : events.events()) out.push_back(e.event().seq());
    return out;
  }
};

pods::LifecycleEvent event(Kind kind, const std::string& id, int code = 0) {
  pods::LifecycleEvent out;
  out.kind = kind;
  out.pod_id = "pod-" + id;
  out.container_id = id;
  out.pod_uid = "uid";
  if (kind == Kind::kContainerExited) {
    out.exit.emplace();
    out.exit->code = code;
  }
  return out;
}

ContainerInfo info(const std::string& id, int64_t shares) {
  ContainerInfo out;
  out.id = id;
  out.pod_id = "pod-" + id;
  out.name = id;
  out.phase = ContainerInfo::Phase::kRunning;
  out.resources.set_cpu_shares(shares);
  return out;
}

int64_t allocated(const wire::NodeSummary& node, const std::string& name) {
  for (const auto& r : node.capacity().resources()) {
    if (r.name() == name) return r.allocated();
  }
  return -1;
}

std::vector<uint64_t> up_to(uint64_t n) {
  std::vector<uint64_t> out;
  for (uint64_t i = 1; i <= n; ++i) out.push_back(i);
  return out;
}

}  // namespace

TEST_CASE("a reporter registers with its name, labels and capacity, and sends its snapshot") {
  Fixture f;
  f.serve();
  auto reporter = f.reporter();
  reporter->set_containers({info("a", 512), info("b", 256)});
  reporter->start();
  REQUIRE(eventually([&] { return f.node().containers() == 2; }));
  const auto node = f.node();
  CHECK(node.state() == wire::CONNECTED);
  CHECK(node.labels().at("zone") == "a");
  CHECK(allocated(node, "cpu") == 750);
  CHECK(node.pods() == 2);
  CHECK(reporter->status().snapshots == 1);
  CHECK(node.node_id() == reporter->status().node_id);
}

TEST_CASE("events arrive in order, are acknowledged and deleted") {
  Fixture f;
  f.serve();
  auto reporter = f.reporter();
  reporter->start();
  for (int i = 0; i < 100; ++i) reporter->lifecycle(event(Kind::kContainerExited, "c" + std::to_string(i), i));
  REQUIRE(eventually([&] { return reporter->status().acked_through == 100; }));
  CHECK(f.received() == up_to(100));
  const auto events = f.up.registry->events({}).value();
  CHECK(events.events(42).event().exit().code() == 42);
}

TEST_CASE("a small window still lets everything through") {
  Fixture f;
  RegistryConfig config;
  config.max_inflight_events = 3;
  f.up.registry = std::shared_ptr<Registry>(Registry::open(f.scratch.path("s.db"), config, monotonic_nanos()).value());
  f.up.server = Server::start(f.address(), f.up.registry).value();
  auto reporter = f.reporter();
  for (int i = 0; i < 50; ++i) reporter->lifecycle(event(Kind::kContainerStarted, "c"));
  reporter->start();
  REQUIRE(eventually([&] { return reporter->status().acked_through == 50; }));
  CHECK(f.received() == up_to(50));
}

TEST_CASE("a container's life changes the node's state") {
  Fixture f;
  f.serve();
  auto config = f.config();
  std::atomic<int> lookups = 0;
  config.lookup = [&](const std::string& id) {
    ++lookups;
    return std::optional<ContainerInfo>(info(id, 512));
  };
  auto reporter = Reporter::open(std::move(config)).value();
  reporter->start();
  reporter->lifecycle(event(Kind::kContainerCreated, "c"));
  reporter->lifecycle(event(Kind::kContainerStarted, "c"));
  REQUIRE(eventually([&] { return allocated(f.node(), "cpu") == 500; }));
  CHECK(lookups == 1);
  CHECK(f.up.registry->get("n1", monotonic_nanos())->containers(0).phase() == wire::CONTAINER_PHASE_RUNNING);
  reporter->lifecycle(event(Kind::kContainerExited, "c", 137));
  REQUIRE(eventually([&] { return allocated(f.node(), "cpu") == 0; }));
  CHECK(f.up.registry->get("n1", monotonic_nanos())->containers(0).exit().code() == 137);
  reporter->lifecycle(event(Kind::kContainerRemoved, "c"));
  REQUIRE(eventually([&] { return f.up.registry->get("n1", monotonic_nanos())->containers_size() == 0; }));
}

TEST_CASE("heartbeats are answered and keep the lease") {
  Fixture f;
  f.serve(50);
  auto reporter = f.reporter();
  reporter->start();
  REQUIRE(eventually([&] { return reporter->status().heartbeats >= 8; }));
  CHECK(reporter->status().sessions == 1);
  CHECK(f.node().state() == wire::CONNECTED);
}

TEST_CASE("a capacity change is reported") {
  Fixture f;
  f.serve();
  auto reporter = f.reporter();
  reporter->start();
  REQUIRE(eventually([&] { return f.node().state() == wire::CONNECTED; }));
  accounting::NodeCapacity capacity;
  capacity["cpu"].capacity = 8000;
  reporter->set_capacity(capacity);
  REQUIRE(eventually([&] { return f.node().capacity().resources_size() == 1; }));
  CHECK(f.node().capacity().resources(0).allocatable() == 8000);
}

TEST_CASE("readiness travels with a heartbeat") {
  Fixture f;
  f.serve(50);
  auto reporter = f.reporter();
  reporter->set_ready(false, "network plugin not ready");
  reporter->start();
  REQUIRE(eventually([&] { return f.node().health().message() == "network plugin not ready"; }));
}

TEST_CASE("events written without a scheduler are delivered when one comes") {
  Fixture f;
  auto reporter = f.reporter();
  reporter->start();
  for (int i = 0; i < 20; ++i) reporter->lifecycle(event(Kind::kContainerStarted, "c"));
  CHECK(reporter->status().acked_through == 0);
  f.serve();
  REQUIRE(eventually([&] { return reporter->status().acked_through == 20; }));
  CHECK(f.received() == up_to(20));
}

TEST_CASE("a restarted scheduler misses nothing, doubles nothing, and needs no snapshot") {
  Fixture f;
  f.serve();
  auto reporter = f.reporter();
  reporter->set_containers({info("a", 512)});
  reporter->start();
  for (int i = 0; i < 10; ++i) reporter->lifecycle(event(Kind::kContainerStarted, "a"));
  REQUIRE(eventually([&] { return reporter->status().acked_through == 10 && f.node().containers() == 1 && f.node().state_rev() == reporter->status().state_rev; }));
  const auto snapshots = reporter->status().snapshots;
  f.down();
  for (int i = 0; i < 10; ++i) reporter->lifecycle(event(Kind::kContainerStarted, "a"));
  f.serve();
  REQUIRE(eventually([&] { return reporter->status().acked_through == 20; }));
  CHECK(f.received() == up_to(20));
  CHECK(reporter->status().sessions == 2);
  CHECK(reporter->status().snapshots == snapshots);
  CHECK(reporter->status().scheduler_epoch == 2);
  CHECK(allocated(f.node(), "cpu") == 500);
}

TEST_CASE("a restarted agent keeps its identity and delivers what was not acknowledged") {
  Fixture f;
  std::string id;
  {
    auto reporter = f.reporter();
    id = reporter->status().node_id;
    for (int i = 0; i < 7; ++i) reporter->lifecycle(event(Kind::kContainerStarted, "c"));
  }
  f.serve();
  auto reporter = f.reporter();
  CHECK(reporter->status().node_id == id);
  CHECK(reporter->status().agent_epoch == 2);
  reporter->start();
  reporter->lifecycle(event(Kind::kContainerStarted, "c"));
  REQUIRE(eventually([&] { return reporter->status().acked_through == 8; }));
  CHECK(f.received() == up_to(8));
}

TEST_CASE("a stopped agent is disconnected at once and unreachable when its lease ends") {
  Fixture f;
  f.serve(200);
  auto reporter = f.reporter();
  reporter->start();
  REQUIRE(eventually([&] { return f.node().state() == wire::CONNECTED; }));
  reporter->stop();
  REQUIRE(eventually([&] { return f.node().state() == wire::DISCONNECTED; }, std::chrono::milliseconds(300)));
  REQUIRE(eventually([&] { return f.node().state() == wire::UNREACHABLE; }, std::chrono::seconds(3)));
}

TEST_CASE("many changes at once end in equal digests") {
  Fixture f;
  f.serve(50);
  auto reporter = f.reporter();
  reporter->start();
  REQUIRE(eventually([&] { return reporter->status().connected; }));
  for (int i = 0; i < 300; ++i) {
    const std::string id = "c" + std::to_string(i % 40);
    reporter->lifecycle(event(i % 3 == 0 ? Kind::kContainerCreated : i % 3 == 1 ? Kind::kContainerStarted : Kind::kContainerRemoved, id));
  }
  REQUIRE(eventually([&] { return f.node().state_rev() == reporter->status().state_rev && reporter->status().acked_through == 300; }));
  const auto beats = reporter->status().heartbeats;
  REQUIRE(eventually([&] { return reporter->status().heartbeats >= beats + 3; }));
  CHECK(reporter->status().snapshots <= 1);  // no heartbeat found a difference
}

TEST_CASE("a bad address is refused before anything is started") {
  Fixture f;
  auto config = f.config();
  for (const char* address : {"", "unix:relative", "host", "host:0", "host:70000", ":80"}) {
    config.address = address;
    const auto opened = Reporter::open(config);
    REQUIRE_FALSE(opened);
    CHECK(opened.error().code() == Code::kInvalidArgument);
  }
}

TEST_CASE("two servers do not share one socket, and a stale one is replaced") {
  Fixture f;
  f.serve();
  const auto second = Server::start(f.address(), f.up.registry);
  REQUIRE_FALSE(second);
  CHECK(second.error().code() == Code::kAlreadyExists);
}
