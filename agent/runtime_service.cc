// SPDX-License-Identifier: Apache-2.0
#include "agent/runtime_service.h"

#include <chrono>

#include "agent/version.h"
#include "runtime/base/strings.h"

namespace berth::agent {

Result<v1::VersionResponse> RuntimeService::version(cri::Call&, const v1::VersionRequest&) {
  v1::VersionResponse response;
  response.set_version("0.1.0");  // of the kubelet runtime API; peers answer the same
  response.set_runtime_name("berth");
  response.set_runtime_version(kVersion);
  response.set_runtime_api_version("v1");
  return response;
}

Result<v1::StatusResponse> RuntimeService::status(cri::Call&, const v1::StatusRequest& request) {
  v1::StatusResponse response;
  v1::RuntimeCondition& runtime = *response.mutable_status()->add_conditions();
  runtime.set_type("RuntimeReady");
  runtime.set_status(true);
  v1::RuntimeCondition& network = *response.mutable_status()->add_conditions();
  network.set_type("NetworkReady");
  const std::string problem = engine_.network_problem();
  network.set_status(problem.empty());
  if (!problem.empty()) {
    network.set_reason("NetworkPluginNotReady");
    network.set_message(problem);
  }
  // The default handler is looked up by its empty name.
  for (const char* name : {"", "berth"}) {
    v1::RuntimeHandler& handler = *response.add_runtime_handlers();
    handler.set_name(name);
    handler.mutable_features()->set_recursive_read_only_mounts(true);
    handler.mutable_features()->set_user_namespaces(false);
  }
  response.mutable_features()->set_supplemental_groups_policy(true);
  if (request.verbose()) {
    (*response.mutable_info())["config"] =
        concat("{\"stateDir\":", quote(state_directory_), ",\"cgroupDriver\":", quote(engine_.cgroup_driver()), "}");
  }
  return response;
}

Result<v1::RuntimeConfigResponse> RuntimeService::runtime_config(cri::Call&, const v1::RuntimeConfigRequest&) {
  v1::RuntimeConfigResponse response;
  response.mutable_linux()->set_cgroup_driver(engine_.cgroup_driver() == "systemd" ? v1::SYSTEMD : v1::CGROUPFS);
  return response;
}

Result<v1::UpdateRuntimeConfigResponse> RuntimeService::update_runtime_config(cri::Call&,
                                                                              const v1::UpdateRuntimeConfigRequest&) {
  // The pod CIDR is for runtimes that write their own network configuration from a template.
  return v1::UpdateRuntimeConfigResponse();
}

Result<v1::RunPodSandboxResponse> RuntimeService::run_pod_sandbox(cri::Call&, const v1::RunPodSandboxRequest& request) {
  TRY_ASSIGN(const std::string id, engine_.run_pod_sandbox(request));
  v1::RunPodSandboxResponse response;
  response.set_pod_sandbox_id(id);
  return response;
}

Result<v1::StopPodSandboxResponse> RuntimeService::stop_pod_sandbox(cri::Call&,
                                                                    const v1::StopPodSandboxRequest& request) {
  TRY(engine_.stop_pod_sandbox(request.pod_sandbox_id()));
  return v1::StopPodSandboxResponse();
}

Result<v1::RemovePodSandboxResponse> RuntimeService::remove_pod_sandbox(cri::Call&,
                                                                        const v1::RemovePodSandboxRequest& request) {
  TRY(engine_.remove_pod_sandbox(request.pod_sandbox_id()));
  return v1::RemovePodSandboxResponse();
}

Result<v1::PodSandboxStatusResponse> RuntimeService::pod_sandbox_status(cri::Call&,
                                                                        const v1::PodSandboxStatusRequest& request) {
  return engine_.pod_sandbox_status(request.pod_sandbox_id(), request.verbose());
}

Result<v1::ListPodSandboxResponse> RuntimeService::list_pod_sandbox(cri::Call&,
                                                                    const v1::ListPodSandboxRequest& request) {
  return engine_.list_pod_sandbox(request);
}

Result<> RuntimeService::stream_pod_sandboxes(cri::Call&, const v1::StreamPodSandboxesRequest& request,
                                              const cri::Sink<v1::StreamPodSandboxesResponse>& sink) {
  v1::ListPodSandboxRequest list;
  *list.mutable_filter() = request.filter();
  TRY_ASSIGN(v1::ListPodSandboxResponse all, engine_.list_pod_sandbox(list));
  v1::StreamPodSandboxesResponse message;
  message.mutable_pod_sandboxes()->Swap(all.mutable_items());
  sink(message);
  return {};
}

Result<v1::UpdatePodSandboxResourcesResponse> RuntimeService::update_pod_sandbox_resources(
    cri::Call&, const v1::UpdatePodSandboxResourcesRequest& request) {
  // kubelet has written the pod's cgroup itself; the call tells runtimes whose sandbox holds resources of its own.
  TRY(engine_.pod_sandbox_status(request.pod_sandbox_id(), false));
  return v1::UpdatePodSandboxResourcesResponse();
}

Result<v1::CreateContainerResponse> RuntimeService::create_container(cri::Call&,
                                                                     const v1::CreateContainerRequest& request) {
  TRY_ASSIGN(const std::string id, engine_.create_container(request));
  v1::CreateContainerResponse response;
  response.set_container_id(id);
  return response;
}

Result<v1::StartContainerResponse> RuntimeService::start_container(cri::Call&,
                                                                   const v1::StartContainerRequest& request) {
  TRY(engine_.start_container(request.container_id()));
  return v1::StartContainerResponse();
}

Result<v1::StopContainerResponse> RuntimeService::stop_container(cri::Call&, const v1::StopContainerRequest& request) {
  TRY(engine_.stop_container(request.container_id(), std::chrono::seconds(request.timeout())));
  return v1::StopContainerResponse();
}

Result<v1::RemoveContainerResponse> RuntimeService::remove_container(cri::Call&,
                                                                     const v1::RemoveContainerRequest& request) {
  TRY(engine_.remove_container(request.container_id()));
  return v1::RemoveContainerResponse();
}

Result<v1::ListContainersResponse> RuntimeService::list_containers(cri::Call&,
                                                                   const v1::ListContainersRequest& request) {
  return engine_.list_containers(request);
}

Result<> RuntimeService::stream_containers(cri::Call&, const v1::StreamContainersRequest& request,
                                           const cri::Sink<v1::StreamContainersResponse>& sink) {
  v1::ListContainersRequest list;
  *list.mutable_filter() = request.filter();
  TRY_ASSIGN(v1::ListContainersResponse all, engine_.list_containers(list));
  v1::StreamContainersResponse message;
  message.mutable_containers()->Swap(all.mutable_containers());
  sink(message);
  return {};
}

Result<v1::ContainerStatusResponse> RuntimeService::container_status(cri::Call&,
                                                                     const v1::ContainerStatusRequest& request) {
  return engine_.container_status(request.container_id(), request.verbose());
}

Result<v1::UpdateContainerResourcesResponse> RuntimeService::update_container_resources(
    cri::Call&, const v1::UpdateContainerResourcesRequest& request) {
  TRY(engine_.update_container_resources(request));
  if (resized_) {
    const auto status = engine_.container_status(request.container_id(), false);
    if (status) resized_(status->status().id());
  }
  return v1::UpdateContainerResourcesResponse();
}

Result<v1::ReopenContainerLogResponse> RuntimeService::reopen_container_log(
    cri::Call&, const v1::ReopenContainerLogRequest& request) {
  TRY(engine_.reopen_container_log(request.container_id()));
  return v1::ReopenContainerLogResponse();
}

Result<v1::ExecSyncResponse> RuntimeService::exec_sync(cri::Call&, const v1::ExecSyncRequest& request) {
  return engine_.exec_sync(request);
}

Result<v1::ContainerStatus> RuntimeService::running(const std::string& id) {
  TRY_ASSIGN(v1::ContainerStatusResponse response, engine_.container_status(id, false));
  if (response.status().state() != v1::CONTAINER_RUNNING) {
    return fail(Code::kFailedPrecondition, concat("container ", quote(id), " is not running"));
  }
  return std::move(*response.mutable_status());
}

Result<v1::ExecResponse> RuntimeService::exec(cri::Call&, const v1::ExecRequest& request) {
  TRY_ASSIGN(const v1::ContainerStatus container, running(request.container_id()));
  if (request.cmd().empty()) return fail(Code::kInvalidArgument, "exec: no command");
  streaming::ExecTarget target;
  target.container_id = container.id();
  target.command.assign(request.cmd().begin(), request.cmd().end());
  target.terminal = request.tty();
  target.open_stdin = request.stdin();
  target.open_stdout = request.stdout();
  target.open_stderr = request.stderr();
  v1::ExecResponse response;
  TRY_ASSIGN(*response.mutable_url(), streaming_.exec_url(target));
  return response;
}

Result<v1::AttachResponse> RuntimeService::attach(cri::Call&, const v1::AttachRequest& request) {
  TRY_ASSIGN(const v1::ContainerStatus container, running(request.container_id()));
  streaming::ExecTarget target;
  target.container_id = container.id();
  target.terminal = request.tty();
  target.open_stdin = request.stdin();
  target.open_stdout = request.stdout();
  target.open_stderr = request.stderr();
  v1::AttachResponse response;
  TRY_ASSIGN(*response.mutable_url(), streaming_.attach_url(target));
  return response;
}

Result<v1::PortForwardResponse> RuntimeService::port_forward(cri::Call&, const v1::PortForwardRequest& request) {
  TRY_ASSIGN(const auto pod, engine_.pod_sandbox_status(request.pod_sandbox_id(), false));
  if (pod.status().state() != v1::SANDBOX_READY) {
    return fail(Code::kFailedPrecondition, concat("pod sandbox ", quote(request.pod_sandbox_id()), " is not ready"));
  }
  v1::PortForwardResponse response;
  TRY_ASSIGN(*response.mutable_url(), streaming_.port_forward_url(pod.status().id()));
  return response;
}

Result<v1::ContainerStatsResponse> RuntimeService::container_stats(cri::Call&,
                                                                   const v1::ContainerStatsRequest& request) {
  v1::ContainerStatsResponse response;
  TRY_ASSIGN(*response.mutable_stats(), engine_.container_stats(request.container_id()));
  return response;
}

Result<v1::ListContainerStatsResponse> RuntimeService::list_container_stats(
    cri::Call&, const v1::ListContainerStatsRequest& request) {
  return engine_.list_container_stats(request);
}

Result<> RuntimeService::stream_container_stats(cri::Call&, const v1::StreamContainerStatsRequest& request,
                                                const cri::Sink<v1::StreamContainerStatsResponse>& sink) {
  v1::ListContainerStatsRequest list;
  *list.mutable_filter() = request.filter();
  TRY_ASSIGN(v1::ListContainerStatsResponse all, engine_.list_container_stats(list));
  v1::StreamContainerStatsResponse message;
  message.mutable_container_stats()->Swap(all.mutable_stats());
  sink(message);
  return {};
}

Result<v1::PodSandboxStatsResponse> RuntimeService::pod_sandbox_stats(cri::Call&,
                                                                      const v1::PodSandboxStatsRequest& request) {
  v1::PodSandboxStatsResponse response;
  TRY_ASSIGN(*response.mutable_stats(), engine_.pod_sandbox_stats(request.pod_sandbox_id()));
  return response;
}

Result<v1::ListPodSandboxStatsResponse> RuntimeService::list_pod_sandbox_stats(
    cri::Call&, const v1::ListPodSandboxStatsRequest& request) {
  return engine_.list_pod_sandbox_stats(request);
}

Result<> RuntimeService::stream_pod_sandbox_stats(cri::Call&, const v1::StreamPodSandboxStatsRequest& request,
                                                  const cri::Sink<v1::StreamPodSandboxStatsResponse>& sink) {
  v1::ListPodSandboxStatsRequest list;
  *list.mutable_filter() = request.filter();
  TRY_ASSIGN(v1::ListPodSandboxStatsResponse all, engine_.list_pod_sandbox_stats(list));
  v1::StreamPodSandboxStatsResponse message;
  message.mutable_pod_sandbox_stats()->Swap(all.mutable_stats());
  sink(message);
  return {};
}

Result<> RuntimeService::get_container_events(cri::Call& call, const v1::GetEventsRequest&,
                                              const cri::Sink<v1::ContainerEventResponse>& sink) {
  return events_.serve(call, sink);
}

}  // namespace berth::agent
