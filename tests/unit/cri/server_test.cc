// SPDX-License-Identifier: Apache-2.0
// RPCs over a real socket: answers, errors, deadlines, streams, limits.
#include "tests/unit/cri/server_rig.h"

using namespace berth;
using namespace berth::tests;

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
