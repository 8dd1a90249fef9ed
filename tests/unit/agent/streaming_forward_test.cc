// SPDX-License-Identifier: Apache-2.0
// Port-forwarding over SPDY, through the WebSocket tunnel, and over plain WebSocket.
#include "tests/unit/agent/streaming_clients.h"

using namespace berth;
using namespace berth::tests;

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
  {
    closed = TcpServer([](int) {}).port;
  }
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
