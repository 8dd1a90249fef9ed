// SPDX-License-Identifier: Apache-2.0
// The server's side of one SPDY/3.1 connection: which streams exist and which halves of them are open. No I/O: bytes go
// in through feed() and come out in `out`. Not thread-safe.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "agent/streaming/spdy_frames.h"
#include "runtime/base/result.h"

namespace berth::streaming {

// What a session tells its owner. An error ends the connection.
class SpdyHandler {
 public:
  virtual ~SpdyHandler() = default;
  // A new stream; false refuses it (RST_STREAM).
  virtual Result<bool> on_stream(uint32_t id, const SpdyHeaders& headers) = 0;
  // `fin`: the client has closed its half.
  virtual Result<> on_stream_data(uint32_t id, std::string_view bytes, bool fin) = 0;
  virtual void on_stream_reset(uint32_t id) = 0;
};

class SpdySession final : SpdyEvents {
 public:
  // At most `max_streams` open at one time. Resets beyond a burst of 1 000 and 100 a second end the connection (C08).
  SpdySession(SpdyHandler& handler, std::string& out, size_t max_streams);

  Result<> feed(std::string_view bytes) { return reader_.feed(bytes, *this); }
  // The client said that it is leaving.
  bool client_left() const { return client_left_; }

  // To a stream whose half is still open; otherwise nothing happens.
  void send(uint32_t id, std::string_view bytes);
  void finish(uint32_t id);
  void reset(uint32_t id);
  void goaway() { writer_.goaway(last_id_); }

 private:
  struct Stream {
    bool local_open = true;
    bool remote_open = true;
  };
  Result<> on_syn_stream(uint32_t id, bool fin, SpdyHeaders headers) override;
  Result<> on_syn_reply(uint32_t, bool, SpdyHeaders) override { return {}; }
  Result<> on_headers(uint32_t id, bool fin, SpdyHeaders headers) override;
  Result<> on_data(uint32_t id, std::string_view bytes, bool fin) override;
  Result<> on_reset(uint32_t id, uint32_t status) override;
  Result<> on_ping(uint32_t id) override;
  Result<> on_goaway() override;
  void forget_if_closed(uint32_t id);

  SpdyHandler& handler_;
  SpdyReader reader_;
  SpdyWriter writer_;
  const size_t max_streams_;
  std::map<uint32_t, Stream> streams_;
  uint32_t last_id_ = 0;
  bool client_left_ = false;
  double reset_allowance_;
  long long reset_checked_;
};

}  // namespace berth::streaming
