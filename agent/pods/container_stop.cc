// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <csignal>

#include "agent/pods/engine_impl.h"
#include "agent/pods/signal_readiness.h"
#include "runtime/base/log.h"
#include "runtime/base/strings.h"

namespace berth::pods {
namespace {

constexpr std::chrono::milliseconds kKillDeadline{30000};
constexpr std::chrono::seconds kLongestGrace{1'000'000'000};
constexpr long long kYoungNanos = 2'000'000'000;  // a program this old has installed its signal handlers
constexpr std::chrono::milliseconds kHandlerPatience{500};

void await_handler(const state::ContainerRecord& record, std::chrono::milliseconds grace) {
  if (realtime_nanos() - record.started_at > kYoungNanos) return;
  wait_until_noticed(record.pid, record.stop_signal, std::min(grace, kHandlerPatience));
}

}  // namespace

Result<> EngineImpl::stop_container(const std::string& id, std::chrono::seconds grace) {
  TRY(refresh());
  const ContainerPtr container = registry_.find_container(id);
  if (container == nullptr) return {};
  // No lock of the pod: a second stop with less patience must be able to overtake this one.
  return end_container(container, std::clamp(grace, std::chrono::seconds(0), kLongestGrace));
}

Result<> EngineImpl::end_container(const ContainerPtr& container, std::chrono::milliseconds grace) {
  const std::string& id = container->record.id;
  if (container->record.state == state::ContainerState::kExited) return {};
  auto shim = shim_of(container->record.pod_id);
  if (!shim || !shim->alive()) {
    remove_cgroup(container->record.cgroup_path, id, true);
    note_lost(container);
    return {};
  }
  const bool running = container->record.state == state::ContainerState::kRunning;
  if (running && grace.count() > 0) {
    await_handler(container->record, grace);
    const auto sent = shim->kill(id, container->record.stop_signal, false);
    if (!sent) log_debug("stop signal not sent", {{"container", id}, {"error", sent.error().message()}});
    const auto exit = shim->wait(id, grace);
    if (exit) {
      note_exit(id, *exit);
      return {};
    }
    if (exit.error().code() != Code::kDeadlineExceeded && exit.error().code() != Code::kNotFound) {
      return std::unexpected(Error(exit.error()).wrap(concat("stop container ", quote(id))));
    }
  }
  const auto killed = shim->kill(id, SIGKILL, true);
  const auto exit = shim->wait(id, kKillDeadline);
  if (exit) {
    note_exit(id, *exit);
    return {};
  }
  if (exit.error().code() == Code::kNotFound) {
    note_lost(container);
    return {};
  }
  if (!killed) return std::unexpected(Error(killed.error()).wrap(concat("kill container ", quote(id))));
  return std::unexpected(Error(exit.error()).wrap(concat("stop container ", quote(id))));
}

Result<> EngineImpl::remove_container(const std::string& id) {
  TRY(refresh());
  const ContainerPtr known = registry_.find_container(id);
  if (known == nullptr) return {};
  TRY_ASSIGN(const core::PodLock lock, locks_.acquire(known->record.pod_id));
  TRY(refresh());
  const ContainerPtr container = registry_.find_container(known->record.id);
  if (container == nullptr) return {};
  return remove_container_locked(container);
}

Result<> EngineImpl::remove_container_locked(const ContainerPtr& container) {
  const std::string id = container->record.id;
  TRY(end_container(container, std::chrono::milliseconds(0)));
  TRY_ASSIGN(const ContainerPtr removing, change_container(id, [](state::ContainerRecord& record) {
               record.state = state::ContainerState::kRemoving;
               return true;
             }));
  TRY(discard_container(removing->record));
  registry_.erase_container(id);
  {
    const std::lock_guard lock(stats_mutex_);
    samplers_.erase(id);
    usages_.erase(id);
  }
  if (const PodPtr pod = registry_.find_pod(removing->record.pod_id))
    emit(Kind::kContainerRemoved, *pod, removing.get());
  log_info("container removed", {{"container", id}});
  return {};
}

Result<> EngineImpl::kill_container(const std::string& id, int signal) {
  TRY_ASSIGN(const ContainerPtr container, running_container(id));
  TRY_ASSIGN(const shims::ShimClient shim, shim_of(container->record.pod_id));
  return shim.kill(container->record.id, signal, false);
}

Result<shim::ExitRecord> EngineImpl::wait_container(const std::string& id) {
  TRY_ASSIGN(const ContainerPtr container, container_of(id));
  const std::string& full = container->record.id;
  const std::string directory = pod_directory(container->record.pod_id);
  if (container->record.state == state::ContainerState::kExited) {
    auto recorded = shims::ShimClient::read_exit(directory, full);
    if (recorded) return recorded;
    shim::ExitRecord exit;
    exit.code = container->record.exit_code;
    exit.started_at = container->record.started_at;
    exit.finished_at = container->record.finished_at;
    exit.reason = container->record.reason;
    exit.message = container->record.message;
    return exit;
  }
  auto shim = shim_of(container->record.pod_id);
  if (shim) {
    auto exit = shim->wait(full);
    if (exit) {
      note_exit(full, *exit);
      return exit;
    }
  }
  note_lost(container);
  return shims::ShimClient::read_exit(directory, full);
}

}  // namespace berth::pods
