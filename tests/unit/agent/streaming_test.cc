// SPDX-License-Identifier: Apache-2.0
// The streaming server on loopback: urls, tokens, upgrades, crowds. (Real clients — k8s.io/client-go over SPDY,
// WebSocket and the tunnel — were run against it too.)
#include "tests/unit/agent/streaming_clients.h"

using namespace berth;
using namespace berth::tests;

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
  const std::string changed =
      concat(other.substr(0, other.find("/exec/")), "/attach/", other.substr(other.find("/exec/") + 6));
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

TEST_CASE("a client that leaves releases the session, its thread and its descriptors") {
  Rig rig;
  {
    SpdyExec(rig.exec({"true"}, "o"), "o").run();
  }
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
