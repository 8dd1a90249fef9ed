// SPDX-License-Identifier: Apache-2.0
// SPDY/3.1 frames as bytes: a reader and a writer without any I/O.
//
// The spec is chromium's spdy-protocol-draft3-1. Whatever comes in is hostile: lengths are checked against the frame,
// counts against what follows, and inflated headers against a limit before they are kept (CVE-2026-35469, C08).
// One reader and one writer per connection: header blocks of a direction are one zlib stream. Not thread-safe.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "runtime/base/result.h"

namespace berth::streaming {

// Names in lower case; several values of one name are joined by NUL.
using SpdyHeaders = std::vector<std::pair<std::string, std::string>>;
// The first value of `name`, or empty.
std::string_view find_header(const SpdyHeaders& headers, std::string_view name);

struct SpdyLimits {
  size_t frame_bytes = 1u << 20;
  size_t header_bytes = 64u << 10;  // of one block, after inflation
  size_t header_count = 64;
};

enum class SpdyStatus : uint32_t { kProtocolError = 1, kInvalidStream = 2, kRefusedStream = 3, kCancel = 5 };

const std::string& spdy_dictionary();

// What a reader finds. An error ends the connection.
class SpdyEvents {
 public:
  virtual ~SpdyEvents() = default;
  virtual Result<> on_syn_stream(uint32_t id, bool fin, SpdyHeaders headers) = 0;
  virtual Result<> on_syn_reply(uint32_t id, bool fin, SpdyHeaders headers) = 0;
  virtual Result<> on_headers(uint32_t id, bool fin, SpdyHeaders headers) = 0;
  // A frame may come in pieces; `fin` is on the last.
  virtual Result<> on_data(uint32_t id, std::string_view bytes, bool fin) = 0;
  virtual Result<> on_reset(uint32_t id, uint32_t status) = 0;
  virtual Result<> on_ping(uint32_t id) = 0;
  virtual Result<> on_goaway() = 0;
};

class SpdyReader {
 public:
  explicit SpdyReader(SpdyLimits limits = {});
  SpdyReader(const SpdyReader&) = delete;
  SpdyReader& operator=(const SpdyReader&) = delete;
  ~SpdyReader();

  // Takes bytes in any portions. After an error the reader is of no further use.
  // kInvalidArgument for what the protocol forbids, kResourceExhausted beyond a limit.
  Result<> feed(std::string_view bytes, SpdyEvents& events);

 private:
  Result<> begin_frame(SpdyEvents& events);
  Result<> control_frame(SpdyEvents& events);
  Result<> stream_frame(uint16_t type, SpdyEvents& events);
  Result<SpdyHeaders> headers(std::string_view block);
  Result<std::string> inflate(std::string_view block);

  const SpdyLimits limits_;
  struct Inflater;
  std::unique_ptr<Inflater> inflater_;
  std::string buffer_;       // the frame header, then a control frame's payload
  size_t control_left_ = 0;  // bytes of payload still to come
  bool in_control_ = false;
  size_t data_left_ = 0;
  bool in_data_ = false;
  bool data_fin_ = false;
  uint32_t data_id_ = 0;
};

// Appends frames to `out`, which the owner empties.
class SpdyWriter {
 public:
  explicit SpdyWriter(std::string& out);
  SpdyWriter(const SpdyWriter&) = delete;
  SpdyWriter& operator=(const SpdyWriter&) = delete;
  ~SpdyWriter();

  void syn_stream(uint32_t id, const SpdyHeaders& headers, bool fin = false);
  void syn_reply(uint32_t id, const SpdyHeaders& headers = {}, bool fin = false);
  void data(uint32_t id, std::string_view bytes, bool fin = false);
  void reset(uint32_t id, SpdyStatus status);
  void ping(uint32_t id);
  void goaway(uint32_t last_good_id);

 private:
  void control(uint16_t type, uint8_t flags, std::string_view payload);
  std::string deflate(const SpdyHeaders& headers);

  std::string& out_;
  struct Deflater;
  std::unique_ptr<Deflater> deflater_;
};

}  // namespace berth::streaming
