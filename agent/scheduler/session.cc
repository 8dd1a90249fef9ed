// SPDX-License-Identifier: Apache-2.0
#include "agent/scheduler/session.h"

#include <algorithm>
#include <limits>

#include "agent/scheduler/fit_messages.h"
#include "runtime/base/log.h"
#include "runtime/base/strings.h"

namespace berth::scheduler {
namespace {

constexpr std::chrono::seconds kWelcomeTimeout{10};
constexpr size_t kBatchBytes = 128u << 10;  // well under the scheduler's 1 MiB message limit
constexpr uint32_t kProtocol = 1;

uint64_t random_number() {
  uint64_t value = 0;
  for (const char c : random_hex(8)) value = value * 16 + static_cast<uint64_t>(c <= '9' ? c - '0' : c - 'a' + 10);
  return value;
}

std::chrono::milliseconds uniform(std::chrono::milliseconds low, std::chrono::milliseconds high) {
  const auto span = static_cast<uint64_t>(std::max<int64_t>((high - low).count(), 0)) + 1;
  return low + std::chrono::milliseconds(random_number() % span);
}

}  // namespace

Session::Session(Shared& shared, std::shared_ptr<grpc::Channel> channel)
    : shared_(shared), stub_(wire::Scheduler::NewStub(std::move(channel))) {}

Session::~Session() {
  if (reader_.joinable()) {
    context_.TryCancel();
    reader_.join();
  }
}

std::string Session::run() {
  stream_ = stub_->Session(&context_);
  last_heard_ = Clock::now();
  reader_ = std::thread([this] { read_all(); });
  if (hello()) {
    Lock lock(shared_.mutex);
    if (wait_for_welcome(lock)) loop(lock);
    if (shared_.stop && welcomed_ && !closed_) {
      wire::AgentFrame bye;
      bye.mutable_bye()->set_reason("agent stops");
      (void)send(bye, lock);
    }
    shared_.status.connected = false;
  }
  // WritesDone lets the last frames out; the scheduler then ends the stream, or the cancellation does after a moment.
  stream_->WritesDone();
  {
    Lock lock(shared_.mutex);
    if (shared_.stop) shared_.wake.wait_for(lock, std::chrono::milliseconds(300), [this] { return closed_; });
  }
  context_.TryCancel();
  reader_.join();
  const auto status = stream_->Finish();
  if (end_.empty()) end_ = status.error_message().empty() ? "stream ended" : status.error_message();
  return end_;
}

void Session::read_all() {
  wire::SchedulerFrame frame;
  while (stream_->Read(&frame)) {
    const std::lock_guard lock(shared_.mutex);
    inbox_.push_back(std::move(frame));
    frame.Clear();
    shared_.wake.notify_all();
  }
  const std::lock_guard lock(shared_.mutex);
  closed_ = true;
  shared_.wake.notify_all();
}

bool Session::hello() {
  Lock lock(shared_.mutex);
  wire::AgentFrame frame;
  auto* hello = frame.mutable_hello();
  const auto& identity = shared_.log->identity();
  hello->set_proto_min(kProtocol);
  hello->set_proto_max(kProtocol);
  hello->set_node_id(identity.node_id);
  hello->set_boot_id(identity.boot_id);
  hello->set_agent_epoch(identity.agent_epoch);
  hello->set_version(shared_.config.version);
  hello->set_state_rev(shared_.state.rev());
  hello->set_state_digest(shared_.state.digest());
  hello->set_first_seq(shared_.log->first_seq());
  hello->set_next_seq(shared_.log->last_seq() + 1);
  *hello->mutable_capacity() = shared_.state.capacity();
  for (const auto& [key, value] : shared_.config.labels) (*hello->mutable_labels())[key] = value;
  hello->set_node_name(shared_.config.node_name);
  shared_.state.mark_sent();  // as of this revision; the Welcome may still ask for a snapshot
  shared_.health = shared_.last_health;
  return send(frame, lock);
}

bool Session::wait_for_welcome(Lock& lock) {
  const bool answered = shared_.wake.wait_for(lock, kWelcomeTimeout, [this] { return shared_.stop || closed_ || !inbox_.empty(); });
  if (!answered) end_ = "no welcome within 10 seconds";
  if (inbox_.empty() || shared_.stop) return false;
  const auto frame = std::move(inbox_.front());
  inbox_.pop_front();
  if (frame.has_bye()) {
    retry_after_ = std::chrono::milliseconds(frame.bye().retry_after_ms());
    end_ = concat("refused: ", frame.bye().reason());
    return false;
  }
  if (!frame.has_welcome()) {
    end_ = "the scheduler's first frame is no welcome";
    return false;
  }
  return accept(frame.welcome(), lock);
}

bool Session::accept(const wire::Welcome& welcome, Lock& lock) {
  const uint64_t seen = shared_.log->value("scheduler_epoch");
  if (welcome.scheduler_epoch() < seen) {
    end_ = concat("scheduler epoch ", welcome.scheduler_epoch(), " is older than ", seen, ", seen before");
    return false;
  }
  if (welcome.scheduler_epoch() > seen) (void)shared_.log->set_value("scheduler_epoch", welcome.scheduler_epoch());
  if (const auto acked = shared_.log->acknowledge(welcome.acked_through()); !acked) {
    log_warn("acknowledged events stay in the log", {{"cause", acked.error().message()}});
  }
  sent_ = welcome.acked_through();
  apply_config(welcome.hb_interval_ms(), welcome.lease_ttl_ms(), welcome.max_inflight_events());
  shared_.snapshot_wanted = welcome.need_snapshot();
  welcomed_ = true;
  last_heard_ = Clock::now();
  next_beat_ = last_heard_ + uniform(std::chrono::milliseconds(0), heartbeat_);
  shared_.status.connected = true;
  shared_.status.isolated = false;
  shared_.status.scheduler_epoch = welcome.scheduler_epoch();
  ++shared_.status.sessions;
  log_info("reporting to scheduler", {{"address", shared_.config.address}, {"session", welcome.session_id()}, {"acked", welcome.acked_through()}});
  fence({welcome.fenced_containers().begin(), welcome.fenced_containers().end()}, lock);
  return true;
}

void Session::apply_config(uint32_t hb_ms, uint32_t ttl_ms, uint32_t window) {
  if (hb_ms != 0) heartbeat_ = std::chrono::milliseconds(hb_ms);
  if (ttl_ms != 0) lease_ = std::chrono::milliseconds(ttl_ms);
  lease_ = std::max(lease_, heartbeat_);
  if (window != 0) window_ = window;
}

Clock::time_point Session::next_deadline() const {
  auto at = std::min(next_beat_, last_heard_ + lease_);
  if (shared_.state.dirty() && delta_after_ > Clock::now()) at = std::min(at, delta_after_);
  return at;
}

bool Session::has_work() const {
  if (shared_.stop || closed_ || !inbox_.empty() || shared_.snapshot_wanted || !shared_.pending.empty()) return true;
  if (shared_.state.dirty() && Clock::now() >= delta_after_) return true;
  return shared_.log->last_seq() > sent_ && sent_ - std::min(sent_, shared_.log->acked_through()) < window_;
}

void Session::loop(Lock& lock) {
  while (!shared_.stop) {
    // What could not be written is retried with the heartbeats, not in a spin.
    const bool stuck = !shared_.pending.empty();
    shared_.wake.wait_until(lock, next_deadline(), [&] { return has_work() && !(stuck && inbox_.empty() && !closed_ && !shared_.stop); });
    if (shared_.stop) return;
    while (!inbox_.empty()) {
      const auto frame = std::move(inbox_.front());
      inbox_.pop_front();
      if (!handle(frame, lock)) return;
    }
    if (closed_) return;
    if (Clock::now() >= last_heard_ + lease_) {
      end_ = "no answer to heartbeats for a lease's length";
      shared_.status.isolated = true;
      return;
    }
    shared_.write_pending();
    if (Clock::now() >= next_beat_ && !send_heartbeat(lock)) return;
    if (!send_events(lock) || !send_state(lock)) return;
  }
}

bool Session::send(wire::AgentFrame& frame, Lock& lock) {
  shared_.writing = &context_;
  shared_.write_deadline = Clock::now() + lease_;
  lock.unlock();
  frame.set_mono_ns(static_cast<uint64_t>(monotonic_nanos()));
  const bool ok = stream_->Write(frame);
  lock.lock();
  shared_.writing = nullptr;
  return ok;
}

bool Session::send_heartbeat(Lock& lock) {
  wire::AgentFrame frame;
  auto* beat = frame.mutable_hb();
  beat->set_n(++beats_);
  beat->set_state_rev(shared_.state.sent_rev());
  beat->set_digest(shared_.state.sent_digest());
  beat->set_last_seq(shared_.log->last_seq());
  if (shared_.health) *beat->mutable_health() = *std::exchange(shared_.health, std::nullopt);
  next_beat_ = Clock::now() + uniform(heartbeat_ * 9 / 10, heartbeat_ * 11 / 10);
  return send(frame, lock);
}

bool Session::send_events(Lock& lock) {
  while (!shared_.stop && inbox_.empty()) {
    const uint64_t in_flight = sent_ - std::min(sent_, shared_.log->acked_through());
    if (shared_.log->last_seq() <= sent_ || in_flight >= window_) return true;
    lock.unlock();
    // A number that was sent must never be given to another event, not even after a power loss.
    auto synced = shared_.log->sync();
    auto events = shared_.log->read_after(sent_, window_ - in_flight, kBatchBytes);
    lock.lock();
    if (!synced || !events) {
      end_ = synced ? events.error().message() : synced.error().message();
      return false;
    }
    if (events->empty()) return true;
    wire::AgentFrame frame;
    for (auto& event : *events) *frame.mutable_events()->add_events() = std::move(event);
    sent_ = frame.events().events().rbegin()->seq();
    if (!send(frame, lock)) return false;
  }
  return true;
}

bool Session::send_state(Lock& lock) {
  if (shared_.snapshot_wanted) {
    shared_.snapshot_wanted = false;
    auto frames = shared_.state.take_snapshot(shared_.log->last_seq());
    for (auto& frame : frames) {
      if (!send(frame, lock)) return false;
    }
    ++shared_.status.snapshots;
    return true;
  }
  if (!shared_.state.dirty() || Clock::now() < delta_after_) return true;
  wire::AgentFrame frame;
  *frame.mutable_delta() = shared_.state.take_delta();
  delta_after_ = Clock::now() + delta_interval_;
  return send(frame, lock);
}

void Session::fence(const std::vector<std::string>& ids, Lock& lock) {
  if (ids.empty() || !shared_.config.on_fence) return;
  lock.unlock();
  shared_.config.on_fence(ids);
  lock.lock();
}

bool Session::handle(const wire::SchedulerFrame& frame, Lock& lock) {
  last_heard_ = Clock::now();
  shared_.status.isolated = false;
  switch (frame.f_case()) {
    case wire::SchedulerFrame::kAck:
      if (const auto done = shared_.log->acknowledge(std::min(frame.ack().through(), sent_)); !done) {
        log_warn("acknowledged events stay in the log", {{"cause", done.error().message()}});
      }
      return true;
    case wire::SchedulerFrame::kHb: ++shared_.status.heartbeats; return true;
    case wire::SchedulerFrame::kResync:
      log_info("scheduler asks for a snapshot", {{"cause", frame.resync().cause()}});
      shared_.snapshot_wanted = true;
      return true;
    case wire::SchedulerFrame::kFit: {
      wire::AgentFrame reply;
      reply.mutable_fit()->set_id(frame.fit().id());
      *reply.mutable_fit()->mutable_response() = answer(shared_.state.allocated_capacity(), frame.fit().request());
      return send(reply, lock);
    }
    case wire::SchedulerFrame::kConfig:
      apply_config(frame.config().hb_interval_ms(), frame.config().lease_ttl_ms(), frame.config().max_inflight_events());
      next_beat_ = std::min(next_beat_, Clock::now() + heartbeat_);
      return true;
    case wire::SchedulerFrame::kThrottle:
      if (frame.throttle().traffic() == wire::TRAFFIC_CLASS_DELTA) {
        delta_interval_ = std::chrono::milliseconds(frame.throttle().min_interval_ms());
        delta_after_ = Clock::now() + std::chrono::milliseconds(frame.throttle().pause_ms());
      }
      return true;
    case wire::SchedulerFrame::kFence:
      fence({frame.fence().containers().begin(), frame.fence().containers().end()}, lock);
      return true;
    case wire::SchedulerFrame::kCmd: {
      wire::AgentFrame reply;
      reply.mutable_cmd_ack()->set_key(frame.cmd().key());
      reply.mutable_cmd_ack()->set_reason("this node takes no commands");
      return send(reply, lock);
    }
    case wire::SchedulerFrame::kBye:
      retry_after_ = std::chrono::milliseconds(frame.bye().retry_after_ms());
      end_ = concat("scheduler says goodbye: ", frame.bye().reason());
      return false;
    default: return true;  // a newer scheduler's frame: nothing this agent announced to understand
  }
}

}  // namespace berth::scheduler
