// SPDX-License-Identifier: Apache-2.0
#include "agent/event_hub.h"

#include <chrono>
#include <optional>

namespace berth::agent {
namespace {

namespace v1 = ::runtime::v1;

constexpr size_t kQueueLimit = 1000;
constexpr std::chrono::milliseconds kCancelPoll{500};

std::optional<v1::ContainerEventType> event_type(pods::LifecycleEvent::Kind kind) {
  using Kind = pods::LifecycleEvent::Kind;
  switch (kind) {
    case Kind::kSandboxCreated:
    case Kind::kContainerCreated:
      return v1::CONTAINER_CREATED_EVENT;
    case Kind::kSandboxReady:
    case Kind::kContainerStarted:
      return v1::CONTAINER_STARTED_EVENT;
    case Kind::kSandboxStopped:
    case Kind::kContainerExited:
      return v1::CONTAINER_STOPPED_EVENT;
    case Kind::kSandboxRemoved:
    case Kind::kContainerRemoved:
      return v1::CONTAINER_DELETED_EVENT;
    case Kind::kContainerOom:
      return std::nullopt;
  }
  return std::nullopt;
}

}  // namespace

void EventHub::publish(pods::Engine& engine, const pods::LifecycleEvent& event) {
  {
    const std::lock_guard lock(mutex_);
    if (subscribers_.empty()) return;
  }
  const auto type = event_type(event.kind);
  if (!type) return;
  auto message = std::make_shared<v1::ContainerEventResponse>();
  // A sandbox's own events carry its id.
  message->set_container_id(event.container_id.empty() ? event.pod_id : event.container_id);
  message->set_container_event_type(*type);
  message->set_created_at(event.wall_nanos);
  if (auto status = engine.pod_sandbox_status(event.pod_id, false)) {
    *message->mutable_pod_sandbox_status() = std::move(*status->mutable_status());
    *message->mutable_containers_statuses() = std::move(*status->mutable_containers_statuses());
  }
  const std::lock_guard lock(mutex_);
  for (Subscriber* subscriber : subscribers_) {
    if (subscriber->queue.size() >= kQueueLimit) {
      subscriber->overrun = true;
    } else {
      subscriber->queue.push_back(message);
    }
  }
  wake_.notify_all();
}

Result<> EventHub::serve(cri::Call& call, const cri::Sink<v1::ContainerEventResponse>& sink) {
  Subscriber mine;
  std::unique_lock lock(mutex_);
  subscribers_.insert(&mine);
  Result<> result;
  while (!closed_ && !call.is_cancelled()) {
    if (mine.overrun) {
      result = fail(Code::kResourceExhausted, "the event stream fell behind");
      break;
    }
    if (mine.queue.empty()) {
      wake_.wait_for(lock, kCancelPoll);
      continue;
    }
    const auto message = std::move(mine.queue.front());
    mine.queue.pop_front();
    lock.unlock();
    const bool sent = sink(*message);
    lock.lock();
    if (!sent) break;
  }
  subscribers_.erase(&mine);
  return result;
}

void EventHub::close() {
  const std::lock_guard lock(mutex_);
  closed_ = true;
  wake_.notify_all();
}

}  // namespace berth::agent
