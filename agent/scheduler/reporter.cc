// SPDX-License-Identifier: Apache-2.0
#include "agent/scheduler/reporter.h"

#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <thread>

#include "agent/scheduler/address.h"
#include "agent/scheduler/fit_messages.h"
#include "agent/scheduler/session.h"
#include "runtime/base/log.h"
#include "runtime/base/strings.h"
#include "runtime/sys/file.h"

namespace berth::scheduler {
namespace {

constexpr size_t kPendingLimit = 4096;       // events kept in memory while the disk takes none
constexpr uint64_t kCheckpointEvery = 512;   // appended events
constexpr std::chrono::seconds kHealthy{60};  // a session of this length resets the back-off

int64_t boottime_nanos() {
  struct timespec now {};
  ::clock_gettime(CLOCK_BOOTTIME, &now);
  return int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

wire::EventType wire_type(pods::LifecycleEvent::Kind kind) {
  using Kind = pods::LifecycleEvent::Kind;
  switch (kind) {
    case Kind::kSandboxCreated: return wire::SANDBOX_CREATED;
    case Kind::kSandboxReady: return wire::SANDBOX_READY;
    case Kind::kSandboxStopped: return wire::SANDBOX_STOPPED;
    case Kind::kSandboxRemoved: return wire::SANDBOX_REMOVED;
    case Kind::kContainerCreated: return wire::CONTAINER_CREATED;
    case Kind::kContainerStarted: return wire::CONTAINER_STARTED;
    case Kind::kContainerOom: return wire::CONTAINER_OOM;
    case Kind::kContainerExited: return wire::CONTAINER_EXITED;
    case Kind::kContainerRemoved: return wire::CONTAINER_REMOVED;
  }
  return wire::EVENT_TYPE_UNSPECIFIED;
}

wire::Event to_wire(const pods::LifecycleEvent& event) {
  wire::Event out;
  out.set_wall_ns(event.wall_nanos != 0 ? event.wall_nanos : realtime_nanos());
  out.set_boottime_ns(static_cast<uint64_t>(boottime_nanos()));
  out.set_container_id(event.container_id.empty() ? event.pod_id : event.container_id);
  out.set_attempt(event.attempt);
  out.set_type(wire_type(event.kind));
  out.set_pod_uid(event.pod_uid);
  if (event.exit) {
    auto* exit = out.mutable_exit();
    exit->set_code(event.exit->code);
    exit->set_signal(static_cast<uint32_t>(std::max(event.exit->signal, 0)));
    exit->set_oom(event.exit->oom);
    exit->set_reason(event.exit->reason);
    exit->set_src(wire::EXIT_SOURCE_SHIM);
  }
  return out;
}

std::string host_name() {
  std::array<char, 256> name{};
  return ::gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "localhost";
}

class ReporterImpl final : public Reporter {
 public:
  ReporterImpl(Config config, std::unique_ptr<EventLog> log) : shared_(std::move(config), std::move(log)) {
    if (shared_.log->identity().rebooted) {
      wire::Event event;
      event.set_type(wire::NODE_BOOTED);
      (*event.mutable_attrs())["boot_id"] = shared_.log->identity().boot_id;
      const std::lock_guard lock(shared_.mutex);
      record(std::move(event));
    }
  }
  ~ReporterImpl() override { stop(); }

  void start() override {
    worker_ = std::thread([this] { work(); });
    {
      const std::lock_guard lock(shared_.mutex);
      shared_.session_over = false;
    }
    session_ = std::thread([this] {
      dial();
      const std::lock_guard lock(shared_.mutex);
      shared_.session_over = true;
      shared_.wake.notify_all();
    });
  }

  void lifecycle(const pods::LifecycleEvent& event) override {
    const std::lock_guard lock(shared_.mutex);
    shared_.state.apply(event);
    record(to_wire(event));
    if (event.kind == pods::LifecycleEvent::Kind::kContainerCreated && shared_.config.lookup) {
      shared_.lookups.push_back(event.container_id);
      shared_.work.notify_all();
    }
  }

  void set_containers(const std::vector<ContainerInfo>& containers) override {
    change([&](NodeState& state) { return state.set_all(containers); });
  }
  void set_container(const ContainerInfo& container) override {
    change([&](NodeState& state) { return state.set(container); });
  }
  void set_capacity(const accounting::NodeCapacity& capacity) override {
    change([&](NodeState& state) { return state.set_capacity(capacity); });
  }

  void set_ready(bool ready, const std::string& message) override {
    wire::NodeHealth health;
    health.set_ready(ready);
    health.set_network_ready(ready);
    health.set_message(message);
    const std::lock_guard lock(shared_.mutex);
    if (shared_.last_health && shared_.last_health->SerializeAsString() == health.SerializeAsString()) return;
    shared_.last_health = shared_.health = health;  // travels with the next heartbeat
  }

  Status status() const override {
    const std::lock_guard lock(shared_.mutex);
    Status out = shared_.status;
    out.node_id = shared_.log->identity().node_id;
    out.agent_epoch = shared_.log->identity().agent_epoch;
    out.last_seq = shared_.log->last_seq();
    out.acked_through = shared_.log->acked_through();
    out.state_rev = shared_.state.rev();
    return out;
  }

  void stop() override {
    {
      std::unique_lock lock(shared_.mutex);
      shared_.stop = true;
      shared_.wake.notify_all();
      shared_.work.notify_all();
      if (!shared_.wake.wait_for(lock, std::chrono::seconds(1), [this] { return shared_.session_over; }) && shared_.writing != nullptr) {
        shared_.writing->TryCancel();
      }
    }
    if (session_.joinable()) session_.join();
    if (worker_.joinable()) worker_.join();
    const std::lock_guard lock(shared_.mutex);
    shared_.write_pending();
  }

 private:
  template <typename Change>
  void change(Change&& apply) {
    const std::lock_guard lock(shared_.mutex);
    if (apply(shared_.state)) shared_.wake.notify_all();
  }

  // With the mutex held.
  void record(wire::Event event) {
    event.set_state_rev(shared_.state.rev());
    shared_.pending.push_back({std::move(event), shared_.state.digest()});
    shared_.write_pending();
    if (shared_.pending.size() > kPendingLimit) {
      shared_.pending.pop_front();
      ++shared_.lost;
      ++shared_.status.events_lost;
    }
    shared_.wake.notify_all();
    if (++shared_.appended % kCheckpointEvery == 0) shared_.work.notify_all();
  }

  void work();
  void dial();
  std::shared_ptr<grpc::Channel> channel() const;

  mutable Shared shared_;
  std::thread session_;
  std::thread worker_;
};

// Asks for details of new containers, and moves the log's pages into its file, both off the callers' threads.
void ReporterImpl::work() {
  std::unique_lock lock(shared_.mutex);
  uint64_t checkpointed = 0;
  while (!shared_.stop) {
    shared_.work.wait_for(lock, std::chrono::seconds(1), [&] {
      return shared_.stop || !shared_.lookups.empty() || shared_.appended - checkpointed >= kCheckpointEvery;
    });
    if (shared_.stop) return;
    if (shared_.writing != nullptr && Clock::now() >= shared_.write_deadline) shared_.writing->TryCancel();
    if (shared_.appended - checkpointed >= kCheckpointEvery) {
      checkpointed = shared_.appended;
      lock.unlock();
      if (const auto done = shared_.log->checkpoint(); !done) log_warn("report log not compacted", {{"cause", done.error().message()}});
      lock.lock();
    }
    if (shared_.lookups.empty()) continue;
    const std::string id = std::move(shared_.lookups.front());
    shared_.lookups.pop_front();
    lock.unlock();
    const auto info = shared_.config.lookup(id);
    lock.lock();
    if (info && shared_.state.describe(*info)) shared_.wake.notify_all();
  }
}

std::shared_ptr<grpc::Channel> ReporterImpl::channel() const {
  grpc::ChannelArguments arguments;
  // Each attempt dials anew: the back-off is ours, with full jitter, and not the channel's.
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  arguments.SetMaxReceiveMessageSize(1 << 20);
  return grpc::CreateCustomChannel(shared_.config.address, grpc::InsecureChannelCredentials(), arguments);
}

void ReporterImpl::dial() {
  unsigned attempt = 0;
  std::string last_reason;
  for (;;) {
    {
      const std::lock_guard lock(shared_.mutex);
      if (shared_.stop) return;
      shared_.write_pending();
    }
    const auto began = Clock::now();
    std::chrono::milliseconds wait{0};
    {
      Session session(shared_, channel());
      const std::string reason = session.run();
      wait = session.retry_after();
      if (session.welcomed() || reason != last_reason) log_info("not reporting to scheduler", {{"address", shared_.config.address}, {"cause", reason}});
      last_reason = reason;
      if (session.welcomed() && Clock::now() - began >= kHealthy) attempt = 0;
    }
    const uint64_t limit = std::min<uint64_t>(shared_.config.backoff_cap_ms, uint64_t{shared_.config.backoff_base_ms} << std::min(attempt, 20u));
    attempt = std::min(attempt + 1, 20u);
    const std::string dice = random_hex(4);
    wait += std::chrono::milliseconds(std::stoull(dice, nullptr, 16) % (limit + 1));
    std::unique_lock lock(shared_.mutex);
    shared_.wake.wait_for(lock, wait, [this] { return shared_.stop; });
  }
}

}  // namespace

void Shared::write_pending() {
  if (lost > 0 && !pending.empty()) {
    wire::Event note;
    note.set_type(wire::EVENTS_LOST);
    note.set_wall_ns(realtime_nanos());
    note.set_state_rev(pending.front().event.state_rev());
    (*note.mutable_attrs())["count"] = std::to_string(lost);
    if (!log->append(note, pending.front().digest)) return;
    lost = 0;
    snapshot_wanted = true;
  }
  while (!pending.empty()) {
    auto& [event, digest] = pending.front();
    if (const auto seq = log->append(event, digest); !seq) {
      if (pending.size() == 1) log_error("event not written to the report log; kept in memory", {{"cause", seq.error().message()}});
      return;
    }
    pending.pop_front();
  }
}

Result<std::unique_ptr<Reporter>> Reporter::open(Config config) {
  TRY(check_address(config.address), "scheduler");
  if (config.node_name.empty()) config.node_name = host_name();
  TRY(sys::make_directories(config.root));
  TRY_ASSIGN(auto log, EventLog::open(config.root + "/reports.db"));
  return std::make_unique<ReporterImpl>(std::move(config), std::move(log));
}

}  // namespace berth::scheduler
