// SPDX-License-Identifier: Apache-2.0
#include "cri/adaptor.h"

#include <grpcpp/server_context.h>
#include <grpcpp/support/server_callback.h>

#include <atomic>
#include <condition_variable>
#include <mutex>

#include "cri/call.h"
#include "cri/methods.h"
#include "cri/proto/runtime/v1/api.grpc.pb.h"
#include "cri/status.h"
#include "runtime/base/log.h"

namespace berth::cri {
namespace {

// Streams that stay open hold a worker each; more would starve the other calls.
constexpr int kMaxStreams = 64;

std::optional<std::chrono::system_clock::time_point> deadline_of(const grpc::CallbackServerContext& context) {
  const auto deadline = context.deadline();
  if (deadline == std::chrono::system_clock::time_point::max()) return std::nullopt;
  return deadline;
}

grpc::Status overloaded(const Method& method) {
  log_warn("rpc refused: overloaded", {{"method", method.name}});
  return grpc::Status(grpc::StatusCode::RESOURCE_EXHAUSTED, "too many requests in progress");
}

grpc::Status finish(const Result<>& result) { return result ? grpc::Status::OK : to_status(result.error()); }

// Reactors delete themselves in OnDone, which gRPC calls once Finish has gone out and nothing else is pending. After
// Finish the worker must not touch them.
class UnaryReactor final : public grpc::ServerUnaryReactor {
 public:
  explicit UnaryReactor(const grpc::CallbackServerContext& context) : call(deadline_of(context)) {}
  LiveCall call;

 private:
  void OnCancel() override { call.cancel(); }
  void OnDone() override { delete this; }
};

template <typename Service, typename Request, typename Response>
grpc::ServerUnaryReactor* run_unary(Executor& executor, Service& service, const grpc::CallbackServerContext& context,
                                    const Request& request, Response& response, const Method& method,
                                    Result<Response> (Service::*function)(Call&, const Request&)) {
  auto* reactor = new UnaryReactor(context);
  const bool posted = executor.post([&service, &request, &response, &method, function, reactor] {
    CallSubject subject;
    const Result<> result = run_call(method, reactor->call, subject, [&]() -> Result<> {
      read_subject(request, subject);
      if (reactor->call.is_cancelled()) return fail(Code::kCancelled, "the client went away before the call began");
      TRY_ASSIGN(response, (service.*function)(reactor->call, request));
      read_subject(response, subject);
      return {};
    });
    reactor->Finish(finish(result));
  });
  if (!posted) reactor->Finish(overloaded(method));
  return reactor;
}

template <typename Response>
class StreamReactor final : public grpc::ServerWriteReactor<Response> {
 public:
  StreamReactor(const grpc::CallbackServerContext& context, std::atomic<int>& open)
      : call(deadline_of(context)), open_(open) {}
  LiveCall call;

  // Blocks until the message has been taken by the transport: a slow client slows its handler and nothing is queued.
  bool send(const Response& message) {
    if (call.is_cancelled()) return false;
    {
      const std::lock_guard lock(mutex_);
      written_ = false;
    }
    this->StartWrite(&message);
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return written_; });
    return ok_;
  }

 private:
  void OnWriteDone(bool ok) override {
    // Notified under the lock: the worker may Finish, and so delete this, as soon as it can see the change.
    const std::lock_guard lock(mutex_);
    written_ = true;
    ok_ = ok;
    changed_.notify_one();
  }
  void OnCancel() override { call.cancel(); }
  void OnDone() override {
    open_.fetch_sub(1);
    delete this;
  }

  std::atomic<int>& open_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool written_ = false;
  bool ok_ = false;
};

template <typename Service, typename Request, typename Response>
grpc::ServerWriteReactor<Response>* run_stream(Executor& executor, Service& service, std::atomic<int>& open,
                                               const grpc::CallbackServerContext& context, const Request& request,
                                               const Method& method,
                                               Result<> (Service::*function)(Call&, const Request&,
                                                                             const Sink<Response>&)) {
  const bool room = open.fetch_add(1) < kMaxStreams;
  auto* reactor = new StreamReactor<Response>(context, open);
  const bool posted = room && executor.post([&service, &request, &method, function, reactor] {
    CallSubject subject;
    const Result<> result = run_call(method, reactor->call, subject, [&]() -> Result<> {
      read_subject(request, subject);
      return (service.*function)(reactor->call, request,
                                 [reactor](const Response& message) { return reactor->send(message); });
    });
    reactor->Finish(finish(result));
  });
  if (!posted) reactor->Finish(overloaded(method));
  return reactor;
}

// One line per RPC; the row of methods.h is looked up at compile time.
#define BERTH_UNARY(Rpc, function, Request, Response)                                                       \
  grpc::ServerUnaryReactor* Rpc(grpc::CallbackServerContext* context, const v1::Request* request,           \
                                v1::Response* response) override {                                          \
    return run_unary(executor_, service_, *context, *request, *response, method(#Rpc), &Service::function); \
  }
#define BERTH_STREAM(Rpc, function, Request, Response)                                                          \
  grpc::ServerWriteReactor<v1::Response>* Rpc(grpc::CallbackServerContext* context, const v1::Request* request) \
      override {                                                                                                \
    return run_stream(executor_, service_, streams_, *context, *request, method(#Rpc), &Service::function);     \
  }

class RuntimeAdaptor final : public v1::RuntimeService::CallbackService {
  using Service = cri::RuntimeService;

 public:
  RuntimeAdaptor(Service& service, Executor& executor) : service_(service), executor_(executor) {}

  BERTH_UNARY(Version, version, VersionRequest, VersionResponse)
  BERTH_UNARY(RunPodSandbox, run_pod_sandbox, RunPodSandboxRequest, RunPodSandboxResponse)
  BERTH_UNARY(StopPodSandbox, stop_pod_sandbox, StopPodSandboxRequest, StopPodSandboxResponse)
  BERTH_UNARY(RemovePodSandbox, remove_pod_sandbox, RemovePodSandboxRequest, RemovePodSandboxResponse)
  BERTH_UNARY(PodSandboxStatus, pod_sandbox_status, PodSandboxStatusRequest, PodSandboxStatusResponse)
  BERTH_UNARY(ListPodSandbox, list_pod_sandbox, ListPodSandboxRequest, ListPodSandboxResponse)
  BERTH_STREAM(StreamPodSandboxes, stream_pod_sandboxes, StreamPodSandboxesRequest, StreamPodSandboxesResponse)
  BERTH_UNARY(CreateContainer, create_container, CreateContainerRequest, CreateContainerResponse)
  BERTH_UNARY(StartContainer, start_container, StartContainerRequest, StartContainerResponse)
  BERTH_UNARY(StopContainer, stop_container, StopContainerRequest, StopContainerResponse)
  BERTH_UNARY(RemoveContainer, remove_container, RemoveContainerRequest, RemoveContainerResponse)
  BERTH_UNARY(ListContainers, list_containers, ListContainersRequest, ListContainersResponse)
  BERTH_STREAM(StreamContainers, stream_containers, StreamContainersRequest, StreamContainersResponse)
  BERTH_UNARY(ContainerStatus, container_status, ContainerStatusRequest, ContainerStatusResponse)
  BERTH_UNARY(UpdateContainerResources, update_container_resources, UpdateContainerResourcesRequest,
              UpdateContainerResourcesResponse)
  BERTH_UNARY(ReopenContainerLog, reopen_container_log, ReopenContainerLogRequest, ReopenContainerLogResponse)
  BERTH_UNARY(ExecSync, exec_sync, ExecSyncRequest, ExecSyncResponse)
  BERTH_UNARY(Exec, exec, ExecRequest, ExecResponse)
  BERTH_UNARY(Attach, attach, AttachRequest, AttachResponse)
  BERTH_UNARY(PortForward, port_forward, PortForwardRequest, PortForwardResponse)
  BERTH_UNARY(ContainerStats, container_stats, ContainerStatsRequest, ContainerStatsResponse)
  BERTH_UNARY(ListContainerStats, list_container_stats, ListContainerStatsRequest, ListContainerStatsResponse)
  BERTH_STREAM(StreamContainerStats, stream_container_stats, StreamContainerStatsRequest, StreamContainerStatsResponse)
  BERTH_UNARY(PodSandboxStats, pod_sandbox_stats, PodSandboxStatsRequest, PodSandboxStatsResponse)
  BERTH_UNARY(ListPodSandboxStats, list_pod_sandbox_stats, ListPodSandboxStatsRequest, ListPodSandboxStatsResponse)
  BERTH_STREAM(StreamPodSandboxStats, stream_pod_sandbox_stats, StreamPodSandboxStatsRequest,
               StreamPodSandboxStatsResponse)
  BERTH_UNARY(UpdateRuntimeConfig, update_runtime_config, UpdateRuntimeConfigRequest, UpdateRuntimeConfigResponse)
  BERTH_UNARY(Status, status, StatusRequest, StatusResponse)
  BERTH_UNARY(CheckpointContainer, checkpoint_container, CheckpointContainerRequest, CheckpointContainerResponse)
  BERTH_UNARY(CheckpointPod, checkpoint_pod, CheckpointPodRequest, CheckpointPodResponse)
  BERTH_UNARY(RestorePod, restore_pod, RestorePodRequest, RestorePodResponse)
  BERTH_STREAM(GetContainerEvents, get_container_events, GetEventsRequest, ContainerEventResponse)
  BERTH_UNARY(ListMetricDescriptors, list_metric_descriptors, ListMetricDescriptorsRequest,
              ListMetricDescriptorsResponse)
  BERTH_UNARY(ListPodSandboxMetrics, list_pod_sandbox_metrics, ListPodSandboxMetricsRequest,
              ListPodSandboxMetricsResponse)
  BERTH_STREAM(StreamPodSandboxMetrics, stream_pod_sandbox_metrics, StreamPodSandboxMetricsRequest,
               StreamPodSandboxMetricsResponse)
  BERTH_UNARY(RuntimeConfig, runtime_config, RuntimeConfigRequest, RuntimeConfigResponse)
  BERTH_UNARY(UpdatePodSandboxResources, update_pod_sandbox_resources, UpdatePodSandboxResourcesRequest,
              UpdatePodSandboxResourcesResponse)

 private:
  Service& service_;
  Executor& executor_;
  std::atomic<int> streams_ = 0;
};

class ImageAdaptor final : public v1::ImageService::CallbackService {
  using Service = cri::ImageService;

 public:
  ImageAdaptor(Service& service, Executor& executor) : service_(service), executor_(executor) {}

  BERTH_UNARY(ListImages, list_images, ListImagesRequest, ListImagesResponse)
  BERTH_STREAM(StreamImages, stream_images, StreamImagesRequest, StreamImagesResponse)
  BERTH_UNARY(ImageStatus, image_status, ImageStatusRequest, ImageStatusResponse)
  BERTH_UNARY(PullImage, pull_image, PullImageRequest, PullImageResponse)
  BERTH_UNARY(RemoveImage, remove_image, RemoveImageRequest, RemoveImageResponse)
  BERTH_UNARY(ImageFsInfo, image_fs_info, ImageFsInfoRequest, ImageFsInfoResponse)

 private:
  Service& service_;
  Executor& executor_;
  std::atomic<int> streams_ = 0;
};

#undef BERTH_UNARY
#undef BERTH_STREAM

}  // namespace

std::shared_ptr<grpc::Service> make_runtime_adaptor(RuntimeService& service, Executor& executor) {
  return std::make_shared<RuntimeAdaptor>(service, executor);
}

std::shared_ptr<grpc::Service> make_image_adaptor(ImageService& service, Executor& executor) {
  return std::make_shared<ImageAdaptor>(service, executor);
}

}  // namespace berth::cri
