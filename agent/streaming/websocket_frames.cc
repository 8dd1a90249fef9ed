// SPDX-License-Identifier: Apache-2.0
#include "agent/streaming/websocket_frames.h"

#include <openssl/evp.h>

#include <algorithm>

#include "runtime/base/strings.h"

namespace berth::streaming {
namespace {

constexpr std::string_view kGuid = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
constexpr uint8_t kContinuation = 0;

std::unexpected<Error> violation(std::string_view what) {
  return fail(Code::kInvalidArgument, concat("websocket: ", what));
}

uint8_t byte_at(std::string_view text, size_t i) { return static_cast<uint8_t>(text[i]); }

uint64_t payload_length(std::string_view frame) {
  const uint8_t small = byte_at(frame, 1) & 0x7f;
  if (small < 126) return small;
  uint64_t length = 0;
  for (size_t i = 0; i < (small == 126 ? 2u : 8u); ++i) length = length << 8 | byte_at(frame, 2 + i);
  return length;
}

}  // namespace

std::string websocket_accept(std::string_view key) {
  const std::string text = concat(key, kGuid);
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  if (::EVP_Digest(text.data(), text.size(), digest, &size, ::EVP_sha1(), nullptr) != 1) return {};
  return base64_encode({reinterpret_cast<const char*>(digest), size});
}

std::string base64_encode(std::string_view bytes) {
  std::string text(4 * ((bytes.size() + 2) / 3) + 1, '\0');
  const int size =
      ::EVP_EncodeBlock(reinterpret_cast<unsigned char*>(text.data()),
                        reinterpret_cast<const unsigned char*>(bytes.data()), static_cast<int>(bytes.size()));
  text.resize(static_cast<size_t>(size));
  return text;
}

Result<std::string> base64_decode(std::string_view text) {
  if (text.empty()) return std::string();
  if (text.size() % 4 != 0) return violation("base64 of a wrong length");
  std::string bytes(text.size() / 4 * 3, '\0');
  const int size =
      ::EVP_DecodeBlock(reinterpret_cast<unsigned char*>(bytes.data()),
                        reinterpret_cast<const unsigned char*>(text.data()), static_cast<int>(text.size()));
  if (size < 0) return violation("not base64");
  size_t padding = 0;
  while (padding < 2 && text[text.size() - 1 - padding] == '=') ++padding;
  bytes.resize(static_cast<size_t>(size) - padding);
  return bytes;
}

// Size of the header, 0 while not all of it is there.
Result<size_t> WebSocketReader::header_size() const {
  if (buffer_.size() < 2) return 0;
  if ((byte_at(buffer_, 0) & 0x70) != 0) return violation("reserved bits");
  if ((byte_at(buffer_, 1) & 0x80) == 0) return violation("unmasked frame");
  const uint8_t small = byte_at(buffer_, 1) & 0x7f;
  if ((byte_at(buffer_, 0) & 0x08) != 0 && (small > 125 || (byte_at(buffer_, 0) & 0x80) == 0))
    return violation("control frame");
  const size_t size = 2 + (small < 126 ? 0u : small == 126 ? 2u : 8u) + 4;
  return buffer_.size() < size ? 0 : size;
}

Result<> WebSocketReader::feed(std::string_view bytes, WebSocketEvents& events) {
  while (!bytes.empty()) {
    // A byte at a time for the header (at most 14), then the payload in one go.
    TRY_ASSIGN(size_t header, header_size());
    while (header == 0 && !bytes.empty()) {
      buffer_ += bytes.front();
      bytes.remove_prefix(1);
      TRY_ASSIGN(header, header_size());
    }
    if (header == 0) return {};
    const uint64_t length = payload_length(buffer_);
    if (length > limit_ || message_.size() + length > limit_)
      return fail(Code::kResourceExhausted, concat("websocket: message of ", length, " bytes"));
    const size_t missing = header + length - buffer_.size();
    const size_t take = std::min(missing, bytes.size());
    buffer_.append(bytes.substr(0, take));
    bytes.remove_prefix(take);
    if (take < missing) return {};
    std::string complete;
    complete.swap(buffer_);
    for (size_t i = 0; i < length; ++i)
      complete[header + i] = static_cast<char>(complete[header + i] ^ complete[header - 4 + i % 4]);
    TRY(frame(byte_at(complete, 0) & 0x0f, (byte_at(complete, 0) & 0x80) != 0,
              std::string_view(complete).substr(header), events));
  }
  return {};
}

Result<> WebSocketReader::frame(uint8_t opcode, bool final, std::string_view payload, WebSocketEvents& events) {
  switch (opcode) {
    case static_cast<uint8_t>(WebSocketOpcode::kPing):
      return events.on_ping(payload);
    case static_cast<uint8_t>(WebSocketOpcode::kPong):
      return {};
    case static_cast<uint8_t>(WebSocketOpcode::kClose):
      return events.on_close();
    case kContinuation:
      if (!in_message_) return violation("continuation of nothing");
      break;
    case static_cast<uint8_t>(WebSocketOpcode::kText):
    case static_cast<uint8_t>(WebSocketOpcode::kBinary):
      if (in_message_) return violation("message inside a message");
      break;
    default:
      return violation("unknown opcode");
  }
  in_message_ = !final;
  message_ += payload;
  if (!final) return {};
  std::string message;
  message.swap(message_);
  return events.on_message(message);
}

void append_websocket_frame(std::string& out, WebSocketOpcode opcode, std::string_view payload, uint32_t mask) {
  const auto put = [&](uint64_t value, int bytes) {
    for (int shift = (bytes - 1) * 8; shift >= 0; shift -= 8) out += static_cast<char>(value >> shift & 0xff);
  };
  put(0x80u | static_cast<uint8_t>(opcode), 1);
  const unsigned masked = mask != 0 ? 0x80 : 0;
  if (payload.size() < 126) {
    put(masked | payload.size(), 1);
  } else if (payload.size() < 65536) {
    put(masked | 126, 1);
    put(payload.size(), 2);
  } else {
    put(masked | 127, 1);
    put(payload.size(), 8);
  }
  if (mask == 0) {
    out += payload;
    return;
  }
  put(mask, 4);
  for (size_t i = 0; i < payload.size(); ++i)
    out += static_cast<char>(static_cast<uint8_t>(payload[i]) ^ (mask >> (24 - i % 4 * 8) & 0xff));
}

void append_websocket_close(std::string& out, uint16_t status) {
  const char payload[] = {static_cast<char>(status >> 8), static_cast<char>(status & 0xff)};
  append_websocket_frame(out, WebSocketOpcode::kClose, {payload, 2});
}

}  // namespace berth::streaming
