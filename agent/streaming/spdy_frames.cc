// SPDX-License-Identifier: Apache-2.0
#include "agent/streaming/spdy_frames.h"

#include <zlib.h>

#include <algorithm>

#include "runtime/base/strings.h"

namespace berth::streaming {
namespace {

constexpr size_t kFrameHeader = 8;
constexpr uint16_t kVersion = 3;
constexpr uint8_t kFlagFin = 1;
constexpr uint32_t kIdMask = 0x7fffffff;

enum Type : uint16_t {
  kSynStream = 1,
  kSynReply = 2,
  kRstStream = 3,
  kSettings = 4,
  kPing = 6,
  kGoaway = 7,
  kHeaders = 8,
  kWindowUpdate = 9,
};

uint32_t get32(std::string_view bytes, size_t at) {
  const auto byte = [&](size_t i) { return static_cast<uint32_t>(static_cast<unsigned char>(bytes[at + i])); };
  return byte(0) << 24 | byte(1) << 16 | byte(2) << 8 | byte(3);
}

void put32(std::string& out, uint32_t value) {
  for (int shift = 24; shift >= 0; shift -= 8) out += static_cast<char>(value >> shift & 0xff);
}

// zlib's interface predates const.
Bytef* as_bytes(std::string_view text) { return reinterpret_cast<Bytef*>(const_cast<char*>(text.data())); }
Bytef* as_bytes(std::string& text) { return reinterpret_cast<Bytef*>(text.data()); }

std::unexpected<Error> violation(std::string_view what) { return fail(Code::kInvalidArgument, concat("spdy: ", what)); }

std::string lower(std::string_view text) {
  std::string result(text);
  for (char& c : result) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return result;
}

}  // namespace

std::string_view find_header(const SpdyHeaders& headers, std::string_view name) {
  for (const auto& [key, value] : headers) {
    if (key == name) return std::string_view(value).substr(0, value.find('\0'));
  }
  return {};
}

// ---- reading

struct SpdyReader::Inflater {
  z_stream stream{};
  bool ready = false;
  ~Inflater() {
    if (ready) ::inflateEnd(&stream);
  }
};

SpdyReader::SpdyReader(SpdyLimits limits) : limits_(limits), inflater_(std::make_unique<Inflater>()) {}
SpdyReader::~SpdyReader() = default;

Result<> SpdyReader::feed(std::string_view bytes, SpdyEvents& events) {
  while (!bytes.empty()) {
    if (in_data_) {
      const size_t take = std::min(data_left_, bytes.size());
      data_left_ -= take;
      const bool last = data_left_ == 0;
      if (last) in_data_ = false;
      TRY(events.on_data(data_id_, bytes.substr(0, take), last && data_fin_));
      bytes.remove_prefix(take);
      continue;
    }
    const size_t want = in_control_ ? control_left_ : kFrameHeader - buffer_.size();
    const size_t take = std::min(want, bytes.size());
    buffer_.append(bytes.substr(0, take));
    bytes.remove_prefix(take);
    if (in_control_) {
      control_left_ -= take;
      if (control_left_ == 0) TRY(control_frame(events));
    } else if (buffer_.size() == kFrameHeader) {
      TRY(begin_frame(events));
    }
  }
  return {};
}

Result<> SpdyReader::begin_frame(SpdyEvents& events) {
  const uint32_t word = get32(buffer_, 0);
  const size_t length = get32(buffer_, 4) & 0xffffff;
  const auto flags = static_cast<uint8_t>(buffer_[4]);
  if (length > limits_.frame_bytes) return fail(Code::kResourceExhausted, concat("spdy: frame of ", length, " bytes"));
  if ((word & ~kIdMask) != 0) {
    if ((word >> 16 & 0x7fff) != kVersion) return violation("unknown version");
    in_control_ = true;
    control_left_ = length;
    return length == 0 ? control_frame(events) : Result<>();
  }
  if (word == 0) return violation("data on stream 0");
  buffer_.clear();
  data_id_ = word;
  data_left_ = length;
  data_fin_ = (flags & kFlagFin) != 0;
  in_data_ = length != 0;
  if (length == 0) return events.on_data(data_id_, {}, data_fin_);
  return {};
}

Result<> SpdyReader::control_frame(SpdyEvents& events) {
  in_control_ = false;
  const auto type = static_cast<uint16_t>(get32(buffer_, 0) & 0xffff);
  const size_t size = buffer_.size() - kFrameHeader;
  Result<> result;
  switch (type) {
    case kSynStream:
    case kSynReply:
    case kHeaders:
      result = stream_frame(type, events);
      break;
    case kRstStream:
      if (size != 8) return violation("reset of a wrong length");
      result = events.on_reset(get32(buffer_, 8) & kIdMask, get32(buffer_, 12));
      break;
    case kSettings:
      // Ignored, but a count that its frame cannot hold is an attack.
      if (size < 4 || get32(buffer_, 8) != (size - 4) / 8 || (size - 4) % 8 != 0)
        return violation("settings of a wrong length");
      break;
    case kPing:
      if (size != 4) return violation("ping of a wrong length");
      result = events.on_ping(get32(buffer_, 8));
      break;
    case kGoaway:
      if (size != 8) return violation("goaway of a wrong length");
      result = events.on_goaway();
      break;
    case kWindowUpdate:
      // Neither side of these streams uses flow control.
      if (size != 8) return violation("window update of a wrong length");
      break;
    default:
      return violation("unknown control frame");
  }
  buffer_.clear();
  return result;
}

Result<> SpdyReader::stream_frame(uint16_t type, SpdyEvents& events) {
  const std::string_view payload = std::string_view(buffer_).substr(kFrameHeader);
  const size_t fixed = type == kSynStream ? 10 : 4;
  if (payload.size() < fixed) return violation("short stream frame");
  const uint32_t id = get32(payload, 0) & kIdMask;
  if (id == 0) return violation("stream 0");
  const bool fin = (static_cast<uint8_t>(buffer_[4]) & kFlagFin) != 0;
  // Every block is inflated, wanted or not: the next one depends on it.
  TRY_ASSIGN(SpdyHeaders found, headers(payload.substr(fixed)));
  if (type == kSynStream) return events.on_syn_stream(id, fin, std::move(found));
  if (type == kSynReply) return events.on_syn_reply(id, fin, std::move(found));
  return events.on_headers(id, fin, std::move(found));
}

Result<SpdyHeaders> SpdyReader::headers(std::string_view block) {
  TRY_ASSIGN(const std::string text, inflate(block));
  size_t at = 0;
  const auto number = [&]() -> Result<size_t> {
    if (text.size() - at < 4) return violation("header block ends early");
    const size_t value = get32(text, at);
    at += 4;
    return value;
  };
  const auto word = [&]() -> Result<std::string_view> {
    TRY_ASSIGN(const size_t size, number());
    if (size > text.size() - at) return violation("header longer than its block");
    const std::string_view value = std::string_view(text).substr(at, size);
    at += size;
    return value;
  };
  TRY_ASSIGN(const size_t count, number());
  if (count > limits_.header_count) return fail(Code::kResourceExhausted, concat("spdy: ", count, " headers"));
  SpdyHeaders found;
  for (size_t i = 0; i < count; ++i) {
    TRY_ASSIGN(const std::string_view name, word());
    TRY_ASSIGN(const std::string_view value, word());
    if (name.empty()) return violation("header without a name");
    found.emplace_back(lower(name), value);
  }
  if (at != text.size()) return violation("bytes after the headers");
  return found;
}

Result<std::string> SpdyReader::inflate(std::string_view block) {
  z_stream& stream = inflater_->stream;
  if (!inflater_->ready) {
    if (::inflateInit(&stream) != Z_OK) return fail(Code::kResourceExhausted, "spdy: no memory for zlib");
    inflater_->ready = true;
  }
  stream.next_in = as_bytes(block);
  stream.avail_in = static_cast<uInt>(block.size());
  std::string text;
  for (;;) {
    const size_t done = text.size();
    text.resize(std::min(done + 4096, limits_.header_bytes + 1));
    stream.next_out = as_bytes(text) + done;
    stream.avail_out = static_cast<uInt>(text.size() - done);
    int status = ::inflate(&stream, Z_SYNC_FLUSH);
    if (status == Z_NEED_DICT) {
      const std::string& dictionary = spdy_dictionary();
      status = ::inflateSetDictionary(&stream, as_bytes(dictionary), static_cast<uInt>(dictionary.size()));
      if (status != Z_OK) return violation("headers compressed with another dictionary");
      status = ::inflate(&stream, Z_SYNC_FLUSH);
    }
    text.resize(text.size() - stream.avail_out);
    if (text.size() > limits_.header_bytes) return fail(Code::kResourceExhausted, "spdy: headers too large");
    if (status != Z_OK && status != Z_BUF_ERROR) return violation("headers do not inflate");
    if (stream.avail_out != 0) break;
  }
  if (stream.avail_in != 0) return violation("headers end early");
  return text;
}

// ---- writing

struct SpdyWriter::Deflater {
  z_stream stream{};
  bool ready = false;
  ~Deflater() {
    if (ready) ::deflateEnd(&stream);
  }
};

SpdyWriter::SpdyWriter(std::string& out) : out_(out), deflater_(std::make_unique<Deflater>()) {}
SpdyWriter::~SpdyWriter() = default;

void SpdyWriter::control(uint16_t type, uint8_t flags, std::string_view payload) {
  put32(out_, 0x80000000u | static_cast<uint32_t>(kVersion) << 16 | type);
  put32(out_, static_cast<uint32_t>(flags) << 24 | static_cast<uint32_t>(payload.size()));
  out_ += payload;
}

std::string SpdyWriter::deflate(const SpdyHeaders& headers) {
  std::string text;
  put32(text, static_cast<uint32_t>(headers.size()));
  for (const auto& [name, value] : headers) {
    put32(text, static_cast<uint32_t>(name.size()));
    text += name;
    put32(text, static_cast<uint32_t>(value.size()));
    text += value;
  }
  z_stream& stream = deflater_->stream;
  if (!deflater_->ready) {
    // A window of 2 KiB and the least memory: headers are tiny, connections may be many.
    if (::deflateInit2(&stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, 11, 1, Z_DEFAULT_STRATEGY) != Z_OK) return {};
    const std::string& dictionary = spdy_dictionary();
    ::deflateSetDictionary(&stream, as_bytes(dictionary), static_cast<uInt>(dictionary.size()));
    deflater_->ready = true;
  }
  std::string block;
  stream.next_in = as_bytes(text);
  stream.avail_in = static_cast<uInt>(text.size());
  do {
    const size_t done = block.size();
    block.resize(done + 512);
    stream.next_out = as_bytes(block) + done;
    stream.avail_out = 512;
    ::deflate(&stream, Z_SYNC_FLUSH);
    block.resize(block.size() - stream.avail_out);
  } while (stream.avail_out == 0);
  return block;
}

void SpdyWriter::syn_stream(uint32_t id, const SpdyHeaders& headers, bool fin) {
  std::string payload;
  put32(payload, id);
  put32(payload, 0);
  payload.append(2, '\0');
  payload += deflate(headers);
  control(kSynStream, fin ? kFlagFin : 0, payload);
}

void SpdyWriter::syn_reply(uint32_t id, const SpdyHeaders& headers, bool fin) {
  std::string payload;
  put32(payload, id);
  payload += deflate(headers);
  control(kSynReply, fin ? kFlagFin : 0, payload);
}

void SpdyWriter::data(uint32_t id, std::string_view bytes, bool fin) {
  put32(out_, id);
  put32(out_, static_cast<uint32_t>(fin ? kFlagFin : 0) << 24 | static_cast<uint32_t>(bytes.size()));
  out_ += bytes;
}

void SpdyWriter::reset(uint32_t id, SpdyStatus status) {
  std::string payload;
  put32(payload, id);
  put32(payload, static_cast<uint32_t>(status));
  control(kRstStream, 0, payload);
}

void SpdyWriter::ping(uint32_t id) {
  std::string payload;
  put32(payload, id);
  control(kPing, 0, payload);
}

void SpdyWriter::goaway(uint32_t last_good_id) {
  std::string payload;
  put32(payload, last_good_id);
  put32(payload, 0);
  control(kGoaway, 0, payload);
}

}  // namespace berth::streaming
