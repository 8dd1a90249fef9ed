// SPDX-License-Identifier: Apache-2.0
// The reporter's inside: what callers, the worker thread and the session thread share, and one stream to the scheduler.
#pragma once

#include <grpcpp/grpcpp.h>

#include <chrono>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "agent/scheduler/event_log.h"
#include "agent/scheduler/node_state.h"
#include "agent/scheduler/proto/scheduler/v1/scheduler.grpc.pb.h"
#include "agent/scheduler/reporter.h"

namespace berth::scheduler {

using Clock = std::chrono::steady_clock;

// An event that could not be written yet (full disk), with the digest that goes with it.
struct PendingEvent {
  ::scheduler::v1::Event event;
  uint64_t digest = 0;
};

// Everything under `mutex` unless said otherwise.
struct Shared {
  Shared(Reporter::Config c, std::unique_ptr<EventLog> l)
      : config(std::move(c)), log(std::move(l)), state(log->value("state_rev"), log->value("state_digest"), config.capacity) {}

  const Reporter::Config config;
  const std::unique_ptr<EventLog> log;  // locks itself; taken after `mutex`

  std::mutex mutex;
  std::condition_variable wake;  // the session thread: something to send, something received, stop
  std::condition_variable work;  // the worker thread
  NodeState state;
  std::deque<PendingEvent> pending;
  std::deque<std::string> lookups;
  std::optional<::scheduler::v1::NodeHealth> health;  // set and not yet sent
  std::optional<::scheduler::v1::NodeHealth> last_health;
  uint64_t appended = 0;
  uint64_t lost = 0;           // events dropped since the last EVENTS_LOST
  bool snapshot_wanted = false;
  bool stop = false;
  bool session_over = true;  // no session thread, or it has ended
  // A write that blocks (a peer that does not read) is cancelled by the worker at the deadline, or on stop.
  grpc::ClientContext* writing = nullptr;
  Clock::time_point write_deadline;
  Reporter::Status status;

  // Writes what is pending, first a note of what was lost. Called with `mutex` held.
  void write_pending();
};

// One stream, from dialling to its end. Used by the session thread only; the reader thread fills the inbox.
class Session {
 public:
  Session(Shared& shared, std::shared_ptr<grpc::Channel> channel);
  ~Session();

  // Until the stream ends, the scheduler is silent for a lease, or stop. Why it ended.
  std::string run();
  bool welcomed() const { return welcomed_; }
  std::chrono::milliseconds retry_after() const { return retry_after_; }

 private:
  using Lock = std::unique_lock<std::mutex>;
  bool hello();
  bool wait_for_welcome(Lock& lock);
  bool accept(const ::scheduler::v1::Welcome& welcome, Lock& lock);
  void loop(Lock& lock);
  bool has_work() const;
  // Each returns false when the stream is broken. The lock is dropped around writes and callbacks.
  bool handle(const ::scheduler::v1::SchedulerFrame& frame, Lock& lock);
  bool send_heartbeat(Lock& lock);
  bool send_events(Lock& lock);
  bool send_state(Lock& lock);
  bool send(::scheduler::v1::AgentFrame& frame, Lock& lock);
  void fence(const std::vector<std::string>& ids, Lock& lock);
  void apply_config(uint32_t hb_ms, uint32_t ttl_ms, uint32_t window);
  Clock::time_point next_deadline() const;
  void read_all();

  Shared& shared_;
  std::unique_ptr<::scheduler::v1::Scheduler::Stub> stub_;
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReaderWriter<::scheduler::v1::AgentFrame, ::scheduler::v1::SchedulerFrame>> stream_;
  std::thread reader_;
  std::deque<::scheduler::v1::SchedulerFrame> inbox_;  // under the mutex
  bool closed_ = false;                                // under the mutex
  std::string end_;

  bool welcomed_ = false;
  std::chrono::milliseconds heartbeat_{5000};
  std::chrono::milliseconds lease_{15000};
  uint64_t window_ = 1024;
  uint64_t sent_ = 0;   // newest event sent
  uint64_t beats_ = 0;
  Clock::time_point next_beat_;
  Clock::time_point last_heard_;
  Clock::time_point delta_after_;
  std::chrono::milliseconds delta_interval_{0};
  std::chrono::milliseconds retry_after_{0};
};

}  // namespace berth::scheduler
