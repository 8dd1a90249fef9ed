// SPDX-License-Identifier: Apache-2.0
// The port that cri/ offers and the agent implements: one virtual function per RPC of CRI v1, over the generated
// messages. The default of each answers UNIMPLEMENTED by name (service.cc). gRPC itself is not visible here.
//
// Functions are called on worker threads (never on gRPC's own), may block, and may run at the same time: implementations
// are thread-safe. The Call tells the deadline and whether the client has gone.
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <string>

#include "cri/proto/runtime/v1/api.pb.h"
#include "runtime/base/result.h"

namespace berth::cri {

namespace v1 = ::runtime::v1;

// One RPC in progress. Lives as long as the handler runs.
class Call {
 public:
  virtual ~Call() = default;
  virtual bool is_cancelled() const = 0;
  // Time left until the client's deadline; nothing when it set none.
  virtual std::optional<std::chrono::milliseconds> time_left() const = 0;
  // A short id for log lines.
  virtual const std::string& request_id() const = 0;
};

// Sends one message of a server stream; false when the client has gone. May block while the client is slow.
template <typename Message>
using Sink = std::function<bool(const Message&)>;

class RuntimeService {
 public:
  virtual ~RuntimeService() = default;
  virtual Result<v1::VersionResponse> version(Call& call, const v1::VersionRequest& request);
  virtual Result<v1::RunPodSandboxResponse> run_pod_sandbox(Call& call, const v1::RunPodSandboxRequest& request);
  virtual Result<v1::StopPodSandboxResponse> stop_pod_sandbox(Call& call, const v1::StopPodSandboxRequest& request);
  virtual Result<v1::RemovePodSandboxResponse> remove_pod_sandbox(Call& call, const v1::RemovePodSandboxRequest& request);
  virtual Result<v1::PodSandboxStatusResponse> pod_sandbox_status(Call& call, const v1::PodSandboxStatusRequest& request);
  virtual Result<v1::ListPodSandboxResponse> list_pod_sandbox(Call& call, const v1::ListPodSandboxRequest& request);
  virtual Result<> stream_pod_sandboxes(Call& call, const v1::StreamPodSandboxesRequest& request, const Sink<v1::StreamPodSandboxesResponse>& sink);
  virtual Result<v1::CreateContainerResponse> create_container(Call& call, const v1::CreateContainerRequest& request);
  virtual Result<v1::StartContainerResponse> start_container(Call& call, const v1::StartContainerRequest& request);
  virtual Result<v1::StopContainerResponse> stop_container(Call& call, const v1::StopContainerRequest& request);
  virtual Result<v1::RemoveContainerResponse> remove_container(Call& call, const v1::RemoveContainerRequest& request);
  virtual Result<v1::ListContainersResponse> list_containers(Call& call, const v1::ListContainersRequest& request);
  virtual Result<> stream_containers(Call& call, const v1::StreamContainersRequest& request, const Sink<v1::StreamContainersResponse>& sink);
  virtual Result<v1::ContainerStatusResponse> container_status(Call& call, const v1::ContainerStatusRequest& request);
  virtual Result<v1::UpdateContainerResourcesResponse> update_container_resources(Call& call, const v1::UpdateContainerResourcesRequest& request);
  virtual Result<v1::ReopenContainerLogResponse> reopen_container_log(Call& call, const v1::ReopenContainerLogRequest& request);
  virtual Result<v1::ExecSyncResponse> exec_sync(Call& call, const v1::ExecSyncRequest& request);
  virtual Result<v1::ExecResponse> exec(Call& call, const v1::ExecRequest& request);
  virtual Result<v1::AttachResponse> attach(Call& call, const v1::AttachRequest& request);
  virtual Result<v1::PortForwardResponse> port_forward(Call& call, const v1::PortForwardRequest& request);
  virtual Result<v1::ContainerStatsResponse> container_stats(Call& call, const v1::ContainerStatsRequest& request);
  virtual Result<v1::ListContainerStatsResponse> list_container_stats(Call& call, const v1::ListContainerStatsRequest& request);
  virtual Result<> stream_container_stats(Call& call, const v1::StreamContainerStatsRequest& request, const Sink<v1::StreamContainerStatsResponse>& sink);
  virtual Result<v1::PodSandboxStatsResponse> pod_sandbox_stats(Call& call, const v1::PodSandboxStatsRequest& request);
  virtual Result<v1::ListPodSandboxStatsResponse> list_pod_sandbox_stats(Call& call, const v1::ListPodSandboxStatsRequest& request);
  virtual Result<> stream_pod_sandbox_stats(Call& call, const v1::StreamPodSandboxStatsRequest& request, const Sink<v1::StreamPodSandboxStatsResponse>& sink);
  virtual Result<v1::UpdateRuntimeConfigResponse> update_runtime_config(Call& call, const v1::UpdateRuntimeConfigRequest& request);
  virtual Result<v1::StatusResponse> status(Call& call, const v1::StatusRequest& request);
  virtual Result<v1::CheckpointContainerResponse> checkpoint_container(Call& call, const v1::CheckpointContainerRequest& request);
  virtual Result<v1::CheckpointPodResponse> checkpoint_pod(Call& call, const v1::CheckpointPodRequest& request);
  virtual Result<v1::RestorePodResponse> restore_pod(Call& call, const v1::RestorePodRequest& request);
  virtual Result<> get_container_events(Call& call, const v1::GetEventsRequest& request, const Sink<v1::ContainerEventResponse>& sink);
  virtual Result<v1::ListMetricDescriptorsResponse> list_metric_descriptors(Call& call, const v1::ListMetricDescriptorsRequest& request);
  virtual Result<v1::ListPodSandboxMetricsResponse> list_pod_sandbox_metrics(Call& call, const v1::ListPodSandboxMetricsRequest& request);
  virtual Result<> stream_pod_sandbox_metrics(Call& call, const v1::StreamPodSandboxMetricsRequest& request, const Sink<v1::StreamPodSandboxMetricsResponse>& sink);
  virtual Result<v1::RuntimeConfigResponse> runtime_config(Call& call, const v1::RuntimeConfigRequest& request);
  virtual Result<v1::UpdatePodSandboxResourcesResponse> update_pod_sandbox_resources(Call& call, const v1::UpdatePodSandboxResourcesRequest& request);
};

class ImageService {
 public:
  virtual ~ImageService() = default;
  virtual Result<v1::ListImagesResponse> list_images(Call& call, const v1::ListImagesRequest& request);
  virtual Result<> stream_images(Call& call, const v1::StreamImagesRequest& request, const Sink<v1::StreamImagesResponse>& sink);
  virtual Result<v1::ImageStatusResponse> image_status(Call& call, const v1::ImageStatusRequest& request);
  virtual Result<v1::PullImageResponse> pull_image(Call& call, const v1::PullImageRequest& request);
  virtual Result<v1::RemoveImageResponse> remove_image(Call& call, const v1::RemoveImageRequest& request);
  virtual Result<v1::ImageFsInfoResponse> image_fs_info(Call& call, const v1::ImageFsInfoRequest& request);
};

}  // namespace berth::cri
