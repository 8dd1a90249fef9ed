// SPDX-License-Identifier: Apache-2.0
// WebSocket frames, tokens and request heads of the streaming server, as bytes.
#include <algorithm>
#include <random>
#include <thread>

#include "agent/streaming/http.h"
#include "agent/streaming/tokens.h"
#include "agent/streaming/websocket_frames.h"
#include "tests/support/catch.h"

using namespace berth;
using namespace berth::streaming;

namespace {
struct Messages : WebSocketEvents {
  std::vector<std::string> lines;
  Result<> on_message(std::string_view payload) override {
    lines.emplace_back(payload);
    return {};
  }
  Result<> on_ping(std::string_view payload) override {
    lines.push_back("ping " + std::string(payload));
    return {};
  }
  Result<> on_close() override {
    lines.push_back("close");
    return {};
  }
};
}  // namespace

TEST_CASE("the websocket accept key is that of RFC 6455") {
  CHECK(websocket_accept("dGhlIHNhbXBsZSBub25jZQ==") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
}

TEST_CASE("base64 goes both ways and refuses what is none") {
  for (const std::string text : {"", "a", "ab", "abc", "abcd"})
    CHECK(base64_decode(base64_encode(text)).value() == text);
  CHECK(base64_encode("hello") == "aGVsbG8=");
  CHECK_FALSE(base64_decode("a").has_value());
  CHECK_FALSE(base64_decode("a$==").has_value());
}

TEST_CASE("masked messages of every length class come through, byte by byte") {
  for (const size_t size : {0u, 1u, 125u, 126u, 65535u, 65536u, 300000u}) {
    std::string bytes;
    append_websocket_frame(bytes, WebSocketOpcode::kBinary, std::string(size, 'z'), 0x12345678);
    append_websocket_frame(bytes, WebSocketOpcode::kPing, "p", 0x9abcdef0);
    WebSocketReader reader;
    Messages log;
    const size_t portion = size > 1000 ? 997 : 1;
    for (size_t at = 0; at < bytes.size(); at += portion)
      REQUIRE(reader.feed(std::string_view(bytes).substr(at, portion), log));
    REQUIRE(log.lines == std::vector<std::string>{std::string(size, 'z'), "ping p"});
  }
}

TEST_CASE("fragments are joined, with a control frame between them") {
  std::string bytes, rest;
  append_websocket_frame(bytes, WebSocketOpcode::kText, "one ", 1);
  bytes[0] = 0x01;
  append_websocket_frame(bytes, WebSocketOpcode::kPing, "", 1);
  append_websocket_frame(rest, WebSocketOpcode::kText, "two", 1);
  rest[0] = static_cast<char>(0x80);
  append_websocket_close(rest, 1000);
  rest[rest.size() - 3] = static_cast<char>(0x82);
  rest.insert(rest.size() - 2, std::string(4, '\0'));
  WebSocketReader reader;
  Messages log;
  REQUIRE(reader.feed(bytes + rest, log));
  CHECK(log.lines == std::vector<std::string>{"ping ", "one two", "close"});
}

TEST_CASE("websocket frames that the protocol forbids or the limit excludes are refused") {
  const auto refuse = [](std::string bytes) {
    WebSocketReader reader(1000);
    Messages log;
    return !reader.feed(bytes, log).has_value();
  };
  std::string frame;
  append_websocket_frame(frame, WebSocketOpcode::kBinary, "unmasked");
  CHECK(refuse(frame));
  frame.clear();
  append_websocket_frame(frame, WebSocketOpcode::kBinary, std::string(1001, 'x'), 1);
  CHECK(refuse(frame.substr(0, 8)));
  CHECK(refuse(std::string("\x82\xff\xff\xff\xff\xff\xff\xff\xff\xff\0\0\0\0", 14)));
  CHECK(refuse(std::string("\xc2\x80\0\0\0\0", 6)));
  CHECK(refuse(std::string("\x83\x80\0\0\0\0", 6)));
  CHECK(refuse(std::string("\x80\x80\0\0\0\0", 6)));
  CHECK(refuse(std::string("\x09\x80\0\0\0\0", 6)));
  std::string fragments;
  for (int i = 0; i < 20; ++i) {
    std::string piece;
    append_websocket_frame(piece, WebSocketOpcode::kText, std::string(100, 'x'), 1);
    piece[0] = static_cast<char>(i == 0 ? 0x01 : 0x00);
    fragments += piece;
  }
  CHECK(refuse(fragments));
}

TEST_CASE("websocket noise never does more than end the connection") {
  std::mt19937 random(2);
  for (int round = 0; round < 10'000; ++round) {
    WebSocketReader reader(4096);
    Messages log;
    std::string bytes;
    append_websocket_frame(bytes, WebSocketOpcode::kBinary, std::string(random() % 300, 'a'),
                           static_cast<uint32_t>(random() | 1));
    append_websocket_frame(bytes, WebSocketOpcode::kText, "b", static_cast<uint32_t>(random() | 1));
    for (int flips = 0; flips < 3; ++flips)
      bytes[random() % std::min<size_t>(bytes.size(), 20)] = static_cast<char>(random());
    (void)reader.feed(bytes, log);
  }
  SUCCEED();
}

namespace {
Grant grant_of(const std::string& id) {
  Grant grant;
  grant.target.container_id = id;
  return grant;
}
}  // namespace

TEST_CASE("a token is long, random, and good for one use with its own verb") {
  Tokens tokens;
  const std::string token = tokens.issue(grant_of("c1")).value();
  CHECK(token.size() == 64);
  CHECK(token != tokens.issue({Verb::kExec, {}}).value());
  CHECK_FALSE(tokens.redeem(Verb::kExec, token.substr(0, 63)).has_value());
  CHECK_FALSE(tokens.redeem(Verb::kExec, "").has_value());
  const auto grant = tokens.redeem(Verb::kExec, token);
  REQUIRE(grant.has_value());
  CHECK(grant->target.container_id == "c1");
  CHECK_FALSE(tokens.redeem(Verb::kExec, token).has_value());
}

TEST_CASE("a token tried with another verb is refused and used up") {
  Tokens tokens;
  const std::string token = tokens.issue({Verb::kExec, {}}).value();
  CHECK_FALSE(tokens.redeem(Verb::kAttach, token).has_value());
  CHECK_FALSE(tokens.redeem(Verb::kExec, token).has_value());
}

TEST_CASE("tokens expire, and only so many wait at a time") {
  Tokens tokens(std::chrono::milliseconds(50), 3);
  const std::string token = tokens.issue({}).value();
  REQUIRE(tokens.issue({}).has_value());
  REQUIRE(tokens.issue({}).has_value());
  const auto surplus = tokens.issue({});
  REQUIRE_FALSE(surplus.has_value());
  CHECK(surplus.error().code() == Code::kResourceExhausted);
  std::this_thread::sleep_for(std::chrono::milliseconds(80));
  CHECK_FALSE(tokens.redeem(Verb::kExec, token).has_value());
  CHECK(tokens.issue({}).has_value());
}

TEST_CASE("a request head gives verb, token, protocols and the bytes behind it") {
  const auto request = parse_request(
      "POST /attach/abc HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, upgrade\r\nUpgrade: spdy/3.1\r\nContent-Length: "
      "0\r\n"
      "X-Stream-Protocol-Version: v5.channel.k8s.io\r\nX-Stream-Protocol-Version: v4.channel.k8s.io, "
      "channel.k8s.io\r\n\r\n\x80\x03");
  REQUIRE(request.has_value());
  CHECK(request->verb == Verb::kAttach);
  CHECK(request->token == "abc");
  CHECK_FALSE(request->websocket);
  CHECK(request->stream_protocols ==
        std::vector<std::string>{"v5.channel.k8s.io", "v4.channel.k8s.io", "channel.k8s.io"});
  CHECK(request->rest == "\x80\x03");
  CHECK(negotiate(request->stream_protocols, {"v4.channel.k8s.io", "channel.k8s.io"}) == "v4.channel.k8s.io");
  CHECK_FALSE(negotiate({"v9"}, {"v4.channel.k8s.io"}).has_value());
}

TEST_CASE("request heads that ask for anything else are refused with the right status") {
  const auto status = [](const std::string& line, const std::string& headers) {
    const auto request = parse_request(line + "\r\n" + headers + "\r\n");
    return request ? 101 : request.error().status;
  };
  const std::string upgrade = "Connection: Upgrade\r\nUpgrade: SPDY/3.1\r\n";
  CHECK(status("GET /exec/t HTTP/1.1", upgrade) == 101);
  CHECK(status("PUT /exec/t HTTP/1.1", upgrade) == 405);
  CHECK(status("GET /exec/t HTTP/1.0", upgrade) == 505);
  CHECK(status("GET /exec/ HTTP/1.1", upgrade) == 404);
  CHECK(status("GET /exec HTTP/1.1", upgrade) == 404);
  CHECK(status("GET //exec/t HTTP/1.1", upgrade) == 404);
  CHECK(status("GET /exec/t/ HTTP/1.1", upgrade) == 404);
  CHECK(status("GET /Exec/t HTTP/1.1", upgrade) == 404);
  CHECK(status("GET /other/t HTTP/1.1", upgrade) == 404);
  CHECK(status("GET http://h/exec/t HTTP/1.1", upgrade) == 404);
  CHECK(status("GET /exec/t HTTP/1.1", "") == 400);
  CHECK(status("GET /exec/t HTTP/1.1", "Connection: Upgrade\r\nUpgrade: h2c\r\n") == 400);
  CHECK(status("POST /exec/t HTTP/1.1", upgrade + "Content-Length: 5\r\n") == 400);
  CHECK(status("POST /exec/t HTTP/1.1", upgrade + "Transfer-Encoding: chunked\r\n") == 400);
  CHECK(status("GET /exec/t HTTP/1.1", "Connection: Upgrade\r\nUpgrade: websocket\r\n") == 400);
  CHECK(status("GET /exec/t HTTP/1.1",
               "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: k\r\nSec-WebSocket-Version: 13\r\n") ==
        101);
  CHECK(status("nonsense", "") == 400);
}
