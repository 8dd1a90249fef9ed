// SPDX-License-Identifier: Apache-2.0
#include "agent/streaming/port_forward.h"

#include "agent/streaming/forward_pairs.h"
#include "agent/streaming/spdy_session.h"
#include "agent/streaming/websocket_frames.h"
#include "runtime/base/log.h"
#include "runtime/base/strings.h"

namespace berth::streaming {
namespace {

constexpr uint16_t kNormalClosure = 1000;

std::optional<uint16_t> parse_port(std::string_view text) {
  const auto port = parse_uint32(text);
  if (!port || *port == 0 || *port > 65535) return std::nullopt;
  return static_cast<uint16_t>(*port);
}

// Pairs of SPDY streams, named by the headers streamType, port and requestID.
class SpdyCarrier final : public PairCarrier, SpdyHandler, WebSocketEvents {
 public:
  SpdyCarrier(Link& link, bool tunnel, ForwardPairs& pairs)
      : link_(link),
        tunnel_(tunnel),
        pairs_(pairs),
        session_(*this, tunnel ? inner_ : link.out(), 2 * ForwardPairs::kMaxPairs) {}

  Result<> feed(std::string_view bytes) override {
    return tunnel_ ? websocket_.feed(bytes, *this) : session_.feed(bytes);
  }
  bool client_left() const override { return left_ || session_.client_left(); }

  void send(const Pair& pair, std::string_view bytes) override { session_.send(pair.data_id, bytes); }
  void send_error(const Pair& pair, std::string_view text) override {
    if (pair.has_error) session_.send(pair.error_id, text);
  }
  void finish(const Pair& pair) override {
    if (pair.has_data) session_.finish(pair.data_id);
    if (pair.has_error) session_.finish(pair.error_id);
  }
  void seal() override {
    if (inner_.empty()) return;
    append_websocket_frame(link_.out(), WebSocketOpcode::kBinary, inner_);
    inner_.clear();
  }
  void goodbye() override { session_.goaway(); }

 private:
  Result<bool> on_stream(uint32_t id, const SpdyHeaders& headers) override {
    const std::string_view type = find_header(headers, "streamtype");
    const auto port = parse_port(find_header(headers, "port"));
    const bool data = type == "data";
    if (!port || (!data && type != "error")) return false;
    std::string key(find_header(headers, "requestid"));
    // Clients of old sent no request id: the data stream follows its error stream.
    if (key.empty()) key = concat("stream ", data ? id - 2 : id);
    Pair* pair = pairs_.find(key);
    if (pair == nullptr) pair = pairs_.add(std::move(key));
    if (pair == nullptr || (data ? pair->has_data : pair->has_error)) return false;
    (data ? pair->has_data : pair->has_error) = true;
    (data ? pair->data_id : pair->error_id) = id;
    if (data) pair->port = *port;
    if (pair->has_data && pair->has_error) pairs_.start_dial(*pair);
    return true;
  }

  Result<> on_stream_data(uint32_t id, std::string_view bytes, bool fin) override {
    if (Pair* pair = pairs_.find_data(id)) pairs_.client_data(*pair, bytes, fin);
    return {};
  }

  void on_stream_reset(uint32_t id) override {
    Pair* pair = pairs_.find_data(id);
    if (pair == nullptr) return;
    finish(*pair);
    pairs_.drop(*pair);
  }

  Result<> on_message(std::string_view payload) override { return session_.feed(payload); }
  Result<> on_ping(std::string_view payload) override {
    seal();
    append_websocket_frame(link_.out(), WebSocketOpcode::kPong, payload);
    return {};
  }
  Result<> on_close() override {
    left_ = true;
    return {};
  }

  Link& link_;
  const bool tunnel_;
  ForwardPairs& pairs_;
  std::string inner_;  // SPDY bytes on their way into a WebSocket message
  SpdySession session_;
  WebSocketReader websocket_;
  bool left_ = false;
};

// Channels 2i (data) and 2i+1 (error) of the i-th port of the URL; each begins with the port, little-endian.
class ChannelCarrier final : public PairCarrier, WebSocketEvents {
 public:
  ChannelCarrier(Link& link, bool base64, ForwardPairs& pairs) : link_(link), base64_(base64), pairs_(pairs) {}

  void open(uint16_t port) {
    Pair* pair = pairs_.add(concat("channel ", next_));
    if (pair == nullptr) return;
    pair->data_id = next_;
    pair->error_id = next_ + 1u;
    pair->has_data = pair->has_error = true;
    pair->port = port;
    next_ = next_ + 2;
    const char bytes[] = {static_cast<char>(port & 0xff), static_cast<char>(port >> 8)};
    message(pair->data_id, {bytes, 2});
    message(pair->error_id, {bytes, 2});
    pairs_.start_dial(*pair);
  }

  Result<> feed(std::string_view bytes) override { return websocket_.feed(bytes, *this); }
  bool client_left() const override { return left_; }
  void send(const Pair& pair, std::string_view bytes) override { message(pair.data_id, bytes); }
  void send_error(const Pair& pair, std::string_view text) override { message(pair.error_id, text); }
  // There is no way to say that one channel is done; nor can the client, so its half ends with the pod's.
  void finish(const Pair& pair) override {
    if (Pair* mine = pairs_.find_data(pair.data_id)) mine->client_closed = true;
  }
  void goodbye() override { append_websocket_close(link_.out(), kNormalClosure); }

 private:
  void message(uint32_t channel, std::string_view bytes) {
    if (base64_) {
      append_websocket_frame(link_.out(), WebSocketOpcode::kText,
                             concat(static_cast<char>('0' + channel), base64_encode(bytes)));
    } else {
      append_websocket_frame(link_.out(), WebSocketOpcode::kBinary, concat(static_cast<char>(channel), bytes));
    }
  }

  Result<> on_message(std::string_view payload) override {
    if (payload.empty()) return {};
    const auto first = static_cast<uint8_t>(payload[0]);
    std::string decoded;
    if (base64_) {
      TRY_ASSIGN(decoded, base64_decode(payload.substr(1)));
    }
    Pair* pair = pairs_.find_data(base64_ ? first - static_cast<uint32_t>('0') : first);
    if (pair != nullptr) pairs_.client_data(*pair, base64_ ? std::string_view(decoded) : payload.substr(1), false);
    return {};
  }
  Result<> on_ping(std::string_view payload) override {
    append_websocket_frame(link_.out(), WebSocketOpcode::kPong, payload);
    return {};
  }
  Result<> on_close() override {
    left_ = true;
    return {};
  }

  Link& link_;
  const bool base64_;
  ForwardPairs& pairs_;
  WebSocketReader websocket_;
  uint8_t next_ = 0;
  bool left_ = false;
};

}  // namespace

const std::vector<std::string_view>& websocket_forward_protocols() {
  static const std::vector<std::string_view> names = {kPortForwardTunnel, "v4.channel.k8s.io",
                                                      "v4.base64.channel.k8s.io"};
  return names;
}

void forward_spdy(Link& link, bool tunnel, const ForwardRequest& request, std::string_view first) {
  ForwardPairs pairs(link, request);
  SpdyCarrier carrier(link, tunnel, pairs);
  pairs.run(carrier, first, false);
}

void forward_websocket(Link& link, const std::vector<uint16_t>& ports, bool base64, const ForwardRequest& request,
                       std::string_view first) {
  ForwardPairs pairs(link, request);
  ChannelCarrier carrier(link, base64, pairs);
  for (const uint16_t port : ports) carrier.open(port);
  pairs.run(carrier, first, true);
}

}  // namespace berth::streaming
