// SPDX-License-Identifier: Apache-2.0
// Port-forwarding over one connection: any number of pairs of streams, each a TCP connection inside the pod's network.
// A poll loop on the session's own thread; each dial runs on a short-lived one.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/streaming/exec_pump.h"
#include "agent/streaming/link.h"
#include "runtime/base/fd.h"
#include "runtime/base/result.h"

namespace berth::streaming {

struct ForwardRequest {
  // A connection to localhost:port in the pod; may block; called on other threads, and by several at a time.
  std::function<Result<Fd>(uint16_t port)> dial;
  PumpTimes times;
};

inline constexpr std::string_view kPortForwardProtocol = "portforward.k8s.io";
inline constexpr std::string_view kPortForwardTunnel = "SPDY/3.1+portforward.k8s.io";
// Plain WebSocket: two channels per port of the URL.
const std::vector<std::string_view>& websocket_forward_protocols();

// `tunnel`: the SPDY bytes travel as the payload of binary WebSocket messages. Both return when the connection is over.
void forward_spdy(Link& link, bool tunnel, const ForwardRequest& request, std::string_view first);
void forward_websocket(Link& link, const std::vector<uint16_t>& ports, bool base64, const ForwardRequest& request,
                       std::string_view first);

}  // namespace berth::streaming
