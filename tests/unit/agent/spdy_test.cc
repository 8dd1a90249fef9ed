// SPDX-License-Identifier: Apache-2.0
// SPDY frames and the SPDY session, as bytes: round trips, foreign bytes, limits, noise.
#include <zlib.h>

#include <algorithm>
#include <random>

#include "agent/streaming/spdy_frames.h"
#include "agent/streaming/spdy_session.h"
#include "tests/support/catch.h"

using namespace berth;
using namespace berth::streaming;

namespace {

struct Log : SpdyEvents {
  std::vector<std::string> lines;
  std::vector<SpdyHeaders> headers;
  std::string data;
  Result<> on_syn_stream(uint32_t id, bool fin, SpdyHeaders h) override { return add("syn", id, fin, std::move(h)); }
  Result<> on_syn_reply(uint32_t id, bool fin, SpdyHeaders h) override { return add("reply", id, fin, std::move(h)); }
  Result<> on_headers(uint32_t id, bool fin, SpdyHeaders h) override { return add("headers", id, fin, std::move(h)); }
  Result<> on_data(uint32_t id, std::string_view bytes, bool fin) override {
    data += bytes;
    lines.push_back("data " + std::to_string(id) + (fin ? " fin" : ""));
    return {};
  }
  Result<> on_reset(uint32_t id, uint32_t status) override {
    lines.push_back("reset " + std::to_string(id) + " " + std::to_string(status));
    return {};
  }
  Result<> on_ping(uint32_t id) override {
    lines.push_back("ping " + std::to_string(id));
    return {};
  }
  Result<> on_goaway() override {
    lines.push_back("goaway");
    return {};
  }
  Result<> add(std::string what, uint32_t id, bool fin, SpdyHeaders h) {
    lines.push_back(what + " " + std::to_string(id) + (fin ? " fin" : ""));
    headers.push_back(std::move(h));
    return {};
  }
};

std::string be32(uint32_t value) {
  return {static_cast<char>(value >> 24), static_cast<char>(value >> 16), static_cast<char>(value >> 8),
          static_cast<char>(value)};
}

std::string control(uint16_t type, const std::string& payload, uint8_t flags = 0) {
  return be32(0x80030000u | type) + be32(static_cast<uint32_t>(flags) << 24 | static_cast<uint32_t>(payload.size())) +
         payload;
}

// A header block of raw text, compressed as the protocol wants.
std::string compress(const std::string& text) {
  z_stream stream{};
  REQUIRE(::deflateInit(&stream, 9) == Z_OK);
  const std::string& dictionary = spdy_dictionary();
  ::deflateSetDictionary(&stream, reinterpret_cast<const Bytef*>(dictionary.data()),
                         static_cast<uInt>(dictionary.size()));
  std::string block(text.size() / 2 + 4096, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(block.data());
  stream.avail_out = static_cast<uInt>(block.size());
  ::deflate(&stream, Z_SYNC_FLUSH);
  block.resize(block.size() - stream.avail_out);
  ::deflateEnd(&stream);
  return block;
}

std::string syn(const std::string& block_text) {
  return control(1, be32(1) + be32(0) + std::string(2, '\0') + compress(block_text));
}

Code refused(const std::string& bytes) {
  SpdyReader reader;
  Log log;
  const auto result = reader.feed(bytes, log);
  REQUIRE_FALSE(result.has_value());
  return result.error().code();
}

std::string from_hex(std::string_view text) {
  std::string bytes;
  for (size_t i = 0; i < text.size(); i += 2)
    bytes += static_cast<char>(std::stoi(std::string(text.substr(i, 2)), nullptr, 16));
  return bytes;
}

}  // namespace

TEST_CASE("the SPDY/3 dictionary is the one that every peer has") {
  const std::string& text = spdy_dictionary();
  CHECK(text.size() == 1423);
  CHECK(::adler32(1, reinterpret_cast<const Bytef*>(text.data()), static_cast<uInt>(text.size())) == 0xe3c6a7c2);
}

TEST_CASE("stream frames of another implementation are understood, byte by byte") {
  const std::string bytes = from_hex(
      "80030001000000280000000100000000000078f9e3c6a7c202a62346703a2b294a4dcc851625aca9a08006000000ffff8003"
      "0001000000250000000300000000000002651c4ca9e21260768194d845a0d4cd6a61c0606108000000ffff");
  SpdyReader reader;
  Log log;
  for (const char c : bytes) REQUIRE(reader.feed({&c, 1}, log));
  REQUIRE(log.lines == std::vector<std::string>{"syn 1", "syn 3"});
  CHECK(find_header(log.headers[0], "streamtype") == "error");
  CHECK(find_header(log.headers[1], "streamtype") == "stdin");
  CHECK(find_header(log.headers[1], "port") == "80");
  CHECK(find_header(log.headers[1], "absent").empty());
}

TEST_CASE("every frame that is written is read back") {
  std::string out;
  SpdyWriter writer(out);
  writer.syn_stream(1, {{"streamtype", "error"}, {"port", "80"}});
  writer.syn_stream(3, {{"streamtype", "data"}}, true);
  writer.syn_reply(1);
  writer.data(1, "hello ");
  writer.data(1, "world", true);
  writer.data(3, {}, true);
  writer.reset(3, SpdyStatus::kCancel);
  writer.ping(7);
  writer.goaway(3);
  SpdyReader reader;
  Log log;
  REQUIRE(reader.feed(out, log));
  CHECK(log.lines == std::vector<std::string>{"syn 1", "syn 3 fin", "reply 1", "data 1", "data 1 fin", "data 3 fin",
                                              "reset 3 5", "ping 7", "goaway"});
  CHECK(log.data == "hello world");
  CHECK(find_header(log.headers[1], "streamtype") == "data");
}

TEST_CASE("a data frame that comes in pieces is handed on in pieces and ends once") {
  std::string out;
  SpdyWriter writer(out);
  writer.data(5, std::string(1000, 'x'), true);
  SpdyReader reader;
  Log log;
  for (size_t i = 0; i < out.size(); i += 7) REQUIRE(reader.feed(std::string_view(out).substr(i, 7), log));
  CHECK(log.data == std::string(1000, 'x'));
  CHECK(std::ranges::count(log.lines, "data 5 fin") == 1);
  CHECK(log.lines.back() == "data 5 fin");
}

TEST_CASE("a hundred header blocks on one connection keep the inflater in step") {
  std::string out;
  SpdyWriter writer(out);
  for (uint32_t i = 0; i < 100; ++i)
    writer.syn_stream(2 * i + 1, {{"streamtype", "data"}, {"requestid", std::to_string(i)}});
  SpdyReader reader;
  Log log;
  REQUIRE(reader.feed(out, log));
  REQUIRE(log.headers.size() == 100);
  for (size_t i = 0; i < 100; ++i) CHECK(find_header(log.headers[i], "requestid") == std::to_string(i));
}

TEST_CASE("header names are made lower case") {
  SpdyReader reader;
  Log log;
  REQUIRE(reader.feed(syn(be32(1) + be32(10) + "StreamType" + be32(5) + "error"), log));
  CHECK(find_header(log.headers[0], "streamtype") == "error");
}

TEST_CASE("frames beyond the limits are refused before they are kept") {
  CHECK(refused(be32(1) + be32(1u << 20 | 1)) == Code::kResourceExhausted);
  CHECK(refused(be32(0x80030001) + be32(0xffffff)) == Code::kResourceExhausted);
  // 16 MiB of zeros in 16 KiB.
  CHECK(refused(syn(be32(1) + be32(4) + "name" + be32(16 << 20) + std::string(16 << 20, '\0'))) ==
        Code::kResourceExhausted);
  std::string many = be32(65);
  for (int i = 0; i < 65; ++i) many += be32(1) + "a" + be32(0);
  CHECK(refused(syn(many)) == Code::kResourceExhausted);
}

TEST_CASE("lengths and counts that do not fit their frame are refused") {
  CHECK(refused(control(4, be32(1 << 24) + std::string(8, '\0'))) == Code::kInvalidArgument);
  CHECK(refused(control(4, be32(0x20000000))) == Code::kInvalidArgument);
  CHECK(refused(control(4, "")) == Code::kInvalidArgument);
  CHECK(refused(control(3, be32(1))) == Code::kInvalidArgument);
  CHECK(refused(control(6, be32(1) + be32(1))) == Code::kInvalidArgument);
  CHECK(refused(control(7, be32(1))) == Code::kInvalidArgument);
  CHECK(refused(control(9, be32(1))) == Code::kInvalidArgument);
  CHECK(refused(control(1, be32(1))) == Code::kInvalidArgument);
  CHECK(refused(control(5, "")) == Code::kInvalidArgument);
  CHECK(refused(syn(be32(1) + be32(0xffffffff) + "x")) == Code::kInvalidArgument);
  CHECK(refused(syn(be32(2) + be32(1) + "a" + be32(1) + "b")) == Code::kInvalidArgument);
  CHECK(refused(syn(be32(0) + "trailing")) == Code::kInvalidArgument);
  CHECK(refused(syn(be32(1) + be32(0) + be32(0))) == Code::kInvalidArgument);
  CHECK(refused(syn("")) == Code::kInvalidArgument);
}

TEST_CASE("another version, stream zero and headers that do not inflate are refused") {
  CHECK(refused(be32(0x80020001) + be32(0)) == Code::kInvalidArgument);
  CHECK(refused(be32(0) + be32(1) + "x") == Code::kInvalidArgument);
  CHECK(refused(control(1, be32(0) + be32(0) + std::string(2, '\0') + compress(be32(0)))) == Code::kInvalidArgument);
  CHECK(refused(control(1, be32(1) + be32(0) + std::string(2, '\0') + "not zlib at all")) == Code::kInvalidArgument);
}

TEST_CASE("settings and window updates are ignored") {
  SpdyReader reader;
  Log log;
  REQUIRE(reader.feed(control(4, be32(1) + be32(7) + be32(65536)) + control(9, be32(1) + be32(100)), log));
  CHECK(log.lines.empty());
}

TEST_CASE("noise never does more than end the connection") {
  std::mt19937 random(1);
  std::string valid;
  SpdyWriter writer(valid);
  for (uint32_t i = 1; i < 20; i += 2) {
    writer.syn_stream(i, {{"streamtype", "stdin"}, {"n", std::to_string(i)}});
    writer.data(i, "payload");
    writer.ping(i);
  }
  for (int round = 0; round < 10'000; ++round) {
    SpdyReader reader;
    Log log;
    std::string bytes;
    if (round % 2 == 0) {
      bytes = valid;
      for (int flips = 0; flips < 1 + round % 5; ++flips) bytes[random() % bytes.size()] = static_cast<char>(random());
    } else {
      bytes.resize(random() % 200);
      for (char& c : bytes) c = static_cast<char>(random());
      if (bytes.size() > 4 && round % 3 == 0)
        bytes.replace(0, 4, be32(static_cast<uint32_t>(0x80030001 + random() % 9)));
    }
    for (size_t at = 0; at < bytes.size();) {
      const size_t size = 1 + random() % 64;
      if (!reader.feed(std::string_view(bytes).substr(at, size), log)) break;
      at += size;
    }
  }
  SUCCEED();
}

namespace {
struct Streams : SpdyHandler {
  std::vector<uint32_t> opened;
  std::vector<uint32_t> resets;
  std::string data;
  int fins = 0;
  bool accept = true;
  Result<bool> on_stream(uint32_t id, const SpdyHeaders&) override {
    opened.push_back(id);
    return accept;
  }
  Result<> on_stream_data(uint32_t, std::string_view bytes, bool fin) override {
    data += bytes;
    fins += fin;
    return {};
  }
  void on_stream_reset(uint32_t id) override { resets.push_back(id); }
};

struct SessionRig {
  explicit SessionRig(size_t max_streams = 16) : session(handler, out, max_streams) {}
  Result<> deliver() {
    std::string bytes;
    bytes.swap(wire);
    return session.feed(bytes);
  }
  Log answers() {
    Log log;
    REQUIRE(reader.feed(out, log));
    out.clear();
    return log;
  }
  Streams handler;
  std::string out;
  std::string wire;
  SpdyWriter client{wire};
  SpdyReader reader;
  SpdySession session;
};
}  // namespace

TEST_CASE("a session answers streams and pings, and counts the open ones") {
  SessionRig rig(2);
  rig.client.syn_stream(1, {});
  rig.client.syn_stream(3, {});
  rig.client.syn_stream(5, {});
  rig.client.ping(9);
  rig.client.ping(2);
  REQUIRE(rig.deliver());
  CHECK(rig.answers().lines == std::vector<std::string>{"reply 1", "reply 3", "reset 5 3", "ping 9"});
  rig.client.data(1, "bye", true);
  REQUIRE(rig.deliver());
  rig.session.finish(1);
  rig.client.syn_stream(7, {});
  REQUIRE(rig.deliver());
  CHECK(rig.answers().lines == std::vector<std::string>{"data 1 fin", "reply 7"});
  CHECK(rig.handler.opened == std::vector<uint32_t>{1, 3, 7});
  CHECK(rig.handler.fins == 1);
}

TEST_CASE("a session refuses ids out of order and data on streams that never were") {
  {
    SessionRig rig;
    rig.client.syn_stream(3, {});
    rig.client.syn_stream(1, {});
    CHECK_FALSE(rig.deliver().has_value());
  }
  {
    SessionRig rig;
    rig.client.syn_stream(2, {});
    CHECK_FALSE(rig.deliver().has_value());
  }
  SessionRig rig;
  rig.client.data(9, "x");
  CHECK_FALSE(rig.deliver().has_value());
}

TEST_CASE("a session drops late data of closed streams and says nothing on finished ones") {
  SessionRig rig;
  rig.handler.accept = false;
  rig.client.syn_stream(1, {});
  rig.client.data(1, "late");
  REQUIRE(rig.deliver());
  CHECK(rig.answers().lines == std::vector<std::string>{"reset 1 5"});
  CHECK(rig.handler.data.empty());
  rig.handler.accept = true;
  rig.client.syn_stream(3, {});
  REQUIRE(rig.deliver());
  rig.session.finish(3);
  rig.session.send(3, "after the end");
  rig.session.finish(3);
  CHECK(rig.answers().lines == std::vector<std::string>{"reply 3", "data 3 fin"});
}

TEST_CASE("a flood of resets ends the connection") {
  SessionRig rig;
  for (uint32_t i = 0; i < 100'000; ++i) rig.client.reset(2 * i + 1, SpdyStatus::kCancel);
  const auto result = rig.deliver();
  REQUIRE_FALSE(result.has_value());
  CHECK(result.error().code() == Code::kResourceExhausted);
}
