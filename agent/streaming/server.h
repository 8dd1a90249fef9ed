// SPDX-License-Identifier: Apache-2.0
// The streaming endpoint of Exec, Attach and PortForward: HTTP upgrade to SPDY/3.1 or WebSocket on loopback, a one-time
// token per session (256 bits, 30 s, constant-time compare, bound to the verb). cri.md §4 of the reference facts; the
// peers' server is k8s.io/kubelet/pkg/cri/streaming. Thread-safe.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "agent/pods/engine.h"
#include "runtime/base/result.h"

namespace berth::streaming {

struct ServerConfig {
  std::string address = "127.0.0.1";
  uint16_t port = 0;  // 0: any free one
};

struct ExecTarget {
  std::string container_id;
  std::vector<std::string> command;
  bool terminal = false;
  bool open_stdin = false;
  bool open_stdout = true;
  bool open_stderr = true;
};

class Server {
 public:
  static Result<std::unique_ptr<Server>> start(ServerConfig config, pods::Engine& engine);
  virtual ~Server() = default;
  // URLs for the CRI responses. kInvalidArgument for tty with stderr, no stream at all, no id or (exec) no command;
  // kNotFound and kFailedPrecondition when the container or pod is unknown or not running; kResourceExhausted beyond
  // 1 000 outstanding tokens.
  virtual Result<std::string> exec_url(const ExecTarget& target) = 0;
  virtual Result<std::string> attach_url(const ExecTarget& target) = 0;
  virtual Result<std::string> port_forward_url(const std::string& pod_id) = 0;
};

}  // namespace berth::streaming
