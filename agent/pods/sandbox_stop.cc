// SPDX-License-Identifier: Apache-2.0
#include <sys/mount.h>
#include <sys/wait.h>

#include "agent/pods/engine_impl.h"
#include "runtime/base/log.h"
#include "runtime/base/strings.h"
#include "runtime/sys/file.h"

namespace berth::pods {

Result<> EngineImpl::stop_pod_sandbox(const std::string& pod_id) {
  TRY(refresh());
  const PodPtr known = registry_.find_pod(pod_id);
  if (known == nullptr) return {};
  TRY_ASSIGN(const core::PodLock lock, locks_.acquire(known->record.id));
  TRY(refresh());
  const PodPtr pod = registry_.find_pod(known->record.id);
  if (pod == nullptr) return {};
  return stop_pod_locked(pod);
}

Result<> EngineImpl::stop_pod_locked(const PodPtr& pod) {
  const std::string id = pod->record.id;
  for (const ContainerPtr& container : registry_.containers_of(id)) {
    if (container->record.state != state::ContainerState::kExited)
      TRY(end_container(container, std::chrono::milliseconds(0)));
  }
  stop_watch(id);
  state::PodRecord record = pod->record;
  const auto torn_down = tear_down_pod(record);
  if (!torn_down) {
    start_watch(id);
    return torn_down;
  }
  const bool was_ready = pod->record.state == state::PodState::kReady;
  TRY_ASSIGN(const PodPtr stopped, change_pod(id, [&](state::PodRecord& current) {
               current = record;
               if (current.state == state::PodState::kReady) current.state = state::PodState::kNotReady;
               return true;
             }));
  if (was_ready) {
    log_info("pod stopped", {{"pod", id}});
    emit(Kind::kSandboxStopped, *stopped);
  }
  return {};
}

Result<> EngineImpl::tear_down_pod(state::PodRecord& record) {
  auto shim = shim_of(record.id);
  const bool alive = shim && shim->alive();
  if (record.network_attached) {
    TRY_ASSIGN(network::Network* const net, network());
    TRY(net->detach(record.id, alive ? shim->namespace_path("net") : ""), "detach the pod's network");
    record.network_attached = false;
    record.ips.clear();
    TRY(store_->update(record));
  }
  if (alive) TRY(shim->stop(), "stop the pod's shim");
  clean_after_shim(record);
  record.shim_pid = 0;
  record.pid_namespace_pid = 0;
  return {};
}

void EngineImpl::clean_after_shim(const state::PodRecord& record) {
  for (const ContainerPtr& container : registry_.containers_of(record.id)) {
    remove_cgroup(container->record.cgroup_path, container->record.id, true);
  }
  // A shim that ended by itself is this process' zombie, if it is its child at all.
  if (record.shim_pid > 0) (void)::waitpid(record.shim_pid, nullptr, WNOHANG);
  // The shim's own mount, when it had no time to take it away.
  const std::string shm = pod_directory(record.id) + "/shm";
  while (::umount2(shm.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW) == 0) {
  }
}

Result<> EngineImpl::discard_pod(state::PodRecord& record) {
  TRY(tear_down_pod(record));
  TRY(sys::remove_tree(pod_directory(record.id)));
  if (record.own_cgroup) remove_own_cgroup(record.cgroup_parent, record.id);
  TRY(store_->remove_pod(record.id));
  locks_.forget(record.id);
  return {};
}

Result<> EngineImpl::remove_pod_sandbox(const std::string& pod_id) {
  TRY(refresh());
  const PodPtr known = registry_.find_pod(pod_id);
  if (known == nullptr) return {};
  TRY_ASSIGN(const core::PodLock lock, locks_.acquire(known->record.id));
  TRY(refresh());
  const PodPtr pod = registry_.find_pod(known->record.id);
  if (pod == nullptr) return {};
  return remove_pod_locked(pod);
}

Result<> EngineImpl::remove_pod_locked(const PodPtr& pod) {
  TRY(stop_pod_locked(pod));
  const std::string id = pod->record.id;
  for (const ContainerPtr& container : registry_.containers_of(id)) TRY(remove_container_locked(container));
  TRY_ASSIGN(const PodPtr removing, change_pod(id, [](state::PodRecord& record) {
               record.state = state::PodState::kRemoving;
               return true;
             }));
  emit(Kind::kSandboxRemoved, *removing);
  state::PodRecord record = removing->record;
  TRY(discard_pod(record));
  registry_.erase_pod(id);
  log_info("pod removed", {{"pod", id}});
  return {};
}

}  // namespace berth::pods
