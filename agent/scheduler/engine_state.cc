// SPDX-License-Identifier: Apache-2.0
// What the engine knows of containers, in the reporter's words.
#include "agent/scheduler/reporter.h"

namespace berth::scheduler {
namespace {

ContainerInfo::Phase phase_of(runtime::v1::ContainerState state) {
  if (state == runtime::v1::CONTAINER_RUNNING) return ContainerInfo::Phase::kRunning;
  return state == runtime::v1::CONTAINER_EXITED ? ContainerInfo::Phase::kExited : ContainerInfo::Phase::kCreated;
}

std::string label(const google::protobuf::Map<std::string, std::string>& labels, const char* name) {
  const auto it = labels.find(name);
  return it == labels.end() ? std::string() : it->second;
}

// The pod's identity from the labels that kubelet puts on containers; the sandbox's metadata fills what is missing.
ContainerInfo describe(pods::Engine& engine, const runtime::v1::Container& listed) {
  ContainerInfo out;
  out.id = listed.id();
  out.pod_id = listed.pod_sandbox_id();
  out.name = listed.metadata().name();
  out.attempt = listed.metadata().attempt();
  out.phase = phase_of(listed.state());
  out.pod_uid = label(listed.labels(), "io.kubernetes.pod.uid");
  out.pod_name = label(listed.labels(), "io.kubernetes.pod.name");
  out.pod_namespace = label(listed.labels(), "io.kubernetes.pod.namespace");
  if (const auto status = engine.container_status(out.id, false)) {
    out.resources = status->status().resources().linux();
    out.exit_code = status->status().exit_code();
  }
  if (out.pod_uid.empty() || out.pod_name.empty()) {
    if (const auto pod = engine.pod_sandbox_status(out.pod_id, false)) {
      out.pod_uid = pod->status().metadata().uid();
      out.pod_name = pod->status().metadata().name();
      out.pod_namespace = pod->status().metadata().namespace_();
    }
  }
  return out;
}

}  // namespace

std::vector<ContainerInfo> containers_of(pods::Engine& engine) {
  std::vector<ContainerInfo> out;
  const auto list = engine.list_containers({});
  if (!list) return out;
  for (const auto& container : list->containers()) out.push_back(describe(engine, container));
  return out;
}

std::optional<ContainerInfo> container_of(pods::Engine& engine, const std::string& id) {
  runtime::v1::ListContainersRequest request;
  request.mutable_filter()->set_id(id);
  const auto list = engine.list_containers(request);
  if (!list) return std::nullopt;
  for (const auto& container : list->containers()) {
    if (container.id() == id) return describe(engine, container);
  }
  return std::nullopt;
}

}  // namespace berth::scheduler
