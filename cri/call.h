// SPDX-License-Identifier: Apache-2.0
// The one boundary of an RPC: identity, deadline, cancellation, one log line, and the barrier for exceptions of
// libraries. No gRPC here.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <optional>
#include <string>

#include "cri/methods.h"
#include "cri/service.h"
#include "runtime/base/result.h"

namespace berth::cri {

// The Call that handlers see. Cancelled from gRPC's threads, read from a worker.
class LiveCall final : public Call {
 public:
  // `deadline`: nothing when the client set none.
  explicit LiveCall(std::optional<std::chrono::system_clock::time_point> deadline);

  bool is_cancelled() const override { return cancelled_.load(std::memory_order_relaxed); }
  std::optional<std::chrono::milliseconds> time_left() const override;
  const std::string& request_id() const override { return request_id_; }
  void cancel() { cancelled_.store(true, std::memory_order_relaxed); }
  long long started_nanos() const { return started_; }

 private:
  const std::optional<std::chrono::system_clock::time_point> deadline_;
  const std::string request_id_;
  const long long started_;
  std::atomic<bool> cancelled_ = false;
};

// What a log line says about the object of a call. Never anything secret: PullImageRequest.auth has no way in here.
struct CallSubject {
  std::string pod;
  std::string container;
  std::string image;
  std::string name;  // namespace/name of a pod, or a container's name, before there is an id
};

// Runs `handler` (a call of the service), turns what a library throws into kInternal, and logs one line: the method's
// level when it succeeded, warn when it failed, debug for what clients do as a matter of course (a status of something
// removed, an RPC that is not implemented, a cancelled call).
Result<> run_call(const Method& method, const LiveCall& call, CallSubject& subject,
                  const std::function<Result<>()>& handler);

// Fills the subject from the fields that CRI's requests and responses have.
template <typename Message>
void read_subject(const Message& m, CallSubject& subject) {
  if constexpr (requires { m.pod_sandbox_id(); }) {
    if (!m.pod_sandbox_id().empty()) subject.pod = m.pod_sandbox_id();
  }
  if constexpr (requires { m.container_id(); }) {
    if (!m.container_id().empty()) subject.container = m.container_id();
  }
  if constexpr (requires { m.image().image(); }) subject.image = m.image().image();
  if constexpr (requires { m.config().metadata().namespace_(); }) {
    subject.name = m.config().metadata().namespace_() + "/" + m.config().metadata().name();
  } else if constexpr (requires { m.config().metadata().name(); }) {
    subject.name = m.config().metadata().name();
  }
}

}  // namespace berth::cri
