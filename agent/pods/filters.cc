// SPDX-License-Identifier: Apache-2.0
#include "agent/pods/filters.h"

namespace berth::pods {

v1::PodSandboxState cri_state(state::PodState state) {
  return state == state::PodState::kReady ? v1::SANDBOX_READY : v1::SANDBOX_NOTREADY;
}

v1::ContainerState cri_state(state::ContainerState state) {
  switch (state) {
    case state::ContainerState::kCreating:
    case state::ContainerState::kCreated:
      return v1::CONTAINER_CREATED;
    case state::ContainerState::kRunning:
      return v1::CONTAINER_RUNNING;
    case state::ContainerState::kExited:
    case state::ContainerState::kRemoving:
      return v1::CONTAINER_EXITED;
  }
  return v1::CONTAINER_UNKNOWN;
}

bool matches(const Pod& pod, const v1::PodSandboxFilter& filter) {
  if (!pod.record.id.starts_with(filter.id())) return false;
  if (filter.has_state() && cri_state(pod.record.state) != filter.state().state()) return false;
  return has_labels(pod.config->labels(), filter.label_selector());
}

bool matches(const Pod& pod, const v1::PodSandboxStatsFilter& filter) {
  return pod.record.id.starts_with(filter.id()) && has_labels(pod.config->labels(), filter.label_selector());
}

bool matches(const Container& container, const v1::ContainerFilter& filter) {
  if (!container.record.id.starts_with(filter.id()) || !container.record.pod_id.starts_with(filter.pod_sandbox_id()))
    return false;
  if (filter.has_state() && cri_state(container.record.state) != filter.state().state()) return false;
  return has_labels(container.config->labels(), filter.label_selector());
}

bool matches(const Container& container, const v1::ContainerStatsFilter& filter) {
  return container.record.id.starts_with(filter.id()) && container.record.pod_id.starts_with(filter.pod_sandbox_id()) &&
         has_labels(container.config->labels(), filter.label_selector());
}

}  // namespace berth::pods
