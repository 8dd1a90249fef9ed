// SPDX-License-Identifier: Apache-2.0
#include "agent/pods/deterministic.h"
#include "agent/pods/engine_impl.h"
#include "agent/pods/resources.h"
#include "runtime/base/strings.h"

namespace berth::pods {

void merge_resources(v1::LinuxContainerResources& target, const v1::LinuxContainerResources& changes) {
  // Message fields are replaced when they are set, which is CRI's rule (zero: unchanged), but lists would be appended
  // to.
  if (changes.hugepage_limits_size() != 0) target.clear_hugepage_limits();
  target.MergeFrom(changes);
}

Result<> EngineImpl::update_container_resources(const v1::UpdateContainerResourcesRequest& request) {
  TRY_ASSIGN(const ContainerPtr known, container_of(request.container_id()));
  TRY_ASSIGN(const core::PodLock lock, locks_.acquire(known->record.pod_id));
  TRY_ASSIGN(const ContainerPtr container, container_of(known->record.id));
  if (!request.has_linux()) return {};
  v1::LinuxContainerResources merged;
  merged.ParseFromString(container->record.resources);
  merge_resources(merged, request.linux());
  if (container->record.state != state::ContainerState::kExited) {
    TRY_ASSIGN(const shims::ShimClient shim, shim_of(container->record.pod_id));
    TRY(shim.update(container->record.id, oci_resources(merged, host_)),
        concat("update container ", quote(container->record.id)));
  }
  TRY(change_container(container->record.id, [&](state::ContainerRecord& record) {
    record.resources = deterministic_bytes(merged);
    return true;
  }));
  return {};
}

Result<> EngineImpl::reopen_container_log(const std::string& id) {
  TRY_ASSIGN(const ContainerPtr container, running_container(id));
  TRY_ASSIGN(const shims::ShimClient shim, shim_of(container->record.pod_id));
  return shim.reopen_log(container->record.id);
}

}  // namespace berth::pods
