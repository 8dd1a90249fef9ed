// SPDX-License-Identifier: Apache-2.0
// Small clients of the streaming server: SPDY, WebSocket, and a TCP server to forward to. Header only, for the tests.
#pragma once

#include <algorithm>
#include <chrono>
#include <thread>

#include "agent/streaming/server.h"
#include "agent/streaming/spdy_frames.h"
#include "agent/streaming/websocket_frames.h"
#include "runtime/base/log.h"
#include "runtime/base/strings.h"
#include "runtime/sys/file.h"
#include "tests/support/catch.h"
#include "tests/unit/agent/local_engine.h"

namespace berth::tests {

using namespace berth::streaming;
using namespace std::chrono_literals;

struct Rig {
  Rig() { server = Server::start({}, engine).value(); }
  std::string exec(std::vector<std::string> command, std::string_view flags = "oe") {
    return server->exec_url(target(std::move(command), flags)).value();
  }
  std::string attach(std::string_view flags) { return server->attach_url(target({}, flags)).value(); }
  static ExecTarget target(std::vector<std::string> command, std::string_view flags) {
    ExecTarget t;
    t.container_id = "c1";
    t.command = std::move(command);
    t.open_stdin = flags.find('i') != flags.npos;
    t.open_stdout = flags.find('o') != flags.npos;
    t.open_stderr = flags.find('e') != flags.npos;
    t.terminal = flags.find('t') != flags.npos;
    return t;
  }
  LocalEngine engine;
  std::unique_ptr<Server> server;
};

inline Fd connect_to(uint16_t port) {
  Fd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  REQUIRE(::connect(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
  const timeval patience{10, 0};
  ::setsockopt(socket.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  return socket;
}

inline uint16_t port_of(const std::string& url) {
  REQUIRE(url.starts_with("http://127.0.0.1:"));
  return static_cast<uint16_t>(std::stoi(url.substr(17)));
}
inline std::string path_of(const std::string& url) { return url.substr(url.find('/', 17)); }

// recv(2) with a timeout set is not restarted after a signal, such as that of a child's end.
inline ssize_t receive(int fd, char* buffer, size_t size) {
  ssize_t n = 0;
  do n = ::recv(fd, buffer, size, 0);
  while (n < 0 && errno == EINTR);
  return n;
}

// A connection after its HTTP exchange.
struct Wire {
  Wire(const std::string& url, const std::string& headers, const std::string& method = "POST")
      : socket(connect_to(port_of(url))) {
    write(method + " " + path_of(url) + " HTTP/1.1\r\nHost: x\r\n" + headers + "\r\n");
    while (head.find("\r\n\r\n") == head.npos) {
      char byte;
      if (receive(socket.get(), &byte, 1) != 1) break;
      head += byte;
    }
    if (head.size() > 12) status = std::stoi(head.substr(9, 3));
  }
  void write(const std::string& bytes) { REQUIRE(sys::write_all(socket.get(), bytes)); }
  // False at the end of the connection.
  bool read(std::string& bytes) {
    char buffer[65536];
    const ssize_t n = receive(socket.get(), buffer, sizeof buffer);
    bytes.assign(buffer, n > 0 ? static_cast<size_t>(n) : 0);
    return n > 0;
  }
  Fd socket;
  std::string head;
  int status = 0;
};

inline std::string spdy_headers(const std::string& protocol = "v4.channel.k8s.io") {
  return "Connection: Upgrade\r\nUpgrade: SPDY/3.1\r\nX-Stream-Protocol-Version: " + protocol + "\r\n";
}

struct SpdyClient : SpdyEvents {
  explicit SpdyClient(const std::string& url, const std::string& protocol = "v4.channel.k8s.io")
      : wire(url, spdy_headers(protocol)) {}
  uint32_t open(const SpdyHeaders& headers) {
    const uint32_t id = next;
    next += 2;
    writer.syn_stream(id, headers);
    flush();
    return id;
  }
  void flush() {
    wire.write(out);
    out.clear();
  }
  void send(uint32_t id, std::string_view bytes, bool fin = false) {
    writer.data(id, bytes, fin);
    flush();
  }
  // Reads until the connection ends or `done`.
  void run(const std::function<bool()>& done = [] { return false; }) {
    std::string bytes;
    while (!done() && wire.read(bytes)) REQUIRE(reader.feed(bytes, *this));
  }
  Result<> on_syn_stream(uint32_t, bool, SpdyHeaders) override { return {}; }
  Result<> on_syn_reply(uint32_t id, bool, SpdyHeaders) override {
    replied.push_back(id);
    return {};
  }
  Result<> on_headers(uint32_t, bool, SpdyHeaders) override { return {}; }
  Result<> on_data(uint32_t id, std::string_view bytes, bool fin) override {
    data[id] += bytes;
    if (fin) finished.push_back(id);
    return {};
  }
  Result<> on_reset(uint32_t id, uint32_t) override {
    resets.push_back(id);
    return {};
  }
  Result<> on_ping(uint32_t id) override {
    pings.push_back(id);
    return {};
  }
  Result<> on_goaway() override {
    goaway = true;
    return {};
  }
  bool is_finished(uint32_t id) const { return std::ranges::find(finished, id) != finished.end(); }

  Wire wire;
  std::string out;
  SpdyWriter writer{out};
  SpdyReader reader;
  uint32_t next = 1;
  std::map<uint32_t, std::string> data;
  std::vector<uint32_t> replied, finished, resets, pings;
  bool goaway = false;
};

// An exec client over SPDY with the streams of `flags`.
struct SpdyExec : SpdyClient {
  SpdyExec(const std::string& url, std::string_view flags, const std::string& protocol = "v4.channel.k8s.io")
      : SpdyClient(url, protocol) {
    REQUIRE(wire.status == 101);
    error = open({{"streamtype", "error"}});
    if (flags.find('i') != flags.npos) in = open({{"streamtype", "stdin"}});
    if (flags.find('o') != flags.npos) output = open({{"streamtype", "stdout"}});
    if (flags.find('e') != flags.npos) errors = open({{"streamtype", "stderr"}});
    if (flags.find('t') != flags.npos) resize = open({{"streamtype", "resize"}});
  }
  uint32_t error = 0, in = 0, output = 0, errors = 0, resize = 0;
};

struct SocketClient : WebSocketEvents {
  SocketClient(const std::string& url, const std::string& protocol)
      : wire(url,
             "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: "
             "dGhlIHNhbXBsZSBub25jZQ==\r\n" +
                 (protocol.empty() ? "" : "Sec-WebSocket-Protocol: " + protocol + "\r\n"),
             "GET") {}
  void send(const std::string& payload, WebSocketOpcode opcode = WebSocketOpcode::kBinary) {
    std::string bytes;
    append_websocket_frame(bytes, opcode, payload, 0x01020304);
    wire.write(bytes);
  }
  // The server's frames are not masked: masked anew for the reader, which is the server's own.
  void run(const std::function<bool()>& done = [] { return false; }) {
    std::string bytes;
    while (!closed && !done() && wire.read(bytes)) {
      buffer += bytes;
      while (take_frame()) {
      }
    }
  }
  bool take_frame() {
    if (buffer.size() < 2) return false;
    const auto byte = [&](size_t i) { return static_cast<size_t>(static_cast<unsigned char>(buffer[i])); };
    size_t header = 2, length = byte(1);
    REQUIRE(length < 128);
    if (length == 126) header = 4;
    if (length == 127) header = 10;
    if (buffer.size() < header) return false;
    if (header > 2) {
      length = 0;
      for (size_t i = 2; i < header; ++i) length = length << 8 | byte(i);
    }
    if (buffer.size() < header + length) return false;
    const std::string payload = buffer.substr(header, length);
    switch (byte(0) & 0x0f) {
      case 8:
        closed = true;
        close_code = byte(header) << 8 | byte(header + 1);
        break;
      case 10:
        pongs.push_back(payload);
        break;
      default:
        messages.push_back(payload);
    }
    buffer.erase(0, header + length);
    return true;
  }
  Result<> on_message(std::string_view) override { return {}; }
  Result<> on_ping(std::string_view) override { return {}; }
  Result<> on_close() override { return {}; }
  std::string channel(char number) const {
    std::string text;
    for (const auto& message : messages) {
      if (!message.empty() && message[0] == number) text += message.substr(1);
    }
    return text;
  }
  Wire wire;
  std::string buffer;
  std::vector<std::string> messages, pongs;
  bool closed = false;
  size_t close_code = 0;
};

inline bool eventually(const std::function<bool()>& condition) {
  for (int i = 0; i < 1000; ++i) {
    if (condition()) return true;
    std::this_thread::sleep_for(5ms);
  }
  return false;
}

inline size_t count_entries(const char* path) { return sys::list_directory(path).value().size(); }

// Listens on loopback and answers each connection with `serve`.
struct TcpServer {
  explicit TcpServer(std::function<void(int)> serve) : listener(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    REQUIRE(::bind(listener.get(), reinterpret_cast<sockaddr*>(&address), size) == 0);
    REQUIRE(::listen(listener.get(), 64) == 0);
    ::getsockname(listener.get(), reinterpret_cast<sockaddr*>(&address), &size);
    port = ntohs(address.sin_port);
    thread = std::thread([this, serve] {
      for (;;) {
        Fd socket(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
        if (!socket) return;
        serve(socket.get());
      }
    });
  }
  ~TcpServer() {
    ::shutdown(listener.get(), SHUT_RDWR);
    thread.join();
  }
  Fd listener;
  uint16_t port = 0;
  std::thread thread;
};

inline std::string read_to_end(int fd) {
  std::string text;
  char buffer[65536];
  for (ssize_t n; (n = receive(fd, buffer, sizeof buffer)) > 0;) text.append(buffer, static_cast<size_t>(n));
  return text;
}

inline constexpr std::string_view kSuccess = R"({"metadata":{},"status":"Success"})";

}  // namespace berth::tests
