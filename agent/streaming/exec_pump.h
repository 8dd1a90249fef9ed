// SPDX-License-Identifier: Apache-2.0
// One exec or attach, from the upgraded connection to its end: a poll loop over the client's socket and the process's
// descriptors, on the session's own thread.
#pragma once

#include <chrono>
#include <functional>
#include <memory>

#include "agent/pods/engine.h"
#include "agent/streaming/channels.h"
#include "agent/streaming/link.h"

namespace berth::streaming {

struct PumpTimes {
  std::chrono::milliseconds creation = std::chrono::seconds(30);  // for the client to open its streams
  std::chrono::milliseconds idle = std::chrono::hours(4);         // without any traffic
  std::chrono::milliseconds drain =
      std::chrono::milliseconds(100);                           // of silence after the exit, with the output still open
  std::chrono::milliseconds goodbye = std::chrono::seconds(5);  // for the client to take what is left
};

struct PumpRequest {
  // Starts the process or the attachment; called once every channel exists.
  std::function<Result<std::unique_ptr<pods::ExecSession>>()> start;
  // exec: the process's exit ends the session, whether or not stdin or a background child's stdout is still open.
  // attach: the end of the output does.
  bool wait_for_exit = true;
  PumpTimes times;
};

// Returns when the session is over and the connection closed. `first`: bytes of the client that came with the request.
void pump_exec(Link& link, Channels& channels, const PumpRequest& request, std::string_view first);

}  // namespace berth::streaming
