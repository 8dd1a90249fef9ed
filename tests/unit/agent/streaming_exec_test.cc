// SPDX-License-Identifier: Apache-2.0
// Exec and attach over SPDY and WebSocket, with local processes.
#include "tests/unit/agent/streaming_clients.h"

using namespace berth;
using namespace berth::tests;

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
  client.send(client.resize, R"(3,"Height":45})"
                             "\n");
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

TEST_CASE("SPDY exec: the last words of a process arrive although the client has been chatting all the time") {
  Rig rig;
  for (int i = 0; i < 10; ++i) {
    SpdyExec client(rig.exec({"sh", "-c", "sleep 0.2; echo late"}, "o"), "o");
    std::atomic<bool> over = false;
    std::thread chat([&] {
      std::string out;
      SpdyWriter writer(out);
      for (uint32_t id = 1; !over; id += 2) {
        writer.ping(id);
        if (!sys::write_all(client.wire.socket.get(), out)) break;
        out.clear();
      }
    });
    client.run([&] { return client.goaway; });
    over = true;
    chat.join();
    REQUIRE(client.data[client.output] == "late\n");
  }
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
