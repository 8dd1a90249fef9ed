// SPDX-License-Identifier: Apache-2.0
#include "agent/scheduler/digest.h"
#include "contrib/scheduler/registry.h"
#include "tests/support/catch.h"
#include "tests/unit/scheduler/scratch.h"

using namespace berth;
using namespace berth::scheduler;
namespace wire = ::scheduler::v1;

namespace {

constexpr int64_t kSecond = 1'000'000'000;
const std::string kId = "12345678-1234-4234-8234-123456789abc";

wire::Hello hello(uint64_t epoch = 1, uint64_t first = 1, uint64_t next = 1) {
  wire::Hello out;
  out.set_proto_min(1);
  out.set_proto_max(1);
  out.set_node_id(kId);
  out.set_node_name("n1");
  out.set_agent_epoch(epoch);
  out.set_first_seq(first);
  out.set_next_seq(next);
  const auto add = [&out](const char* name, int64_t value) {
    auto* r = out.mutable_capacity()->add_resources();
    r->set_name(name);
    r->set_capacity(value);
    r->set_allocatable(value);
  };
  add("cpu", 4000);
  add("memory", 8ll << 30);
  add("slots", 110);
  return out;
}

wire::AgentFrame batch(uint64_t from, uint64_t to) {
  wire::AgentFrame out;
  for (uint64_t seq = from; seq <= to; ++seq) {
    auto* e = out.mutable_events()->add_events();
    e->set_seq(seq);
    e->set_type(wire::CONTAINER_EXITED);
    e->set_container_id("c" + std::to_string(seq));
  }
  return out;
}

wire::ContainerState container(const std::string& id, int64_t cpu) {
  wire::ContainerState out;
  out.set_id(id);
  out.set_pod_id("p-" + id);
  out.set_phase(wire::CONTAINER_PHASE_RUNNING);
  auto* amount = out.add_requests();
  amount->set_name("cpu");
  amount->set_value(cpu);
  return out;
}

wire::AgentFrame delta(uint64_t base, uint64_t rev, const wire::ContainerState& state) {
  wire::AgentFrame out;
  out.mutable_delta()->set_base_rev(base);
  out.mutable_delta()->set_rev(rev);
  *out.mutable_delta()->add_upsert() = state;
  return out;
}

struct Fixture {
  Scratch scratch;
  std::unique_ptr<Registry> registry = open(0);
  std::unique_ptr<Registry> open(int64_t now) { return Registry::open(scratch.path("s.db"), {}, now).value(); }
  uint64_t connect(int64_t now = 0, const wire::Hello& h = hello()) { return registry->hello(h, now).value().session; }
  void empty_snapshot(uint64_t session) {
    wire::AgentFrame begin, end;
    begin.mutable_snap_begin();
    end.mutable_snap_end();
    REQUIRE(registry->frame(session, begin, 0));
    REQUIRE(registry->frame(session, end, 0));
  }
  wire::NodeSummary node(int64_t now) { return registry->get("n1", now).value().node(); }
};

}  // namespace

TEST_CASE("a new node is asked for a snapshot") {
  Fixture f;
  const auto admission = f.registry->hello(hello(), 0).value();
  CHECK(admission.welcome.need_snapshot());
  CHECK(admission.welcome.acked_through() == 0);
  CHECK(admission.welcome.scheduler_epoch() == 1);
  CHECK(admission.welcome.lease_ttl_ms() == 15000);
}

TEST_CASE("a hello that is none is refused with the reason") {
  Fixture f;
  auto bad = hello();
  bad.set_node_id("x");
  CHECK(f.registry->hello(bad, 0).error().message() == "node id \"x\": not a UUID");
  bad = hello();
  bad.set_proto_min(2);
  bad.set_proto_max(3);
  CHECK(f.registry->hello(bad, 0).error().code() == Code::kFailedPrecondition);
  bad = hello(1, 5, 4);
  CHECK(f.registry->hello(bad, 0).error().code() == Code::kInvalidArgument);
  CHECK(f.registry->list({}, 0).nodes_size() == 0);
}

TEST_CASE("a lease runs from connected over disconnected and unreachable to gone") {
  Fixture f;
  const auto session = f.connect();
  CHECK(f.node(0).state() == wire::CONNECTED);
  f.registry->closed(session, 2 * kSecond);
  CHECK(f.node(3 * kSecond).state() == wire::DISCONNECTED);
  CHECK(f.node(3 * kSecond).state_age_ms() == 1000);
  CHECK(f.node(14 * kSecond).state() == wire::DISCONNECTED);
  CHECK(f.node(15 * kSecond).state() == wire::UNREACHABLE);
  CHECK(f.node(20 * kSecond).state_age_ms() == 5000);
  CHECK(f.node((15 + 24 * 3600) * kSecond).state() == wire::GONE);
}

TEST_CASE("a silent stream is unreachable and its session expired") {
  Fixture f;
  const auto session = f.connect();
  CHECK_FALSE(f.registry->expired(session, 14 * kSecond));
  CHECK(f.registry->expired(session, 15 * kSecond));
  CHECK(f.node(15 * kSecond).state() == wire::UNREACHABLE);
}

TEST_CASE("any frame renews the lease") {
  Fixture f;
  const auto session = f.connect();
  REQUIRE(f.registry->frame(session, wire::AgentFrame{}, 10 * kSecond));
  CHECK(f.node(24 * kSecond).state() == wire::CONNECTED);
}

TEST_CASE("events are acknowledged cumulatively and stored once however often they come") {
  Fixture f;
  const auto session = f.connect(0, hello(1, 1, 11));
  CHECK(f.registry->frame(session, batch(1, 10), 0).value().at(0).ack().through() == 10);
  CHECK(f.registry->frame(session, batch(4, 12), 0).value().at(0).ack().through() == 12);
  CHECK(f.registry->frame(session, batch(1, 12), 0).value().at(0).ack().through() == 12);
  const auto events = f.registry->events({}).value();
  REQUIRE(events.events_size() == 12);
  for (int i = 0; i < 12; ++i) CHECK(events.events(i).event().seq() == static_cast<uint64_t>(i + 1));
}

TEST_CASE("a hole in the sequence ends the session and stores nothing") {
  Fixture f;
  const auto session = f.connect();
  CHECK(f.registry->frame(session, batch(2, 3), 0).error().code() == Code::kAborted);
  CHECK(f.registry->events({}).value().events_size() == 0);
}

TEST_CASE("a log that begins later is accepted with its hello") {
  Fixture f;
  CHECK(f.registry->hello(hello(1, 500, 600), 0).value().welcome.acked_through() == 499);
}

TEST_CASE("what was acknowledged is there after a restart, under a higher epoch") {
  Fixture f;
  const auto session = f.connect(0, hello(1, 1, 6));
  REQUIRE(f.registry->frame(session, batch(1, 5), 0));
  f.registry = f.open(100 * kSecond);
  CHECK(f.node(100 * kSecond).state() == wire::DISCONNECTED);
  CHECK(f.node(100 * kSecond).silent_ms() == -1);
  CHECK(f.node(115 * kSecond).state() == wire::UNREACHABLE);
  const auto again = f.registry->hello(hello(1, 6, 6), 116 * kSecond).value();
  CHECK(again.welcome.acked_through() == 5);
  CHECK(again.welcome.scheduler_epoch() == 2);
  CHECK(f.registry->events({}).value().events_size() == 5);
}

TEST_CASE("equal revision and digest after a restart need no snapshot") {
  Fixture f;
  const auto session = f.connect();
  f.empty_snapshot(session);
  const auto state = container("a", 500);
  REQUIRE(f.registry->frame(session, delta(0, 1, state), 0).value().empty());
  f.registry = f.open(0);
  auto h = hello();
  h.set_state_rev(1);
  h.set_state_digest(state_hash(state));
  CHECK_FALSE(f.registry->hello(h, 0).value().welcome.need_snapshot());
  h.set_state_digest(1);
  CHECK(f.registry->hello(h, 0).value().welcome.need_snapshot());
}

TEST_CASE("a delta on another base asks once for a snapshot") {
  Fixture f;
  const auto session = f.connect();
  f.empty_snapshot(session);
  auto answers = f.registry->frame(session, delta(7, 8, container("a", 1)), 0).value();
  REQUIRE(answers.size() == 1);
  CHECK(answers[0].resync().cause() == "revision");
  CHECK(f.registry->frame(session, delta(8, 9, container("b", 1)), 0).value().empty());
}

TEST_CASE("drift shows in the next heartbeat") {
  Fixture f;
  const auto session = f.connect();
  f.empty_snapshot(session);
  wire::AgentFrame beat;
  beat.mutable_hb()->set_n(1);
  auto answers = f.registry->frame(session, beat, 0).value();
  REQUIRE(answers.size() == 1);
  CHECK(answers[0].hb().n() == 1);
  beat.mutable_hb()->set_digest(99);
  answers = f.registry->frame(session, beat, 0).value();
  REQUIRE(answers.size() == 2);
  CHECK(answers[1].resync().cause() == "digest");
}

TEST_CASE("a snapshot that does not match its digest changes nothing") {
  Fixture f;
  const auto session = f.connect();
  wire::SnapshotBody body;
  *body.add_containers() = container("a", 500);
  wire::AgentFrame begin, chunk, end;
  begin.mutable_snap_begin()->set_count(1);
  chunk.mutable_snap_chunk()->set_payload(body.SerializeAsString());
  end.mutable_snap_end()->set_count(1);
  end.mutable_snap_end()->set_rev(4);
  end.mutable_snap_end()->set_digest(1);
  REQUIRE(f.registry->frame(session, begin, 0));
  REQUIRE(f.registry->frame(session, chunk, 0));
  CHECK(f.registry->frame(session, end, 0).value().at(0).resync().cause() == "digest");
  CHECK(f.node(0).containers() == 0);
  end.mutable_snap_end()->set_digest(state_hash(body.containers(0)));
  REQUIRE(f.registry->frame(session, begin, 0));
  REQUIRE(f.registry->frame(session, chunk, 0));
  CHECK(f.registry->frame(session, end, 0).value().empty());
  CHECK(f.node(0).containers() == 1);
}

TEST_CASE("a newer agent takes the session, an older one is refused") {
  Fixture f;
  const auto first = f.connect(0, hello(2));
  CHECK(f.registry->hello(hello(1), 0).error().code() == Code::kFailedPrecondition);
  f.connect(0, hello(3));
  CHECK(f.registry->frame(first, wire::AgentFrame{}, 0).error().code() == Code::kFailedPrecondition);
  f.registry->closed(first, kSecond);  // the old stream's end is not the new one's
  CHECK(f.node(kSecond).state() == wire::CONNECTED);
}

TEST_CASE("fit counts R from capacity, H from allocations, and totals only placeable nodes") {
  Fixture f;
  const auto session = f.connect();
  f.empty_snapshot(session);
  REQUIRE(f.registry->frame(session, delta(0, 1, container("a", 1500)), 0));
  wire::ClusterFitRequest request;
  auto* amount = request.mutable_request()->add_shape();
  amount->set_name("cpu");
  amount->set_value(500);
  auto out = f.registry->fit(request, 0).value();
  REQUIRE(out.nodes_size() == 1);
  CHECK(out.nodes(0).fit().r() == 8);
  CHECK(out.nodes(0).fit().h() == 5);
  CHECK(out.nodes(0).fit().binding() == "cpu");
  CHECK(out.total_h() == 5);
  f.registry->closed(session, 0);
  CHECK(f.registry->fit(request, kSecond).value().total_r() == 8);
  CHECK(f.registry->fit(request, 6 * kSecond).value().total_r() == 0);
}

TEST_CASE("an exited container holds nothing") {
  Fixture f;
  const auto session = f.connect();
  f.empty_snapshot(session);
  auto state = container("a", 1500);
  state.set_phase(wire::CONTAINER_PHASE_EXITED);
  REQUIRE(f.registry->frame(session, delta(0, 1, state), 0));
  CHECK(f.node(0).containers() == 0);
  CHECK(f.node(0).capacity().resources(0).allocated() == 0);
}

TEST_CASE("nodes are found by name, id and unique prefix") {
  Fixture f;
  f.connect();
  CHECK(f.registry->get(kId, 0));
  CHECK(f.registry->get("1234", 0));
  CHECK(f.registry->get("nobody", 0).error().message() == "no such node: nobody");
  auto other = hello();
  other.set_node_id("12345678-0000-4234-8234-123456789abc");
  other.set_node_name("n2");
  f.connect(0, other);
  CHECK(f.registry->get("1234", 0).error().code() == Code::kInvalidArgument);
  CHECK(f.registry->get("n2", 0));
}
