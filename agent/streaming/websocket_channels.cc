// SPDX-License-Identifier: Apache-2.0
// Exec and attach over WebSocket: the first byte of each message is the channel; in the base64 protocols it is a digit
// and the rest is encoded. v5 adds {255, channel}: that half is closed.
#include "agent/streaming/channels.h"
#include "runtime/base/strings.h"

namespace berth::streaming {
namespace {

constexpr uint8_t kCloseChannel = 255;
constexpr uint16_t kNormalClosure = 1000;

class WebSocketChannels final : public Channels, WebSocketEvents {
 public:
  WebSocketChannels(std::string& out, const ChannelSet& wanted, std::string_view protocol)
      : out_(out),
        wanted_(wanted),
        base64_(protocol.find("base64") != std::string_view::npos),
        json_(protocol.starts_with("v4.") || protocol.starts_with("v5.")),
        half_close_(protocol.starts_with("v5.")) {
    // Clients learn from the first message that the channels are up.
    const Channel lowest = wanted.output ? Channel::kStdout : wanted.error_output ? Channel::kStderr : Channel::kError;
    message(lowest, {});
  }

  Result<> feed(std::string_view bytes) override { return reader_.feed(bytes, *this); }
  bool ready() const override { return true; }

  void send(Channel channel, std::string_view bytes) override {
    if (channel == Channel::kStdout ? !wanted_.output : !wanted_.error_output) return;
    if (!bytes.empty()) message(channel, bytes);
  }

  void finish(const Outcome& outcome) override {
    const std::string text = json_ ? status_json(outcome) : status_text(outcome);
    if (!text.empty()) message(Channel::kError, text);
    append_websocket_close(out_, kNormalClosure);
  }

 private:
  void message(Channel channel, std::string_view bytes) {
    const auto number = static_cast<uint8_t>(channel);
    if (base64_) {
      append_websocket_frame(out_, WebSocketOpcode::kText,
                             concat(static_cast<char>('0' + number), base64_encode(bytes)));
    } else {
      append_websocket_frame(out_, WebSocketOpcode::kBinary, concat(static_cast<char>(number), bytes));
    }
  }

  Result<> on_message(std::string_view payload) override {
    if (payload.empty()) return {};
    auto number = static_cast<uint8_t>(payload[0]);
    std::string decoded;
    if (base64_) {
      number = static_cast<uint8_t>(number - '0');
      TRY_ASSIGN(decoded, base64_decode(payload.substr(1)));
    }
    const std::string_view bytes = base64_ ? std::string_view(decoded) : payload.substr(1);
    if (number == static_cast<uint8_t>(Channel::kStdin) && wanted_.input && !inbox_.input_closed) inbox_.input += bytes;
    if (number == static_cast<uint8_t>(Channel::kResize) && wanted_.terminal) return take_resize(bytes);
    if (half_close_ && number == kCloseChannel && bytes == std::string_view("\0", 1)) inbox_.input_closed = true;
    return {};
  }

  Result<> on_ping(std::string_view payload) override {
    append_websocket_frame(out_, WebSocketOpcode::kPong, payload);
    return {};
  }

  Result<> on_close() override {
    inbox_.client_left = true;
    return {};
  }

  std::string& out_;
  const ChannelSet wanted_;
  const bool base64_;
  const bool json_;
  const bool half_close_;
  WebSocketReader reader_;
};

}  // namespace

const std::vector<std::string_view>& websocket_exec_protocols() {
  static const std::vector<std::string_view> names = {
      "v5.channel.k8s.io", "v4.channel.k8s.io", "v4.base64.channel.k8s.io", "channel.k8s.io", "base64.channel.k8s.io"};
  return names;
}

std::unique_ptr<Channels> make_websocket_channels(std::string& out, const ChannelSet& wanted,
                                                  std::string_view protocol) {
  return std::make_unique<WebSocketChannels>(out, wanted, protocol);
}

}  // namespace berth::streaming
