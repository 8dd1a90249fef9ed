// SPDX-License-Identifier: Apache-2.0
#include "agent/cli/rpc/cri_client.h"

#include <grpcpp/grpcpp.h>

#include "cri/proto/runtime/v1/api.grpc.pb.h"
#include "runtime/base/strings.h"

namespace berth::cli {
namespace {

constexpr std::chrono::seconds kShort{30};
constexpr std::chrono::seconds kLong{600};  // pulls, sandboxes with slow network plugins, stops with a grace period

constexpr int kMaxMessage = 32 << 20;

std::unique_ptr<v1::RuntimeService::Stub> runtime_stub(const std::shared_ptr<grpc::Channel>& channel) {
  return v1::RuntimeService::NewStub(channel);
}

std::shared_ptr<grpc::Channel> make_channel(const std::string& address) {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(kMaxMessage);
  arguments.SetString(GRPC_ARG_DEFAULT_AUTHORITY, "localhost");
  return grpc::CreateCustomChannel(address.starts_with('/') ? "unix://" + address : address,
                                   grpc::InsecureChannelCredentials(), arguments);
}

}  // namespace

struct CriClient::Stubs {
  explicit Stubs(const std::string& address_in)
      : address(address_in),
        channel(make_channel(address)),
        runtime(runtime_stub(channel)),
        image(v1::ImageService::NewStub(channel)) {}

  template <typename Stub, typename Request, typename Response>
  Result<Response> call(Stub& stub, grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&, Response*),
                        const Request& request, std::chrono::seconds limit) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + limit);
    Response response;
    const grpc::Status status = (stub.*method)(&context, request, &response);
    if (status.ok()) return response;
    return std::unexpected(error_of(status));
  }

  Error error_of(const grpc::Status& status) const {
    if (status.error_code() == grpc::StatusCode::UNAVAILABLE) {
      return Error(Code::kUnavailable,
                   concat("berthd at ", quote(address), " cannot be reached: ", status.error_message()));
    }
    // The codes are one to one and in gRPC's order, CANCELLED = 1 first.
    const int number = static_cast<int>(status.error_code());
    const Code code = number >= 1 && number <= 16 ? static_cast<Code>(number - 1) : Code::kUnknown;
    return Error(code, status.error_message());
  }

  std::string address;
  std::shared_ptr<grpc::Channel> channel;
  std::unique_ptr<v1::RuntimeService::Stub> runtime;
  std::unique_ptr<v1::ImageService::Stub> image;
};

CriClient::CriClient(const std::string& address) : stubs_(std::make_unique<Stubs>(address)) {}
CriClient::~CriClient() = default;

using Runtime = v1::RuntimeService::Stub;
using ImageStub = v1::ImageService::Stub;

Result<v1::ImageStatusResponse> CriClient::image_status(const v1::ImageStatusRequest& request) {
  return stubs_->call(*stubs_->image, &ImageStub::ImageStatus, request, kShort);
}
Result<v1::PullImageResponse> CriClient::pull_image(const v1::PullImageRequest& request) {
  return stubs_->call(*stubs_->image, &ImageStub::PullImage, request, kLong);
}
Result<v1::RunPodSandboxResponse> CriClient::run_pod_sandbox(const v1::RunPodSandboxRequest& request) {
  return stubs_->call(*stubs_->runtime, &Runtime::RunPodSandbox, request, kLong);
}
Result<v1::StopPodSandboxResponse> CriClient::stop_pod_sandbox(const std::string& id) {
  v1::StopPodSandboxRequest request;
  request.set_pod_sandbox_id(id);
  return stubs_->call(*stubs_->runtime, &Runtime::StopPodSandbox, request, kLong);
}
Result<v1::RemovePodSandboxResponse> CriClient::remove_pod_sandbox(const std::string& id) {
  v1::RemovePodSandboxRequest request;
  request.set_pod_sandbox_id(id);
  return stubs_->call(*stubs_->runtime, &Runtime::RemovePodSandbox, request, kLong);
}
Result<v1::PodSandboxStatusResponse> CriClient::pod_sandbox_status(const std::string& id) {
  v1::PodSandboxStatusRequest request;
  request.set_pod_sandbox_id(id);
  return stubs_->call(*stubs_->runtime, &Runtime::PodSandboxStatus, request, kShort);
}
Result<v1::ListPodSandboxResponse> CriClient::list_pod_sandbox(const v1::ListPodSandboxRequest& request) {
  return stubs_->call(*stubs_->runtime, &Runtime::ListPodSandbox, request, kShort);
}
Result<v1::CreateContainerResponse> CriClient::create_container(const v1::CreateContainerRequest& request) {
  return stubs_->call(*stubs_->runtime, &Runtime::CreateContainer, request, kLong);
}
Result<v1::StartContainerResponse> CriClient::start_container(const std::string& id) {
  v1::StartContainerRequest request;
  request.set_container_id(id);
  return stubs_->call(*stubs_->runtime, &Runtime::StartContainer, request, kLong);
}
Result<v1::StopContainerResponse> CriClient::stop_container(const std::string& id, int64_t seconds) {
  v1::StopContainerRequest request;
  request.set_container_id(id);
  request.set_timeout(seconds);
  return stubs_->call(*stubs_->runtime, &Runtime::StopContainer, request, kLong);
}
Result<v1::ContainerStatusResponse> CriClient::container_status(const std::string& id) {
  v1::ContainerStatusRequest request;
  request.set_container_id(id);
  return stubs_->call(*stubs_->runtime, &Runtime::ContainerStatus, request, kShort);
}
Result<v1::ListContainersResponse> CriClient::list_containers(const v1::ListContainersRequest& request) {
  return stubs_->call(*stubs_->runtime, &Runtime::ListContainers, request, kShort);
}
Result<v1::ExecSyncResponse> CriClient::exec_sync(const v1::ExecSyncRequest& request) {
  return stubs_->call(*stubs_->runtime, &Runtime::ExecSync, request, kLong);
}
Result<v1::VersionResponse> CriClient::version() {
  return stubs_->call(*stubs_->runtime, &Runtime::Version, v1::VersionRequest(), kShort);
}

}  // namespace berth::cli
