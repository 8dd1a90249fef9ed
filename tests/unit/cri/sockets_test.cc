// SPDX-License-Identifier: Apache-2.0
// Who may listen and who may speak; the end of a server.
#include "tests/unit/cri/server_rig.h"

using namespace berth;
using namespace berth::tests;

TEST_CASE("a second server is refused by the name of the socket and the first goes on") {
  Rig rig;
  cri::ServerConfig config;
  config.listen = {rig.folder.path + "/cri.sock"};
  const auto second = cri::Server::start(config, rig.runtime, rig.images);
  REQUIRE_FALSE(second.has_value());
  CHECK(second.error().code() == Code::kAlreadyExists);
  CHECK(second.error().message().find(config.listen[0]) != std::string::npos);
  grpc::ClientContext context;
  v1::VersionResponse response;
  CHECK(rig.stub->Version(&context, {}, &response).ok());
}

TEST_CASE("a stale socket is replaced, a file that is no socket is not") {
  Folder folder;
  TestRuntime runtime;
  TestImages images;
  cri::ServerConfig config;
  config.listen = {"unix://" + folder.path + "/deep/er/cri.sock"};
  const std::string path = folder.path + "/deep/er/cri.sock";
  REQUIRE(sys::make_directories(folder.path + "/deep/er"));
  REQUIRE(sys::listen_unix(path, SOCK_STREAM).has_value());
  {
    const auto server = cri::Server::start(config, runtime, images);
    REQUIRE(server.has_value());
    struct stat info{};
    REQUIRE(::stat(path.c_str(), &info) == 0);
    CHECK((info.st_mode & 0777) == 0660);
  }
  CHECK_FALSE(sys::path_exists(path));
  REQUIRE(sys::replace_file(path, "precious"));
  const auto server = cri::Server::start(config, runtime, images);
  REQUIRE_FALSE(server.has_value());
  CHECK(server.error().code() == Code::kFailedPrecondition);
  CHECK(sys::read_file(path).value() == "precious");
}

TEST_CASE("an address that is no unix socket is an invalid argument") {
  TestRuntime runtime;
  TestImages images;
  for (const char* address : {"tcp://127.0.0.1:1", "relative.sock", "unix://", ""}) {
    cri::ServerConfig config;
    config.listen = {address};
    const auto server = cri::Server::start(config, runtime, images);
    REQUIRE_FALSE(server.has_value());
    CHECK(server.error().code() == Code::kInvalidArgument);
  }
}

TEST_CASE("a peer that is neither root nor of the group is turned away even where the mode lets it in") {
  SKIP_UNLESS(::geteuid() == 0, "needs root to become another user");
  Rig rig;
  const std::string path = rig.folder.path + "/cri.sock";
  REQUIRE(::chmod(rig.folder.path.c_str(), 0755) == 0);
  REQUIRE(::chmod(path.c_str(), 0666) == 0);
  const auto ask = [&](uid_t uid, gid_t gid) {
    // A thread alone changes its credentials by the raw system calls, then connects.
    bool answered = false;
    std::thread([&] {
      ::syscall(SYS_setgroups, 0, nullptr);
      ::syscall(SYS_setresgid, gid, gid, gid);
      ::syscall(SYS_setresuid, uid, uid, uid);
      auto socket = sys::connect_unix(path, SOCK_STREAM);
      if (!socket) return;
      const std::string_view preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
      (void)sys::send_message(socket->get(), preface);
      char byte;
      answered = ::recv(socket->get(), &byte, 1, 0) == 1;
    }).join();
    return answered;
  };
  CHECK(ask(0, 0));
  CHECK_FALSE(ask(65534, 65534));
  CHECK(ask(65534, 0));
}

TEST_CASE("shutdown lets a call finish within the grace and refuses new ones") {
  Rig rig;
  auto call = std::async(std::launch::async, [&] {
    grpc::ClientContext context;
    v1::StopContainerResponse response;
    return rig.stub->StopContainer(&context, {}, &response);
  });
  REQUIRE(eventually([&] { return rig.runtime.entered == 1; }));
  auto stopped = std::async(std::launch::async, [&] { rig.server->shutdown(10s); });
  std::this_thread::sleep_for(100ms);
  rig.runtime.release = true;
  CHECK(call.get().ok());
  CHECK(stopped.wait_for(5s) == std::future_status::ready);
  grpc::ClientContext context;
  v1::VersionResponse response;
  CHECK_FALSE(rig.stub->Version(&context, {}, &response).ok());
  rig.server->shutdown(0ms);
}

TEST_CASE("shutdown cancels what outlives the grace") {
  Rig rig;
  auto call = std::async(std::launch::async, [&] {
    grpc::ClientContext context;
    v1::StopContainerResponse response;
    return rig.stub->StopContainer(&context, {}, &response);
  });
  REQUIRE(eventually([&] { return rig.runtime.entered == 1; }));
  const auto begun = std::chrono::steady_clock::now();
  rig.server->shutdown(100ms);
  CHECK(std::chrono::steady_clock::now() - begun < 5s);
  CHECK_FALSE(call.get().ok());
  CHECK(rig.runtime.cancelled == 1);
}
