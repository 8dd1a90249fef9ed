// SPDX-License-Identifier: Apache-2.0
// The registry on gRPC: one server with the Scheduler service for nodes and the Operator service for people.
#pragma once

#include <memory>
#include <string>

#include "contrib/scheduler/registry.h"
#include "runtime/base/result.h"

namespace berth::scheduler {

// Thread-safe.
class Server {
 public:
  // Listens on "unix:///path" (mode 0660; a stale socket is replaced) or "host:port" and serves until stop().
  static Result<std::unique_ptr<Server>> start(const std::string& address, std::shared_ptr<Registry> registry);
  virtual ~Server() = default;
  virtual int port() const = 0;  // chosen for port 0; 0 for a unix socket
  // Ends the streams with a goodbye, then the server. Idempotent.
  virtual void stop() = 0;
};

}  // namespace berth::scheduler
