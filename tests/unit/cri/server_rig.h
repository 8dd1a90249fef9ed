// SPDX-License-Identifier: Apache-2.0
// A real server on a unix socket, a real gRPC client, services of the tests' own.
#pragma once

#include <grpcpp/grpcpp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <future>
#include <stdexcept>
#include <thread>

#include "cri/proto/runtime/v1/api.grpc.pb.h"
#include "cri/server.h"
#include "cri/status.h"
#include "runtime/sys/file.h"
#include "runtime/sys/socket.h"
#include "tests/support/catch.h"
#include "tests/support/requires.h"

namespace berth::tests {

using namespace std::chrono_literals;
namespace v1 = ::runtime::v1;

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
  Result<> get_container_events(cri::Call& call, const v1::GetEventsRequest&,
                                const cri::Sink<v1::ContainerEventResponse>& sink) override {
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

inline bool eventually(const std::function<bool()>& condition) {
  for (int i = 0; i < 1000; ++i) {
    if (condition()) return true;
    std::this_thread::sleep_for(5ms);
  }
  return false;
}

}  // namespace berth::tests
