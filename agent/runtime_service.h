// SPDX-License-Identifier: Apache-2.0
// CRI's RuntimeService over the engine: translation only. What is not overridden answers UNIMPLEMENTED by name.
#pragma once

#include <functional>
#include <string>

#include "agent/event_hub.h"
#include "agent/pods/engine.h"
#include "agent/streaming/server.h"
#include "cri/service.h"

namespace berth::agent {

namespace v1 = ::runtime::v1;

class RuntimeService final : public cri::RuntimeService {
 public:
  // The three must outlive the service. `state_directory` is told in Status' verbose information.
  RuntimeService(pods::Engine& engine, streaming::Server& streaming, EventHub& events, std::string state_directory)
      : engine_(engine), streaming_(streaming), events_(events), state_directory_(std::move(state_directory)) {}

  // Called with a container's full id after its resources were changed. Set once, before the service is used.
  void on_resize(std::function<void(const std::string& container_id)> observer) { resized_ = std::move(observer); }

  Result<v1::VersionResponse> version(cri::Call& call, const v1::VersionRequest& request) override;
  Result<v1::StatusResponse> status(cri::Call& call, const v1::StatusRequest& request) override;
  Result<v1::RuntimeConfigResponse> runtime_config(cri::Call& call, const v1::RuntimeConfigRequest& request) override;
  Result<v1::UpdateRuntimeConfigResponse> update_runtime_config(cri::Call& call,
                                                                const v1::UpdateRuntimeConfigRequest& request) override;

  Result<v1::RunPodSandboxResponse> run_pod_sandbox(cri::Call& call, const v1::RunPodSandboxRequest& request) override;
  Result<v1::StopPodSandboxResponse> stop_pod_sandbox(cri::Call& call,
                                                      const v1::StopPodSandboxRequest& request) override;
  Result<v1::RemovePodSandboxResponse> remove_pod_sandbox(cri::Call& call,
                                                          const v1::RemovePodSandboxRequest& request) override;
  Result<v1::PodSandboxStatusResponse> pod_sandbox_status(cri::Call& call,
                                                          const v1::PodSandboxStatusRequest& request) override;
  Result<v1::ListPodSandboxResponse> list_pod_sandbox(cri::Call& call,
                                                      const v1::ListPodSandboxRequest& request) override;
  Result<> stream_pod_sandboxes(cri::Call& call, const v1::StreamPodSandboxesRequest& request,
                                const cri::Sink<v1::StreamPodSandboxesResponse>& sink) override;
  Result<v1::UpdatePodSandboxResourcesResponse> update_pod_sandbox_resources(
      cri::Call& call, const v1::UpdatePodSandboxResourcesRequest& request) override;

  Result<v1::CreateContainerResponse> create_container(cri::Call& call,
                                                       const v1::CreateContainerRequest& request) override;
  Result<v1::StartContainerResponse> start_container(cri::Call& call,
                                                     const v1::StartContainerRequest& request) override;
  Result<v1::StopContainerResponse> stop_container(cri::Call& call, const v1::StopContainerRequest& request) override;
  Result<v1::RemoveContainerResponse> remove_container(cri::Call& call,
                                                       const v1::RemoveContainerRequest& request) override;
  Result<v1::ListContainersResponse> list_containers(cri::Call& call,
                                                     const v1::ListContainersRequest& request) override;
  Result<> stream_containers(cri::Call& call, const v1::StreamContainersRequest& request,
                             const cri::Sink<v1::StreamContainersResponse>& sink) override;
  Result<v1::ContainerStatusResponse> container_status(cri::Call& call,
                                                       const v1::ContainerStatusRequest& request) override;
  Result<v1::UpdateContainerResourcesResponse> update_container_resources(
      cri::Call& call, const v1::UpdateContainerResourcesRequest& request) override;
  Result<v1::ReopenContainerLogResponse> reopen_container_log(cri::Call& call,
                                                              const v1::ReopenContainerLogRequest& request) override;

  Result<v1::ExecSyncResponse> exec_sync(cri::Call& call, const v1::ExecSyncRequest& request) override;
  Result<v1::ExecResponse> exec(cri::Call& call, const v1::ExecRequest& request) override;
  Result<v1::AttachResponse> attach(cri::Call& call, const v1::AttachRequest& request) override;
  Result<v1::PortForwardResponse> port_forward(cri::Call& call, const v1::PortForwardRequest& request) override;

  Result<v1::ContainerStatsResponse> container_stats(cri::Call& call,
                                                     const v1::ContainerStatsRequest& request) override;
  Result<v1::ListContainerStatsResponse> list_container_stats(cri::Call& call,
                                                              const v1::ListContainerStatsRequest& request) override;
  Result<> stream_container_stats(cri::Call& call, const v1::StreamContainerStatsRequest& request,
                                  const cri::Sink<v1::StreamContainerStatsResponse>& sink) override;
  Result<v1::PodSandboxStatsResponse> pod_sandbox_stats(cri::Call& call,
                                                        const v1::PodSandboxStatsRequest& request) override;
  Result<v1::ListPodSandboxStatsResponse> list_pod_sandbox_stats(
      cri::Call& call, const v1::ListPodSandboxStatsRequest& request) override;
  Result<> stream_pod_sandbox_stats(cri::Call& call, const v1::StreamPodSandboxStatsRequest& request,
                                    const cri::Sink<v1::StreamPodSandboxStatsResponse>& sink) override;
  Result<> get_container_events(cri::Call& call, const v1::GetEventsRequest& request,
                                const cri::Sink<v1::ContainerEventResponse>& sink) override;

 private:
  // The full id of a running container, for the URLs of exec and attach.
  Result<v1::ContainerStatus> running(const std::string& id);

  pods::Engine& engine_;
  streaming::Server& streaming_;
  EventHub& events_;
  std::string state_directory_;
  std::function<void(const std::string&)> resized_;
};

}  // namespace berth::agent
