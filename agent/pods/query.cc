// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "agent/pods/engine_impl.h"
#include "agent/pods/filters.h"
#include "agent/pods/signals.h"
#include "runtime/base/log.h"
#include "runtime/base/strings.h"
#include "runtime/sys/file.h"

namespace berth::pods {

v1::PodSandboxStatus EngineImpl::pod_status(const Pod& pod) const {
  v1::PodSandboxStatus status;
  status.set_id(pod.record.id);
  *status.mutable_metadata() = pod.config->metadata();
  status.set_state(cri_state(pod.record.state));
  status.set_created_at(pod.record.created_at);
  v1::PodSandboxNetworkStatus& network = *status.mutable_network();
  // The primary address is the first IPv4 one; the others follow.
  const std::vector<std::string>& ips = pod.record.ips;
  auto primary =
      std::find_if(ips.begin(), ips.end(), [](const std::string& ip) { return ip.find(':') == std::string::npos; });
  if (primary == ips.end()) primary = ips.begin();
  if (primary != ips.end()) network.set_ip(*primary);
  for (auto ip = ips.begin(); ip != ips.end(); ++ip) {
    if (ip != primary) network.add_additional_ips()->set_ip(*ip);
  }
  *status.mutable_linux()->mutable_namespaces()->mutable_options() =
      pod.config->linux().security_context().namespace_options();
  *status.mutable_labels() = pod.config->labels();
  *status.mutable_annotations() = pod.config->annotations();
  status.set_runtime_handler(pod.record.runtime_handler);
  return status;
}

v1::ContainerStatus EngineImpl::status_of(const Container& container) const {
  const state::ContainerRecord& record = container.record;
  const v1::ContainerConfig& config = *container.config;
  v1::ContainerStatus status;
  status.set_id(record.id);
  *status.mutable_metadata() = config.metadata();
  status.set_state(cri_state(record.state));
  status.set_created_at(record.created_at);
  status.set_started_at(record.started_at);
  status.set_finished_at(record.finished_at);
  status.set_exit_code(record.exit_code);
  *status.mutable_image() = config.image();
  status.mutable_image()->set_image(record.image_name);
  status.set_image_ref(record.image_ref);
  status.set_image_id(record.image_id);
  status.set_reason(record.reason);
  status.set_message(record.message);
  *status.mutable_labels() = config.labels();
  *status.mutable_annotations() = config.annotations();
  *status.mutable_mounts() = config.mounts();
  status.set_log_path(record.log_path);
  status.mutable_resources()->mutable_linux()->ParseFromString(record.resources);
  status.mutable_user()->ParseFromString(record.user);
  status.set_stop_signal(signal_enum(record.stop_signal));
  return status;
}

Result<v1::PodSandboxStatusResponse> EngineImpl::pod_sandbox_status(const std::string& pod_id, bool verbose) {
  TRY_ASSIGN(const PodPtr pod, pod_of(pod_id));
  v1::PodSandboxStatusResponse response;
  *response.mutable_status() = pod_status(*pod);
  response.set_timestamp(realtime_nanos());
  for (const ContainerPtr& container : registry_.containers_of(pod->record.id)) {
    *response.add_containers_statuses() = status_of(*container);
  }
  if (verbose) {
    // Ids and numbers only: nothing here needs escaping.
    (*response.mutable_info())["info"] = concat(
        "{\"sandboxID\":\"", pod->record.id, "\",\"pid\":", pod->record.shim_pid, ",\"processStatus\":\"",
        pod->record.state == state::PodState::kReady ? "running" : "stopped", "\",\"cgroupDriver\":\"cgroupfs\"}");
  }
  return response;
}

Result<v1::ListPodSandboxResponse> EngineImpl::list_pod_sandbox(const v1::ListPodSandboxRequest& request) {
  TRY(refresh());
  v1::ListPodSandboxResponse response;
  for (const PodPtr& pod : registry_.pods()) {
    if (!matches(*pod, request.filter())) continue;
    v1::PodSandbox& item = *response.add_items();
    item.set_id(pod->record.id);
    *item.mutable_metadata() = pod->config->metadata();
    item.set_state(cri_state(pod->record.state));
    item.set_created_at(pod->record.created_at);
    *item.mutable_labels() = pod->config->labels();
    *item.mutable_annotations() = pod->config->annotations();
    item.set_runtime_handler(pod->record.runtime_handler);
  }
  return response;
}

Result<v1::ContainerStatusResponse> EngineImpl::container_status(const std::string& id, bool verbose) {
  TRY_ASSIGN(const ContainerPtr container, container_of(id));
  v1::ContainerStatusResponse response;
  *response.mutable_status() = status_of(*container);
  if (verbose) {
    const std::string bundle = bundle_directory(container->record.pod_id, container->record.id);
    const std::string spec = sys::read_file(bundle + "/config.json").value_or("null");
    (*response.mutable_info())["info"] =
        concat("{\"sandboxID\":\"", container->record.pod_id, "\",\"pid\":", container->record.pid,
               ",\"snapshotter\":\"overlay\",\"runtimeSpec\":", spec, "}");
  }
  return response;
}

Result<v1::ListContainersResponse> EngineImpl::list_containers(const v1::ListContainersRequest& request) {
  TRY(refresh());
  v1::ListContainersResponse response;
  for (const ContainerPtr& container : registry_.containers()) {
    if (!matches(*container, request.filter())) continue;
    v1::Container& item = *response.add_containers();
    item.set_id(container->record.id);
    item.set_pod_sandbox_id(container->record.pod_id);
    *item.mutable_metadata() = container->config->metadata();
    *item.mutable_image() = container->config->image();
    item.set_image_ref(container->record.image_id);
    item.set_image_id(container->record.image_id);
    item.set_state(cri_state(container->record.state));
    item.set_created_at(container->record.created_at);
    *item.mutable_labels() = container->config->labels();
    *item.mutable_annotations() = container->config->annotations();
  }
  return response;
}

Result<std::string> EngineImpl::resolve_container(const std::string& name_or_id) {
  TRY(refresh());
  std::vector<std::string> by_name;
  std::vector<std::string> by_prefix;
  for (const ContainerPtr& container : registry_.containers()) {
    if (container->record.id == name_or_id) return name_or_id;
    if (container->config->metadata().name() == name_or_id) by_name.push_back(container->record.id);
    if (!name_or_id.empty() && container->record.id.starts_with(name_or_id)) by_prefix.push_back(container->record.id);
  }
  const std::vector<std::string>& found = by_name.empty() ? by_prefix : by_name;
  if (found.empty()) return fail(Code::kNotFound, concat("No such container: ", name_or_id));
  if (found.size() > 1)
    return fail(Code::kInvalidArgument, concat("Multiple containers found with name or ID prefix: ", name_or_id));
  return found.front();
}

}  // namespace berth::pods
