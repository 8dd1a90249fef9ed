// SPDX-License-Identifier: Apache-2.0
// The HTTP/1.1 head of a streaming request and the answers to it. Parsed by Boost.Beast; no I/O.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/streaming/tokens.h"
#include "runtime/base/result.h"

namespace berth::streaming {

inline constexpr size_t kMaxHeadBytes = 16u << 10;

struct Request {
  Verb verb = Verb::kExec;
  std::string token;
  std::vector<std::string> ports;  // of ?port=…, for port-forwarding over plain WebSocket
  bool websocket = false;          // else SPDY
  std::string websocket_key;
  std::vector<std::string> stream_protocols;  // X-Stream-Protocol-Version, or Sec-WebSocket-Protocol
  std::string rest;                           // bytes that came after the head
};

// A refusal, ready to be sent.
struct HttpError {
  int status = 400;
  std::string text;
};

// `bytes` holds at least a whole head. Only GET and POST of /exec/TOKEN, /attach/TOKEN and /portforward/TOKEN that ask
// for an upgrade and carry no body get through.
std::expected<Request, HttpError> parse_request(std::string_view bytes);

// What the client and the server have in common, by the client's order of preference; nothing when they have not.
std::optional<std::string> negotiate(const std::vector<std::string>& offered,
                                     const std::vector<std::string_view>& supported);

std::string error_response(const HttpError& error, const std::vector<std::string_view>& supported = {});
std::string spdy_response(std::string_view protocol);
std::string websocket_response(std::string_view key, std::string_view protocol);

}  // namespace berth::streaming
