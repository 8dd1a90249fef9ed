// SPDX-License-Identifier: Apache-2.0
#include "agent/streaming/spdy_session.h"

#include <algorithm>

#include "runtime/base/log.h"
#include "runtime/base/strings.h"

namespace berth::streaming {
namespace {
constexpr double kResetBurst = 1000;
constexpr double kResetsPerSecond = 100;
constexpr size_t kDataBytes = 32u << 10;
}  // namespace

SpdySession::SpdySession(SpdyHandler& handler, std::string& out, size_t max_streams)
    : handler_(handler),
      writer_(out),
      max_streams_(max_streams),
      reset_allowance_(kResetBurst),
      reset_checked_(monotonic_nanos()) {}

Result<> SpdySession::on_syn_stream(uint32_t id, bool fin, SpdyHeaders headers) {
  if (id % 2 == 0 || id <= last_id_)
    return fail(Code::kInvalidArgument, concat("spdy: stream id ", id, " out of order"));
  last_id_ = id;
  if (streams_.size() >= max_streams_) {
    writer_.reset(id, SpdyStatus::kRefusedStream);
    return {};
  }
  streams_[id] = {.local_open = true, .remote_open = !fin};
  TRY_ASSIGN(const bool wanted, handler_.on_stream(id, headers));
  if (!wanted) {
    reset(id);
    return {};
  }
  writer_.syn_reply(id);
  return fin ? handler_.on_stream_data(id, {}, true) : Result<>();
}

Result<> SpdySession::on_headers(uint32_t id, bool fin, SpdyHeaders) {
  return fin ? on_data(id, {}, true) : Result<>();
}

Result<> SpdySession::on_data(uint32_t id, std::string_view bytes, bool fin) {
  const auto stream = streams_.find(id);
  if (stream == streams_.end() || !stream->second.remote_open) {
    // Late data of a stream that was reset or refused is normal; of one that never was, it is not.
    if (id > last_id_) return fail(Code::kInvalidArgument, concat("spdy: data on unknown stream ", id));
    return {};
  }
  if (fin) stream->second.remote_open = false;
  TRY(handler_.on_stream_data(id, bytes, fin));
  forget_if_closed(id);
  return {};
}

Result<> SpdySession::on_reset(uint32_t id, uint32_t) {
  const long long now = monotonic_nanos();
  reset_allowance_ =
      std::min(kResetBurst, reset_allowance_ + static_cast<double>(now - reset_checked_) / 1e9 * kResetsPerSecond);
  reset_checked_ = now;
  if (reset_allowance_ < 1) return fail(Code::kResourceExhausted, "spdy: too many resets");
  reset_allowance_ -= 1;
  if (streams_.erase(id) != 0) handler_.on_stream_reset(id);
  return {};
}

Result<> SpdySession::on_ping(uint32_t id) {
  if (id % 2 != 0) writer_.ping(id);
  return {};
}

Result<> SpdySession::on_goaway() {
  client_left_ = true;
  return {};
}

void SpdySession::send(uint32_t id, std::string_view bytes) {
  const auto stream = streams_.find(id);
  if (stream == streams_.end() || !stream->second.local_open) return;
  for (; !bytes.empty(); bytes.remove_prefix(std::min(kDataBytes, bytes.size())))
    writer_.data(id, bytes.substr(0, kDataBytes));
}

void SpdySession::finish(uint32_t id) {
  const auto stream = streams_.find(id);
  if (stream == streams_.end() || !stream->second.local_open) return;
  writer_.data(id, {}, true);
  stream->second.local_open = false;
  forget_if_closed(id);
}

void SpdySession::reset(uint32_t id) {
  if (streams_.erase(id) != 0) writer_.reset(id, SpdyStatus::kCancel);
}

void SpdySession::forget_if_closed(uint32_t id) {
  const auto stream = streams_.find(id);
  if (stream != streams_.end() && !stream->second.local_open && !stream->second.remote_open) streams_.erase(stream);
}

}  // namespace berth::streaming
