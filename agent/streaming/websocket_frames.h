// SPDX-License-Identifier: Apache-2.0
// WebSocket (RFC 6455) frames of a server, as bytes, without any I/O. Not thread-safe.
//
// Beast's websocket::stream wants to own the socket's reads; a session here is one poll loop over the socket and the
// process's descriptors, so the frames are read and written on their own.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "runtime/base/result.h"

namespace berth::streaming {

// The value of Sec-WebSocket-Accept for a client's Sec-WebSocket-Key.
std::string websocket_accept(std::string_view key);

std::string base64_encode(std::string_view bytes);
Result<std::string> base64_decode(std::string_view text);

class WebSocketEvents {
 public:
  virtual ~WebSocketEvents() = default;
  // A whole message, fragments joined.
  virtual Result<> on_message(std::string_view payload) = 0;
  virtual Result<> on_ping(std::string_view payload) = 0;
  virtual Result<> on_close() = 0;
};

class WebSocketReader {
 public:
  // `limit`: of one message, in bytes; beyond it kResourceExhausted.
  explicit WebSocketReader(size_t limit = 1u << 20) : limit_(limit) {}
  // Takes bytes in any portions. Frames of a client must be masked; kInvalidArgument for what the protocol forbids.
  Result<> feed(std::string_view bytes, WebSocketEvents& events);

 private:
  Result<size_t> header_size() const;
  Result<> frame(uint8_t opcode, bool final, std::string_view payload, WebSocketEvents& events);

  const size_t limit_;
  std::string buffer_;   // the frame that is being received
  std::string message_;  // fragments so far
  bool in_message_ = false;
};

enum class WebSocketOpcode : uint8_t { kText = 1, kBinary = 2, kClose = 8, kPing = 9, kPong = 10 };

// Appends an unfragmented server frame (unmasked); `mask` non-zero makes it a client's, for tests.
void append_websocket_frame(std::string& out, WebSocketOpcode opcode, std::string_view payload, uint32_t mask = 0);
// Close with a status, e.g. 1000.
void append_websocket_close(std::string& out, uint16_t status);

}  // namespace berth::streaming
