// SPDX-License-Identifier: Apache-2.0
// The defaults of the port: every RPC answers UNIMPLEMENTED by its name on the wire.
#include "cri/service.h"

#include "runtime/base/strings.h"

namespace berth::cri {
namespace {

std::unexpected<Error> unimplemented(std::string_view rpc) {
  return fail(Code::kUnimplemented, concat(quote(rpc), " is not implemented"));
}

}  // namespace

Result<v1::VersionResponse> RuntimeService::version(Call&, const v1::VersionRequest&) {
  return unimplemented("Version");
}
Result<v1::RunPodSandboxResponse> RuntimeService::run_pod_sandbox(Call&, const v1::RunPodSandboxRequest&) {
  return unimplemented("RunPodSandbox");
}
Result<v1::StopPodSandboxResponse> RuntimeService::stop_pod_sandbox(Call&, const v1::StopPodSandboxRequest&) {
  return unimplemented("StopPodSandbox");
}
Result<v1::RemovePodSandboxResponse> RuntimeService::remove_pod_sandbox(Call&, const v1::RemovePodSandboxRequest&) {
  return unimplemented("RemovePodSandbox");
}
Result<v1::PodSandboxStatusResponse> RuntimeService::pod_sandbox_status(Call&, const v1::PodSandboxStatusRequest&) {
  return unimplemented("PodSandboxStatus");
}
Result<v1::ListPodSandboxResponse> RuntimeService::list_pod_sandbox(Call&, const v1::ListPodSandboxRequest&) {
  return unimplemented("ListPodSandbox");
}
Result<> RuntimeService::stream_pod_sandboxes(Call&, const v1::StreamPodSandboxesRequest&,
                                              const Sink<v1::StreamPodSandboxesResponse>&) {
  return unimplemented("StreamPodSandboxes");
}
Result<v1::CreateContainerResponse> RuntimeService::create_container(Call&, const v1::CreateContainerRequest&) {
  return unimplemented("CreateContainer");
}
Result<v1::StartContainerResponse> RuntimeService::start_container(Call&, const v1::StartContainerRequest&) {
  return unimplemented("StartContainer");
}
Result<v1::StopContainerResponse> RuntimeService::stop_container(Call&, const v1::StopContainerRequest&) {
  return unimplemented("StopContainer");
}
Result<v1::RemoveContainerResponse> RuntimeService::remove_container(Call&, const v1::RemoveContainerRequest&) {
  return unimplemented("RemoveContainer");
}
Result<v1::ListContainersResponse> RuntimeService::list_containers(Call&, const v1::ListContainersRequest&) {
  return unimplemented("ListContainers");
}
Result<> RuntimeService::stream_containers(Call&, const v1::StreamContainersRequest&,
                                           const Sink<v1::StreamContainersResponse>&) {
  return unimplemented("StreamContainers");
}
Result<v1::ContainerStatusResponse> RuntimeService::container_status(Call&, const v1::ContainerStatusRequest&) {
  return unimplemented("ContainerStatus");
}
Result<v1::UpdateContainerResourcesResponse> RuntimeService::update_container_resources(
    Call&, const v1::UpdateContainerResourcesRequest&) {
  return unimplemented("UpdateContainerResources");
}
Result<v1::ReopenContainerLogResponse> RuntimeService::reopen_container_log(Call&,
                                                                            const v1::ReopenContainerLogRequest&) {
  return unimplemented("ReopenContainerLog");
}
Result<v1::ExecSyncResponse> RuntimeService::exec_sync(Call&, const v1::ExecSyncRequest&) {
  return unimplemented("ExecSync");
}
Result<v1::ExecResponse> RuntimeService::exec(Call&, const v1::ExecRequest&) { return unimplemented("Exec"); }
Result<v1::AttachResponse> RuntimeService::attach(Call&, const v1::AttachRequest&) { return unimplemented("Attach"); }
Result<v1::PortForwardResponse> RuntimeService::port_forward(Call&, const v1::PortForwardRequest&) {
  return unimplemented("PortForward");
}
Result<v1::ContainerStatsResponse> RuntimeService::container_stats(Call&, const v1::ContainerStatsRequest&) {
  return unimplemented("ContainerStats");
}
Result<v1::ListContainerStatsResponse> RuntimeService::list_container_stats(Call&,
                                                                            const v1::ListContainerStatsRequest&) {
  return unimplemented("ListContainerStats");
}
Result<> RuntimeService::stream_container_stats(Call&, const v1::StreamContainerStatsRequest&,
                                                const Sink<v1::StreamContainerStatsResponse>&) {
  return unimplemented("StreamContainerStats");
}
Result<v1::PodSandboxStatsResponse> RuntimeService::pod_sandbox_stats(Call&, const v1::PodSandboxStatsRequest&) {
  return unimplemented("PodSandboxStats");
}
Result<v1::ListPodSandboxStatsResponse> RuntimeService::list_pod_sandbox_stats(Call&,
                                                                               const v1::ListPodSandboxStatsRequest&) {
  return unimplemented("ListPodSandboxStats");
}
Result<> RuntimeService::stream_pod_sandbox_stats(Call&, const v1::StreamPodSandboxStatsRequest&,
                                                  const Sink<v1::StreamPodSandboxStatsResponse>&) {
  return unimplemented("StreamPodSandboxStats");
}
Result<v1::UpdateRuntimeConfigResponse> RuntimeService::update_runtime_config(Call&,
                                                                              const v1::UpdateRuntimeConfigRequest&) {
  return unimplemented("UpdateRuntimeConfig");
}
Result<v1::StatusResponse> RuntimeService::status(Call&, const v1::StatusRequest&) { return unimplemented("Status"); }
Result<v1::CheckpointContainerResponse> RuntimeService::checkpoint_container(Call&,
                                                                             const v1::CheckpointContainerRequest&) {
  return unimplemented("CheckpointContainer");
}
Result<v1::CheckpointPodResponse> RuntimeService::checkpoint_pod(Call&, const v1::CheckpointPodRequest&) {
  return unimplemented("CheckpointPod");
}
Result<v1::RestorePodResponse> RuntimeService::restore_pod(Call&, const v1::RestorePodRequest&) {
  return unimplemented("RestorePod");
}
Result<> RuntimeService::get_container_events(Call&, const v1::GetEventsRequest&,
                                              const Sink<v1::ContainerEventResponse>&) {
  return unimplemented("GetContainerEvents");
}
Result<v1::ListMetricDescriptorsResponse> RuntimeService::list_metric_descriptors(
    Call&, const v1::ListMetricDescriptorsRequest&) {
  return unimplemented("ListMetricDescriptors");
}
Result<v1::ListPodSandboxMetricsResponse> RuntimeService::list_pod_sandbox_metrics(
    Call&, const v1::ListPodSandboxMetricsRequest&) {
  return unimplemented("ListPodSandboxMetrics");
}
Result<> RuntimeService::stream_pod_sandbox_metrics(Call&, const v1::StreamPodSandboxMetricsRequest&,
                                                    const Sink<v1::StreamPodSandboxMetricsResponse>&) {
  return unimplemented("StreamPodSandboxMetrics");
}
Result<v1::RuntimeConfigResponse> RuntimeService::runtime_config(Call&, const v1::RuntimeConfigRequest&) {
  return unimplemented("RuntimeConfig");
}
Result<v1::UpdatePodSandboxResourcesResponse> RuntimeService::update_pod_sandbox_resources(
    Call&, const v1::UpdatePodSandboxResourcesRequest&) {
  return unimplemented("UpdatePodSandboxResources");
}
Result<v1::ListImagesResponse> ImageService::list_images(Call&, const v1::ListImagesRequest&) {
  return unimplemented("ListImages");
}
Result<> ImageService::stream_images(Call&, const v1::StreamImagesRequest&, const Sink<v1::StreamImagesResponse>&) {
  return unimplemented("StreamImages");
}
Result<v1::ImageStatusResponse> ImageService::image_status(Call&, const v1::ImageStatusRequest&) {
  return unimplemented("ImageStatus");
}
Result<v1::PullImageResponse> ImageService::pull_image(Call&, const v1::PullImageRequest&) {
  return unimplemented("PullImage");
}
Result<v1::RemoveImageResponse> ImageService::remove_image(Call&, const v1::RemoveImageRequest&) {
  return unimplemented("RemoveImage");
}
Result<v1::ImageFsInfoResponse> ImageService::image_fs_info(Call&, const v1::ImageFsInfoRequest&) {
  return unimplemented("ImageFsInfo");
}

}  // namespace berth::cri
