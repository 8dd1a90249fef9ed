// SPDX-License-Identifier: Apache-2.0
// EventHub: the engine's lifecycle events as CRI's container events, to any number of GetContainerEvents streams.
#pragma once

#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <set>

#include "agent/pods/engine.h"
#include "cri/service.h"

namespace berth::agent {

// Thread-safe. publish() never waits for a subscriber: one that falls 1 000 events behind is cut off with
// kResourceExhausted and has to list again.
class EventHub {
 public:
  // Statuses are taken at once, so that they belong to the event.
  void publish(pods::Engine& engine, const pods::LifecycleEvent& event);
  // Returns when the client has gone, when it fell behind, or after close().
  Result<> serve(cri::Call& call, const cri::Sink<::runtime::v1::ContainerEventResponse>& sink);
  void close();

 private:
  struct Subscriber {
    std::deque<std::shared_ptr<const ::runtime::v1::ContainerEventResponse>> queue;
    bool overrun = false;
  };
  std::mutex mutex_;
  std::condition_variable wake_;
  std::set<Subscriber*> subscribers_;
  bool closed_ = false;
};

}  // namespace berth::agent
