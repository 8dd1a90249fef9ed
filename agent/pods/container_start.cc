// SPDX-License-Identifier: Apache-2.0
#include "agent/pods/engine_impl.h"
#include "runtime/base/log.h"
#include "runtime/base/strings.h"

namespace berth::pods {

Result<> EngineImpl::start_container(const std::string& id) {
  TRY_ASSIGN(const ContainerPtr known, container_of(id));
  TRY_ASSIGN(const core::PodLock lock, locks_.acquire(known->record.pod_id));
  TRY_ASSIGN(const ContainerPtr container, container_of(known->record.id));
  return start_locked(container);
}

Result<> EngineImpl::start_locked(const ContainerPtr& container) {
  const std::string id = container->record.id;
  if (container->record.state != state::ContainerState::kCreated) {
    return fail(Code::kFailedPrecondition, concat("container ", quote(id), " is not in created state"));
  }
  const PodPtr pod = registry_.find_pod(container->record.pod_id);
  if (pod == nullptr || pod->record.state != state::PodState::kReady) {
    return fail(Code::kFailedPrecondition, concat("pod sandbox ", quote(container->record.pod_id), " is not ready"));
  }
  {
    const std::lock_guard lock(records_mutex_);
    starting_.insert(id);
  }
  auto shim = shim_of(pod->record.id);
  const Result<> started = shim ? shim->start(id) : Result<>(std::unexpected(shim.error()));
  Result<> outcome;
  std::optional<shim::ExitRecord> exit;
  if (started) {
    auto running = change_container(id, [](state::ContainerRecord& record) {
      if (record.state != state::ContainerState::kCreated) return false;
      record.state = state::ContainerState::kRunning;
      record.started_at = std::max(realtime_nanos(), record.created_at);
      return true;
    });
    if (running) {
      emit(Kind::kContainerStarted, *pod, running->get());
      log_info("container started", {{"container", id}, {"pod", pod->record.id}});
    } else {
      outcome = std::unexpected(running.error());
    }
  } else {
    outcome = std::unexpected(started.error());
    exit.emplace();
    exit->code = 128;
    exit->reason = "StartError";
    exit->message = started.error().message();
    exit->finished_at = realtime_nanos();
  }
  {
    const std::lock_guard lock(records_mutex_);
    starting_.erase(id);
    const auto early = early_exits_.find(id);
    if (early != early_exits_.end()) {
      if (!exit) exit = early->second;
      early_exits_.erase(early);
    }
  }
  if (exit) note_exit(id, *exit);
  if (!started && shim && shim->alive()) (void)shim->kill(id, 9, true);
  return outcome;
}

}  // namespace berth::pods
