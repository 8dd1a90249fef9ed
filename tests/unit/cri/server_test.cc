// SPDX-License-Identifier: Apache-2.0
// A real server on a unix socket, a real gRPC client, a service of the test's own.
#include "cri/server.h"

#include <atomic>
#include <cstdlib>
#include <future>
#include <grpcpp/grpcpp.h>
#include <stdexcept>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <thread>
#include <unistd.h>

#include "cri/proto/runtime/v1/api.grpc.pb.h"
#include "cri/status.h"
#include "runtime/sys/file.h"
#include "runtime/sys/socket.h"
#include "tests/support/catch.h"
#include "tests/support/requires.h"

using namespace berth;
using namespace std::chrono_literals;
namespace v1 = ::runtime::v1;

namespace {

class TestRuntime : public cri::RuntimeService {
 public:
  Result<v1::VersionResponse> version(cri::Call& call, const v1::VersionRequest& request) override {
    v1::VersionResponse response;
    response.set_version("0.1.0");
    response.set_runtime_name(request.version());
    response.set_runtime_version(call.request_id());
    return response;
  }
  // The id asks for a code by number, or for an exception.
  Result<> remove(const std::string& id) {
    if (id == "throw") throw std::runtime_error("library");
    if (id == "long") return fail(Code::kInternal, std::string(100'000, 'x'));
    return fail(static_cast<Code>(std::stoi(id)), "asked for " + id);
  }
  Result<v1::RemoveContainerResponse> remove_container(cri::Call&, const v1::RemoveContainerRequest& request) override {
    TRY(remove(request.container_id()));
    return v1::RemoveContainerResponse();
  }
  // Blocks until cancelled or let go.
  Result<v1::StopContainerResponse> stop_container(cri::Call& call, const v1::StopContainerRequest&) override {
    left = call.time_left();
    ++entered;
    while (!release && !call.is_cancelled()) std::this_thread::sleep_for(2ms);
    if (call.is_cancelled()) ++cancelled;
    return v1::StopContainerResponse();
  }
  Result<v1::ExecSyncResponse> exec_sync(cri::Call&, const v1::ExecSyncRequest& request) override {
    v1::ExecSyncResponse response;
    response.set_stdout(std::string(static_cast<size_t>(request.timeout()), 'o'));
    response.set_exit_code(static_cast<int32_t>(request.ByteSizeLong()));
    return response;
  }
  Result<> get_container_events(cri::Call& call, const v1::GetEventsRequest&, const cri::Sink<v1::ContainerEventResponse>& sink) override {
    ++entered;
    for (int i = 0; i < 1000; ++i) {
      v1::ContainerEventResponse event;
      event.set_container_id(std::to_string(i));
      if (!sink(event)) {
        ++cancelled;
        return fail(Code::kCancelled, "gone");
      }
      if (i == 9 && endless) {
        while (!call.is_cancelled()) std::this_thread::sleep_for(2ms);
      }
    }
    return {};
  }

  std::atomic<int> entered = 0;
  std::atomic<int> cancelled = 0;
  std::atomic<bool> release = false;
  std::atomic<bool> endless = false;
  std::optional<std::chrono::milliseconds> left;
};

class TestImages : public cri::ImageService {
 public:
  Result<v1::PullImageResponse> pull_image(cri::Call&, const v1::PullImageRequest& request) override {
    v1::PullImageResponse response;
    response.set_image_ref(request.image().image());
    return response;
  }
};

struct Folder {
  Folder() {
    char name[] = "/tmp/berth-cri-test-XXXXXX";
    path = ::mkdtemp(name);
  }
  ~Folder() { (void)sys::remove_tree(path); }
  std::string path;
};

struct Rig {
  explicit Rig(cri::ServerConfig config = {}) {
    config.listen = {"unix://" + folder.path + "/cri.sock"};
    auto started = cri::Server::start(config, runtime, images);
    REQUIRE(started.has_value());
    server = std::move(*started);
    grpc::ChannelArguments arguments;
    arguments.SetMaxReceiveMessageSize(64 << 20);
    arguments.SetMaxSendMessageSize(64 << 20);
    arguments.SetString(GRPC_ARG_DEFAULT_AUTHORITY, "localhost");
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    channel = grpc::CreateCustomChannel(config.listen[0], grpc::InsecureChannelCredentials(), arguments);
    stub = v1::RuntimeService::NewStub(channel);
  }
  ~Rig() { runtime.release = true; }
  Folder folder;
  TestRuntime runtime;
  TestImages images;
  std::unique_ptr<cri::Server> server;
  std::shared_ptr<grpc::Channel> channel;
  std::unique_ptr<v1::RuntimeService::Stub> stub;
};

bool eventually(const std::function<bool()>& condition) {
  for (int i = 0; i < 1000; ++i) {
    if (condition()) return true;
    std::this_thread::sleep_for(5ms);
  }
  return false;
}

}  // namespace

TEST_CASE("a client over the socket gets its answer") {
  Rig rig;
  grpc::ClientContext context;
  v1::VersionRequest request;
  request.set_version("hello");
  v1::VersionResponse response;
  const auto status = rig.stub->Version(&context, request, &response);
  INFO(status.error_message());
  REQUIRE(status.ok());
  CHECK(response.runtime_name() == "hello");
  CHECK_FALSE(response.runtime_version().empty());
}

TEST_CASE("the image service answers on the same socket") {
  Rig rig;
  auto stub = v1::ImageService::NewStub(rig.channel);
  grpc::ClientContext context;
  v1::PullImageRequest request;
  request.mutable_image()->set_image("busybox");
  v1::PullImageResponse response;
  REQUIRE(stub->PullImage(&context, request, &response).ok());
  CHECK(response.image_ref() == "busybox");
}

TEST_CASE("an RPC that the agent leaves out is UNIMPLEMENTED by name") {
  Rig rig;
  {
    grpc::ClientContext context;
    v1::CheckpointContainerResponse response;
    const auto status = rig.stub->CheckpointContainer(&context, {}, &response);
    CHECK(status.error_code() == grpc::StatusCode::UNIMPLEMENTED);
    CHECK(status.error_message() == "\"CheckpointContainer\" is not implemented");
  }
  grpc::ClientContext context;
  const auto reader = rig.stub->StreamContainers(&context, {});
  v1::StreamContainersResponse response;
  CHECK_FALSE(reader->Read(&response));
  CHECK(reader->Finish().error_code() == grpc::StatusCode::UNIMPLEMENTED);
}

TEST_CASE("every code reaches the client as gRPC's counterpart and comes back as itself") {
  Rig rig;
  for (int i = 0; i <= static_cast<int>(Code::kUnauthenticated); ++i) {
    grpc::ClientContext context;
    v1::RemoveContainerRequest request;
    request.set_container_id(std::to_string(i));
    v1::RemoveContainerResponse response;
    const auto status = rig.stub->RemoveContainer(&context, request, &response);
    const auto code = static_cast<Code>(i);
    INFO(code_name(code));
    CHECK(status.error_code() == cri::to_grpc(code));
    CHECK(static_cast<int>(status.error_code()) == i + 1);
    CHECK(cri::from_grpc(status.error_code()) == code);
    CHECK(status.error_message() == "asked for " + std::to_string(i));
  }
}

TEST_CASE("an exception of a library is INTERNAL and the server lives on") {
  Rig rig;
  for (int i = 0; i < 2; ++i) {
    grpc::ClientContext context;
    v1::RemoveContainerRequest request;
    request.set_container_id("throw");
    v1::RemoveContainerResponse response;
    const auto status = rig.stub->RemoveContainer(&context, request, &response);
    CHECK(status.error_code() == grpc::StatusCode::INTERNAL);
    CHECK(status.error_message() == "RemoveContainer: library");
  }
}

TEST_CASE("a long message is cut and still arrives") {
  Rig rig;
  grpc::ClientContext context;
  v1::RemoveContainerRequest request;
  request.set_container_id("long");
  v1::RemoveContainerResponse response;
  const auto status = rig.stub->RemoveContainer(&context, request, &response);
  CHECK(status.error_code() == grpc::StatusCode::INTERNAL);
  CHECK(status.error_message().size() == 4096);
}

TEST_CASE("the client's deadline reaches the handler and ends it") {
  Rig rig;
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + 300ms);
  v1::StopContainerResponse response;
  const auto status = rig.stub->StopContainer(&context, {}, &response);
  CHECK(status.error_code() == grpc::StatusCode::DEADLINE_EXCEEDED);
  CHECK(eventually([&] { return rig.runtime.cancelled == 1; }));
  REQUIRE(rig.runtime.left.has_value());
  CHECK(*rig.runtime.left > 50ms);
  CHECK(*rig.runtime.left <= 300ms);
}

TEST_CASE("a call without a deadline has no time left to tell") {
  Rig rig;
  rig.runtime.release = true;
  rig.runtime.left = 1ms;
  grpc::ClientContext context;
  v1::StopContainerResponse response;
  REQUIRE(rig.stub->StopContainer(&context, {}, &response).ok());
  CHECK_FALSE(rig.runtime.left.has_value());
}

TEST_CASE("a client that cancels is noticed by the handler") {
  Rig rig;
  grpc::ClientContext context;
  auto call = std::async(std::launch::async, [&] {
    v1::StopContainerResponse response;
    return rig.stub->StopContainer(&context, {}, &response);
  });
  REQUIRE(eventually([&] { return rig.runtime.entered == 1; }));
  context.TryCancel();
  CHECK(call.get().error_code() == grpc::StatusCode::CANCELLED);
  CHECK(eventually([&] { return rig.runtime.cancelled == 1; }));
}

TEST_CASE("a stream delivers every message in order and then ends") {
  Rig rig;
  grpc::ClientContext context;
  const auto reader = rig.stub->GetContainerEvents(&context, {});
  v1::ContainerEventResponse event;
  int count = 0;
  while (reader->Read(&event)) {
    REQUIRE(event.container_id() == std::to_string(count));
    ++count;
  }
  CHECK(count == 1000);
  CHECK(reader->Finish().ok());
}

TEST_CASE("a stream's handler learns that the client has gone") {
  Rig rig;
  rig.runtime.endless = true;
  grpc::ClientContext context;
  const auto reader = rig.stub->GetContainerEvents(&context, {});
  v1::ContainerEventResponse event;
  REQUIRE(reader->Read(&event));
  context.TryCancel();
  CHECK(eventually([&] { return rig.runtime.cancelled == 1; }));
  while (reader->Read(&event)) {
  }
  CHECK(reader->Finish().error_code() == grpc::StatusCode::CANCELLED);
}

TEST_CASE("too many open streams are refused while unary calls go on") {
  Rig rig;
  rig.runtime.endless = true;
  std::vector<std::unique_ptr<grpc::ClientContext>> contexts;
  std::vector<std::unique_ptr<grpc::ClientReader<v1::ContainerEventResponse>>> readers;
  v1::ContainerEventResponse event;
  for (int i = 0; i < 64; ++i) {
    contexts.push_back(std::make_unique<grpc::ClientContext>());
    readers.push_back(rig.stub->GetContainerEvents(contexts.back().get(), {}));
    REQUIRE(readers.back()->Read(&event));
  }
  grpc::ClientContext surplus;
  const auto reader = rig.stub->GetContainerEvents(&surplus, {});
  CHECK_FALSE(reader->Read(&event));
  CHECK(reader->Finish().error_code() == grpc::StatusCode::RESOURCE_EXHAUSTED);
  grpc::ClientContext context;
  v1::VersionResponse response;
  CHECK(rig.stub->Version(&context, {}, &response).ok());
  for (auto& open : contexts) open->TryCancel();
}

TEST_CASE("messages up to 16 MiB pass both ways and larger ones are refused") {
  Rig rig;
  constexpr size_t limit = 16u << 20;
  const auto call = [&](size_t request_bytes, int64_t response_bytes) {
    grpc::ClientContext context;
    v1::ExecSyncRequest request;
    request.set_container_id(std::string(request_bytes, 'i'));
    request.set_timeout(response_bytes);
    v1::ExecSyncResponse response;
    const auto status = rig.stub->ExecSync(&context, request, &response);
    if (status.ok()) CHECK(response.stdout().size() == static_cast<size_t>(response_bytes));
    return status.error_code();
  };
  CHECK(call(limit - 64, 1) == grpc::StatusCode::OK);
  CHECK(call(limit + 1, 1) == grpc::StatusCode::RESOURCE_EXHAUSTED);
  CHECK(call(1, limit - 64) == grpc::StatusCode::OK);
  CHECK(call(1, limit + 1) == grpc::StatusCode::RESOURCE_EXHAUSTED);
  CHECK(call(1, 1) == grpc::StatusCode::OK);
}

TEST_CASE("when workers and queue are full a call is refused at once") {
  cri::ServerConfig config;
  config.workers = {.threads = 2, .queue = 2, .idle = 1s};
  Rig rig(config);
  std::vector<std::future<grpc::Status>> calls;
  const auto stop = [&] {
    return std::async(std::launch::async, [&] {
      grpc::ClientContext context;
      v1::StopContainerResponse response;
      return rig.stub->StopContainer(&context, {}, &response);
    });
  };
  for (int i = 0; i < 2; ++i) calls.push_back(stop());
  REQUIRE(eventually([&] { return rig.runtime.entered == 2; }));
  for (int i = 0; i < 2; ++i) calls.push_back(stop());
  std::this_thread::sleep_for(200ms);
  grpc::ClientContext context;
  v1::VersionResponse response;
  const auto begun = std::chrono::steady_clock::now();
  CHECK(rig.stub->Version(&context, {}, &response).error_code() == grpc::StatusCode::RESOURCE_EXHAUSTED);
  CHECK(std::chrono::steady_clock::now() - begun < 1s);
  rig.runtime.release = true;
  for (auto& call : calls) CHECK(call.get().ok());
}

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

TEST_CASE("many clients at once are all served") {
  Rig rig;
  std::atomic<int> served = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&] {
      for (int k = 0; k < 100; ++k) {
        grpc::ClientContext context;
        v1::VersionResponse response;
        if (rig.stub->Version(&context, {}, &response).ok()) ++served;
      }
    });
  }
  for (auto& thread : threads) thread.join();
  CHECK(served == 800);
}
