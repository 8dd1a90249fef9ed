// SPDX-License-Identifier: Apache-2.0
// Exec and attach over SPDY: one stream per channel, named by the header streamType.
#include "agent/streaming/channels.h"
#include "runtime/base/strings.h"

namespace berth::streaming {
namespace {

constexpr size_t kMaxStreams = 16;

class SpdyChannels final : public Channels, SpdyHandler {
 public:
  SpdyChannels(std::string& out, const ChannelSet& wanted, std::string_view protocol)
      : session_(*this, out, kMaxStreams), json_(protocol.starts_with("v4.")) {
    wanted_.push_back(Channel::kError);
    if (wanted.input) wanted_.push_back(Channel::kStdin);
    if (wanted.output) wanted_.push_back(Channel::kStdout);
    if (wanted.error_output) wanted_.push_back(Channel::kStderr);
    if (wanted.terminal && (json_ || protocol.starts_with("v3."))) wanted_.push_back(Channel::kResize);
  }

  Result<> feed(std::string_view bytes) override {
    TRY(session_.feed(bytes));
    if (session_.client_left()) inbox_.client_left = true;
    return {};
  }

  bool ready() const override {
    for (const Channel channel : wanted_) {
      if (!ids_.contains(channel)) return false;
    }
    return true;
  }

  void send(Channel channel, std::string_view bytes) override { session_.send(id_of(channel), bytes); }

  void finish(const Outcome& outcome) override {
    session_.finish(id_of(Channel::kStdout));
    session_.finish(id_of(Channel::kStderr));
    session_.send(id_of(Channel::kError), json_ ? status_json(outcome) : status_text(outcome));
    session_.finish(id_of(Channel::kError));
    session_.goaway();
  }

 private:
  static std::optional<Channel> channel_of(std::string_view type) {
    if (type == "stdin") return Channel::kStdin;
    if (type == "stdout") return Channel::kStdout;
    if (type == "stderr") return Channel::kStderr;
    if (type == "error") return Channel::kError;
    if (type == "resize") return Channel::kResize;
    return std::nullopt;
  }

  uint32_t id_of(Channel channel) const {
    const auto found = ids_.find(channel);
    return found == ids_.end() ? 0 : found->second;
  }

  Result<bool> on_stream(uint32_t id, const SpdyHeaders& headers) override {
    const auto channel = channel_of(find_header(headers, "streamtype"));
    return channel && ids_.emplace(*channel, id).second;
  }

  Result<> on_stream_data(uint32_t id, std::string_view bytes, bool fin) override {
    if (id == id_of(Channel::kStdin)) {
      inbox_.input += bytes;
      if (fin) inbox_.input_closed = true;
    } else if (id == id_of(Channel::kResize)) {
      return take_resize(bytes);
    }
    return {};
  }

  void on_stream_reset(uint32_t id) override {
    if (id == id_of(Channel::kStdin)) inbox_.input_closed = true;
  }

  SpdySession session_;
  const bool json_;
  std::vector<Channel> wanted_;
  std::map<Channel, uint32_t> ids_;
};

}  // namespace

const std::vector<std::string_view>& spdy_exec_protocols() {
  static const std::vector<std::string_view> names = {"v4.channel.k8s.io", "v3.channel.k8s.io", "v2.channel.k8s.io",
                                                      "channel.k8s.io"};
  return names;
}

std::unique_ptr<Channels> make_spdy_channels(std::string& out, const ChannelSet& wanted, std::string_view protocol) {
  return std::make_unique<SpdyChannels>(out, wanted, protocol);
}

}  // namespace berth::streaming
