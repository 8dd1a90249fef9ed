// SPDX-License-Identifier: Apache-2.0
// The CRI v1 server: gRPC on unix sockets. gRPC itself is not visible here.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "cri/executor.h"
#include "cri/service.h"
#include "runtime/base/result.h"

namespace berth::cri {

struct ServerConfig {
  std::vector<std::string> listen = {"unix:///run/berth/berth.sock"};
  // Of one message, either way; kubelet's own limit.
  int max_message_bytes = 16 << 20;
  // Members of this group may speak besides root; the sockets are owned by it (mode 0660).
  gid_t group = 0;
  ExecutorLimits workers;
};

// Thread-safe. Calls in progress are handled by worker threads until shutdown.
class Server {
 public:
  // The services must outlive the server. kAlreadyExists when another server answers on a socket.
  static Result<std::unique_ptr<Server>> start(ServerConfig config, RuntimeService& runtime, ImageService& images);
  virtual ~Server() = default;

  // Stops accepting at once, lets calls finish for `grace`, then cancels them and waits for their handlers: a handler
  // that neither ends nor looks at Call::is_cancelled() holds this up. Idempotent; the destructor does it with no
  // grace.
  virtual void shutdown(std::chrono::milliseconds grace) = 0;
};

}  // namespace berth::cri
