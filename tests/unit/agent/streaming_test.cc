// SPDX-License-Identifier: Apache-2.0
// The streaming server on loopback with local processes behind it, spoken to by small clients of the test's own. (Real
// clients — k8s.io/client-go over SPDY, WebSocket and the tunnel — were run against it too.)
#include <algorithm>
#include <chrono>
#include <dirent.h>
#include <thread>

#include "agent/streaming/server.h"
#include "agent/streaming/spdy_frames.h"
#include "agent/streaming/websocket_frames.h"
#include "runtime/base/log.h"
#include "runtime/base/strings.h"
#include "runtime/sys/file.h"
#include "tests/support/catch.h"
#include "tests/unit/agent/local_engine.h"

using namespace berth;
using namespace berth::streaming;
using namespace std::chrono_literals;

namespace {

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
  tests::LocalEngine engine;
  std::unique_ptr<Server> server;
};

Fd connect_to(uint16_t port) {
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

uint16_t port_of(const std::string& url) {
  REQUIRE(url.starts_with("http://127.0.0.1:"));
  return static_cast<uint16_t>(std::stoi(url.substr(17)));
}
std::string path_of(const std::string& url) { return url.substr(url.find('/', 17)); }

// recv(2) with a timeout set is not restarted after a signal, such as that of a child's end.
ssize_t receive(int fd, char* buffer, size_t size) {
  ssize_t n = 0;
  do n = ::recv(fd, buffer, size, 0);
  while (n < 0 && errno == EINTR);
  return n;
}

// A connection after its HTTP exchange.
struct Wire {
  Wire(const std::string& url, const std::string& headers, const std::string& method = "POST") : socket(connect_to(port_of(url))) {
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

std::string spdy_headers(const std::string& protocol = "v4.channel.k8s.io") {
  return "Connection: Upgrade\r\nUpgrade: SPDY/3.1\r\nX-Stream-Protocol-Version: " + protocol + "\r\n";
}

struct SpdyClient : SpdyEvents {
  explicit SpdyClient(const std::string& url, const std::string& protocol = "v4.channel.k8s.io") : wire(url, spdy_headers(protocol)) {}
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
  SpdyExec(const std::string& url, std::string_view flags, const std::string& protocol = "v4.channel.k8s.io") : SpdyClient(url, protocol) {
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
             "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n" +
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
      case 8: closed = true; close_code = byte(header) << 8 | byte(header + 1); break;
      case 10: pongs.push_back(payload); break;
      default: messages.push_back(payload);
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

bool eventually(const std::function<bool()>& condition) {
  for (int i = 0; i < 1000; ++i) {
    if (condition()) return true;
    std::this_thread::sleep_for(5ms);
  }
  return false;
}

size_t count_entries(const char* path) { return sys::list_directory(path).value().size(); }

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

std::string read_to_end(int fd) {
  std::string text;
  char buffer[65536];
  for (ssize_t n; (n = receive(fd, buffer, sizeof buffer)) > 0;) text.append(buffer, static_cast<size_t>(n));
  return text;
}

constexpr std::string_view kSuccess = R"({"metadata":{},"status":"Success"})";

}  // namespace

TEST_CASE("urls are made only for requests that make sense") {
  Rig rig;
  const auto code = [](const auto& result) { return result ? Code::kUnknown : result.error().code(); };
  CHECK(code(rig.server->exec_url(Rig::target({"true"}, "oet"))) == Code::kInvalidArgument);
  CHECK(code(rig.server->exec_url(Rig::target({"true"}, ""))) == Code::kInvalidArgument);
  CHECK(code(rig.server->exec_url(Rig::target({}, "o"))) == Code::kInvalidArgument);
  CHECK(code(rig.server->attach_url(Rig::target({}, ""))) == Code::kInvalidArgument);
  CHECK(code(rig.server->port_forward_url("")) == Code::kInvalidArgument);
  CHECK(code(rig.server->port_forward_url("nobody")) == Code::kNotFound);
  auto target = Rig::target({"true"}, "o");
  target.container_id = "nobody";
  CHECK(code(rig.server->exec_url(target)) == Code::kNotFound);
  target.container_id = "stopped";
  CHECK(code(rig.server->exec_url(target)) == Code::kFailedPrecondition);
  CHECK(rig.exec({"true"}).starts_with("http://127.0.0.1:"));
}

TEST_CASE("only loopback addresses are served") {
  tests::LocalEngine engine;
  CHECK(Server::start({.address = "0.0.0.0", .port = 0}, engine).error().code() == Code::kInvalidArgument);
  CHECK(Server::start({.address = "example", .port = 0}, engine).error().code() == Code::kInvalidArgument);
}

TEST_CASE("more than 1000 outstanding tokens are refused") {
  Rig rig;
  for (int i = 0; i < 1000; ++i) REQUIRE(rig.server->port_forward_url("p1").has_value());
  CHECK(rig.server->port_forward_url("p1").error().code() == Code::kResourceExhausted);
}

TEST_CASE("a token serves one request of its verb; replay, guess and other verb get 404") {
  Rig rig;
  const std::string url = rig.exec({"true"}, "o");
  {
    SpdyExec client(url, "o");
    client.run();
    CHECK(client.data[client.error] == kSuccess);
  }
  CHECK(Wire(url, spdy_headers()).status == 404);
  std::string other = rig.exec({"true"}, "o");
  const std::string changed = concat(other.substr(0, other.find("/exec/")), "/attach/", other.substr(other.find("/exec/") + 6));
  CHECK(Wire(changed, spdy_headers()).status == 404);
  CHECK(Wire(other, spdy_headers()).status == 404);
  other.back() = other.back() == '0' ? '1' : '0';
  CHECK(Wire(other, spdy_headers()).status == 404);
  CHECK(rig.engine.execs == 1);
}

TEST_CASE("tokens are not logged") {
  Rig rig;
  auto pipe = sys::make_pipe(O_NONBLOCK).value();
  set_log_fd(pipe.second.get());
  set_log_level(LogLevel::kDebug);
  const std::string url = rig.exec({"true"}, "o");
  {
    SpdyExec client(url, "o");
    client.run();
  }
  Wire replay(url, spdy_headers());
  rig.server.reset();
  set_log_fd(2);
  set_log_level(LogLevel::kInfo);
  char buffer[65536];
  const ssize_t n = ::read(pipe.first.get(), buffer, sizeof buffer);
  REQUIRE(n > 0);
  const std::string text(buffer, static_cast<size_t>(n));
  CHECK(text.find("session ended") != text.npos);
  CHECK(text.find(url.substr(url.rfind('/') + 1)) == text.npos);
}

TEST_CASE("upgrades without a common protocol are refused with the server's list") {
  Rig rig;
  Wire wire(rig.exec({"true"}), spdy_headers("v9.channel.k8s.io"));
  CHECK(wire.status == 403);
  CHECK(wire.head.find("X-Accepted-Stream-Protocol-Versions: v4.channel.k8s.io") != wire.head.npos);
  CHECK(Wire(rig.exec({"true"}), "Connection: Upgrade\r\nUpgrade: SPDY/3.1\r\n").status == 400);
}

TEST_CASE("the first of the client's protocols that SPDY knows is chosen") {
  Rig rig;
  SpdyExec client(rig.exec({"true"}, "o"), "o", "v5.channel.k8s.io, v4.channel.k8s.io, v3.channel.k8s.io");
  CHECK(client.wire.head.find("X-Stream-Protocol-Version: v4.channel.k8s.io\r\n") != std::string::npos);
  client.run();
}

TEST_CASE("SPDY exec: output, errors, success, and the end of every stream") {
  Rig rig;
  SpdyExec client(rig.exec({"sh", "-c", "echo out; echo err >&2"}), "oe");
  client.run();
  CHECK(client.replied == std::vector<uint32_t>{1, 3, 5});
  CHECK(client.data[client.output] == "out\n");
  CHECK(client.data[client.errors] == "err\n");
  CHECK(client.data[client.error] == kSuccess);
  REQUIRE(client.finished.size() == 3);
  CHECK(client.finished.back() == client.error);
  CHECK(client.goaway);
}

TEST_CASE("SPDY exec: the exit code is in the status") {
  Rig rig;
  SpdyExec client(rig.exec({"sh", "-c", "exit 3"}), "oe");
  client.run();
  const std::string& status = client.data[client.error];
  CHECK(status.find(R"("reason":"NonZeroExitCode")") != status.npos);
  CHECK(status.find(R"("causes":[{"reason":"ExitCode","message":"3"}])") != status.npos);
}

TEST_CASE("SPDY exec: older protocols say failures in plain text and success in none") {
  Rig rig;
  {
    SpdyExec client(rig.exec({"true"}, "o"), "o", "v2.channel.k8s.io");
    client.run();
    CHECK(client.data[client.error].empty());
    CHECK(client.is_finished(client.error));
  }
  SpdyExec client(rig.exec({"sh", "-c", "exit 4"}, "o"), "o", "channel.k8s.io");
  client.run();
  CHECK(client.data[client.error] == "command terminated with non-zero exit code: exit code 4");
}

TEST_CASE("SPDY exec: what cannot start is an internal error with the cause") {
  Rig rig;
  SpdyExec client(rig.exec({"missing"}), "oe");
  client.run();
  const std::string& status = client.data[client.error];
  CHECK(status.find(R"("reason":"InternalError")") != status.npos);
  CHECK(status.find(R"("code":500)") != status.npos);
  CHECK(status.find(R"(exec \"missing\": no such file or directory)") != status.npos);
}

TEST_CASE("SPDY exec: stdin is written and its end closes the process's stdin") {
  Rig rig;
  SpdyExec client(rig.exec({"cat"}, "io"), "io");
  client.send(client.in, "hello ");
  client.send(client.in, "world", true);
  client.run();
  CHECK(client.data[client.output] == "hello world");
  CHECK(client.data[client.error] == kSuccess);
}

TEST_CASE("SPDY exec: the process starts only when every stream is there") {
  Rig rig;
  SpdyClient client(rig.exec({"echo", "hi"}, "oe"));
  client.open({{"streamtype", "error"}});
  const uint32_t output = client.open({{"streamtype", "stdout"}});
  std::this_thread::sleep_for(200ms);
  CHECK(rig.engine.execs == 0);
  client.open({{"streamtype", "stderr"}});
  client.run();
  CHECK(client.data[output] == "hi\n");
}

TEST_CASE("SPDY exec: unknown and doubled streams are refused, the others go on") {
  Rig rig;
  SpdyClient client(rig.exec({"echo", "hi"}, "o"));
  const uint32_t strange = client.open({{"streamtype", "strange"}});
  client.open({{"streamtype", "error"}});
  const uint32_t twice = client.open({{"streamtype", "error"}});
  const uint32_t output = client.open({{"streamtype", "stdout"}});
  client.run();
  CHECK(client.resets == std::vector<uint32_t>{strange, twice});
  CHECK(client.data[output] == "hi\n");
}

TEST_CASE("SPDY exec: the process's exit ends the session while the client's stdin is open") {
  Rig rig;
  SpdyExec client(rig.exec({"sh", "-c", "echo done"}, "io"), "io");
  const auto begun = std::chrono::steady_clock::now();
  client.run();
  CHECK(std::chrono::steady_clock::now() - begun < 3s);
  CHECK(client.data[client.output] == "done\n");
  CHECK(client.data[client.error] == kSuccess);
}

TEST_CASE("SPDY exec: a child left behind with the output does not hold the session") {
  Rig rig;
  SpdyExec client(rig.exec({"sh", "-c", "echo before; sleep 5 & exit 7"}, "o"), "o");
  const auto begun = std::chrono::steady_clock::now();
  client.run();
  CHECK(std::chrono::steady_clock::now() - begun < 2s);
  CHECK(client.data[client.output] == "before\n");
  CHECK(client.data[client.error].find("\"message\":\"7\"") != std::string::npos);
}

TEST_CASE("SPDY exec: megabytes come through whole, to a client that is slow to read") {
  Rig rig;
  SpdyExec client(rig.exec({"sh", "-c", "head -c 5000000 /dev/zero | tr '\\0' x"}, "o"), "o");
  std::this_thread::sleep_for(500ms);
  client.run();
  CHECK(client.data[client.output] == std::string(5'000'000, 'x'));
  CHECK(client.data[client.error] == kSuccess);
}

TEST_CASE("SPDY exec: stdin that nobody reads does not stop the output") {
  Rig rig;
  SpdyExec client(rig.exec({"sh", "-c", "exec <&-; sleep 0.3; echo alive"}, "io"), "io");
  std::thread writer([&] {
    for (int i = 0; i < 40; ++i) {
      std::string out;
      SpdyWriter(out).data(client.in, std::string(32768, 'i'));
      if (!sys::write_all(client.wire.socket.get(), out)) break;
    }
  });
  client.run();
  writer.join();
  CHECK(client.data[client.output] == "alive\n");
}

TEST_CASE("SPDY exec with a terminal: one stream, sizes, and the exit") {
  Rig rig;
  SpdyExec client(rig.exec({"sh", "-c", "sleep 0.2; stty size; tty; read x; echo got $x"}, "iot"), "iot");
  client.send(client.resize, R"({"Width":12)");
  client.send(client.resize, R"(3,"Height":45})" "\n");
  client.send(client.in, "word\n");
  client.run();
  const std::string& text = client.data[client.output];
  CHECK(text.find("45 123\r\n") != text.npos);
  CHECK(text.find("/dev/pts/") != text.npos);
  CHECK(text.find("got word\r\n") != text.npos);
  CHECK(client.data[client.error] == kSuccess);
}

TEST_CASE("SPDY exec: pings are answered while the process runs") {
  Rig rig;
  SpdyExec client(rig.exec({"sleep", "1"}, "o"), "o");
  client.writer.ping(1);
  client.flush();
  const auto begun = std::chrono::steady_clock::now();
  client.run([&] { return !client.pings.empty(); });
  CHECK(std::chrono::steady_clock::now() - begun < 800ms);
  client.run();
  CHECK(client.data[client.error] == kSuccess);
}

TEST_CASE("a client that leaves releases the session, its thread and its descriptors") {
  Rig rig;
  { SpdyExec(rig.exec({"true"}, "o"), "o").run(); }
  REQUIRE(eventually([&] { return rig.engine.sessions_alive == 0; }));
  std::this_thread::sleep_for(50ms);
  const size_t threads = count_entries("/proc/self/task");
  const size_t fds = count_entries("/proc/self/fd");
  for (int i = 0; i < 100; ++i) {
    SpdyExec client(rig.exec({"sleep", "100"}, "io"), "io");
    if (i % 2 == 0) REQUIRE(eventually([&] { return rig.engine.sessions_alive > 0; }));
  }
  for (int i = 0; i < 50; ++i) SpdyExec(rig.exec({"missing"}, "iot"), "iot");
  CHECK(eventually([&] { return rig.engine.sessions_alive == 0; }));
  CHECK(eventually([&] { return count_entries("/proc/self/task") <= threads; }));
  CHECK(eventually([&] { return count_entries("/proc/self/fd") <= fds; }));
}

TEST_CASE("garbage after the upgrade ends the connection only") {
  Rig rig;
  {
    SpdyClient client(rig.exec({"true"}, "o"));
    client.wire.write(std::string(1000, '\xff'));
    std::string bytes;
    CHECK_FALSE(client.wire.read(bytes));
  }
  CHECK(rig.engine.execs == 0);
  SpdyExec client(rig.exec({"echo", "fine"}, "o"), "o");
  client.run();
  CHECK(client.data[client.output] == "fine\n");
}

TEST_CASE("half-open connections do not keep others out") {
  Rig rig;
  const std::string url = rig.exec({"echo", "through"}, "o");
  std::vector<Fd> idle;
  for (int i = 0; i < 700; ++i) idle.push_back(connect_to(port_of(url)));
  SpdyExec client(url, "o");
  client.run();
  CHECK(client.data[client.output] == "through\n");
}

TEST_CASE("a request head that is too large or malformed is refused") {
  Rig rig;
  const std::string url = rig.exec({"true"});
  CHECK(Wire(url, "X: " + std::string(20'000, 'x') + "\r\n").status == 431);
  CHECK(Wire(url, "no colon\r\n").status == 400);
  CHECK(Wire(url, spdy_headers()).status == 101);
}

TEST_CASE("ending the server ends its sessions") {
  Rig rig;
  SpdyExec client(rig.exec({"sleep", "100"}, "o"), "o");
  REQUIRE(eventually([&] { return rig.engine.sessions_alive == 1; }));
  const auto begun = std::chrono::steady_clock::now();
  rig.server.reset();
  CHECK(std::chrono::steady_clock::now() - begun < 3s);
  CHECK(rig.engine.sessions_alive == 0);
}

TEST_CASE("attach: input goes in, output comes out, the end of the output ends it") {
  Rig rig;
  auto in = sys::make_pipe().value();
  auto out = sys::make_pipe().value();
  rig.engine.attach_streams.stdin_writer = std::move(in.second);
  rig.engine.attach_streams.stdout_reader = std::move(out.first);
  SpdyExec client(rig.attach("io"), "io");
  client.send(client.in, "echo hello\n");
  char text[64];
  const ssize_t n = ::read(in.first.get(), text, sizeof text);
  CHECK(std::string(text, static_cast<size_t>(std::max<ssize_t>(n, 0))) == "echo hello\n");
  REQUIRE(sys::write_all(out.second.get(), "hello\n"));
  client.run([&] { return !client.data[client.output].empty(); });
  client.send(client.in, {}, true);
  CHECK(::read(in.first.get(), text, sizeof text) == 0);
  out.second.reset();
  client.run();
  CHECK(client.data[client.output] == "hello\n");
  CHECK(client.data[client.error] == kSuccess);
}

TEST_CASE("attach to stdin alone ends when the container has gone") {
  Rig rig;
  auto in = sys::make_pipe().value();
  rig.engine.attach_streams.stdin_writer = std::move(in.second);
  SpdyExec client(rig.attach("i"), "i");
  in.first.reset();
  client.run();
  CHECK(client.data[client.error] == kSuccess);
}

TEST_CASE("WebSocket exec v5: a first empty message, output, half close, status, close 1000") {
  Rig rig;
  SocketClient client(rig.exec({"cat"}, "io"), "v5.channel.k8s.io");
  REQUIRE(client.wire.status == 101);
  CHECK(client.wire.head.find("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n") != std::string::npos);
  CHECK(client.wire.head.find("Sec-WebSocket-Protocol: v5.channel.k8s.io\r\n") != std::string::npos);
  client.send(std::string("\0hello", 6));
  client.send("now", WebSocketOpcode::kPing);
  client.send(std::string("\xff\0", 2));
  client.run();
  REQUIRE_FALSE(client.messages.empty());
  CHECK(client.messages[0] == "\1");
  CHECK(client.channel('\1') == "hello");
  CHECK(client.channel('\3') == kSuccess);
  CHECK(client.pongs == std::vector<std::string>{"now"});
  CHECK(client.close_code == 1000);
}

TEST_CASE("WebSocket exec v4 keeps stderr apart and knows no half close") {
  Rig rig;
  SocketClient client(rig.exec({"sh", "-c", "echo o; echo e >&2; exit 2"}, "ioe"), "v4.channel.k8s.io");
  client.send(std::string("\xff\0", 2));
  client.run();
  CHECK(client.channel('\1') == "o\n");
  CHECK(client.channel('\2') == "e\n");
  CHECK(client.channel('\3').find("\"message\":\"2\"") != std::string::npos);
}

TEST_CASE("WebSocket exec in base64, and with no subprotocol at all") {
  Rig rig;
  {
    SocketClient client(rig.exec({"head", "-c", "5"}, "io"), "v4.base64.channel.k8s.io");
    client.send("0" + base64_encode("hello"), WebSocketOpcode::kText);
    client.run();
    CHECK(client.messages[0] == "1");
    CHECK(base64_decode(client.channel('1')).value() == "hello");
    CHECK(base64_decode(client.channel('3')).value() == kSuccess);
  }
  SocketClient client(rig.exec({"echo", "plain"}, "o"), "");
  CHECK(client.wire.head.find("Sec-WebSocket-Protocol") == std::string::npos);
  client.run();
  CHECK(client.channel('\1') == "plain\n");
  CHECK(client.channel('\3').empty());
}

TEST_CASE("WebSocket exec with a terminal is resized by channel 4") {
  Rig rig;
  SocketClient client(rig.exec({"sh", "-c", "sleep 0.2; stty size"}, "iot"), "v5.channel.k8s.io");
  client.send("\4{\"Width\":99,\"Height\":33}");
  client.run();
  CHECK(client.channel('\1') == "33 99\r\n");
}

TEST_CASE("port-forward: pairs by request id and by stream id, half closes, many at once") {
  Rig rig;
  TcpServer server([](int socket) {
    const std::string text = read_to_end(socket);
    (void)sys::write_all(socket, "got " + text);
  });
  SpdyClient client(rig.server->port_forward_url("p1").value(), "portforward.k8s.io");
  REQUIRE(client.wire.status == 101);
  const std::string port = std::to_string(server.port);
  std::vector<std::pair<uint32_t, uint32_t>> pairs;
  for (int i = 0; i < 30; ++i) {
    SpdyHeaders error{{"streamtype", "error"}, {"port", port}}, data{{"streamtype", "data"}, {"port", port}};
    if (i % 2 == 0) {
      error.emplace_back("requestid", std::to_string(i));
      data.emplace_back("requestid", std::to_string(i));
    }
    const uint32_t error_id = client.open(error);
    pairs.emplace_back(error_id, client.open(data));
    client.send(error_id, {}, true);
  }
  for (const auto& [error, data] : pairs) client.send(data, "number " + std::to_string(data), true);
  client.run([&] { return client.finished.size() >= 60; });
  for (const auto& [error, data] : pairs) {
    CHECK(client.data[data] == "got number " + std::to_string(data));
    CHECK(client.data[error].empty());
  }
}

TEST_CASE("port-forward: a refused port is told on the error stream, the connection goes on") {
  Rig rig;
  TcpServer server([](int socket) { (void)sys::write_all(socket, "hi"); });
  uint16_t closed = 0;
  { closed = TcpServer([](int) {}).port; }
  SpdyClient client(rig.server->port_forward_url("p1").value(), "portforward.k8s.io");
  const auto open = [&](uint16_t port, const std::string& id) {
    const uint32_t error = client.open({{"streamtype", "error"}, {"port", std::to_string(port)}, {"requestid", id}});
    return std::pair(error, client.open({{"streamtype", "data"}, {"port", std::to_string(port)}, {"requestid", id}}));
  };
  const auto [bad_error, bad_data] = open(closed, "1");
  client.run([&] { return client.finished.size() >= 2; });
  CHECK(client.data[bad_error].find("error forwarding port " + std::to_string(closed)) == 0);
  const auto [error, data] = open(server.port, "2");
  client.run([&] { return client.finished.size() >= 4; });
  CHECK(client.data[data] == "hi");
  CHECK(client.data[error].empty());
}

TEST_CASE("port-forward: streams without a proper port or type are refused") {
  Rig rig;
  SpdyClient client(rig.server->port_forward_url("p1").value(), "portforward.k8s.io");
  client.open({{"streamtype", "data"}});
  client.open({{"streamtype", "data"}, {"port", "0"}});
  client.open({{"streamtype", "data"}, {"port", "65536"}});
  client.open({{"streamtype", "data"}, {"port", "-1"}});
  client.open({{"streamtype", "stdin"}, {"port", "80"}});
  client.run([&] { return client.resets.size() >= 5; });
  CHECK(client.resets == std::vector<uint32_t>{1, 3, 5, 7, 9});
  CHECK(client.replied.empty());
}

TEST_CASE("port-forward through the WebSocket tunnel carries SPDY in binary messages") {
  Rig rig;
  TcpServer server([](int socket) { (void)sys::write_all(socket, "tunnelled"); });
  SocketClient client(rig.server->port_forward_url("p1").value(), "SPDY/3.1+portforward.k8s.io");
  REQUIRE(client.wire.status == 101);
  std::string out;
  SpdyWriter writer(out);
  const std::string port = std::to_string(server.port);
  writer.syn_stream(1, {{"streamtype", "error"}, {"port", port}, {"requestid", "0"}});
  writer.syn_stream(3, {{"streamtype", "data"}, {"port", port}, {"requestid", "0"}});
  // The boundaries of messages mean nothing.
  client.send(out.substr(0, 11));
  client.send(out.substr(11));
  const auto text = [&] {
    std::string all;
    for (const auto& message : client.messages) all += message;
    return all;
  };
  client.run([&] { return text().find("tunnelled") != std::string::npos; });
  CHECK(text().find("tunnelled") != std::string::npos);
}

TEST_CASE("port-forward over plain WebSocket: a port per pair of channels, announced little-endian") {
  Rig rig;
  TcpServer server([](int socket) { (void)sys::write_all(socket, "legacy"); });
  const std::string url = rig.server->port_forward_url("p1").value() + "?port=" + std::to_string(server.port);
  SocketClient client(url, "v4.channel.k8s.io");
  REQUIRE(client.wire.status == 101);
  client.run();
  const std::string port = {static_cast<char>(server.port & 0xff), static_cast<char>(server.port >> 8)};
  CHECK(client.channel('\0') == port + "legacy");
  CHECK(client.channel('\1') == port);
  CHECK(client.close_code == 1000);
  CHECK(SocketClient(rig.server->port_forward_url("p1").value(), "v4.channel.k8s.io").wire.status == 400);
  CHECK(SocketClient(rig.server->port_forward_url("p1").value() + "?port=x", "v4.channel.k8s.io").wire.status == 400);
}
