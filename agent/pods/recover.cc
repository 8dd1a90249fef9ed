// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "agent/pods/engine_impl.h"
#include "runtime/base/log.h"
#include "runtime/base/strings.h"
#include "runtime/sys/file.h"

namespace berth::pods {
namespace {

using PodState = state::PodState;
using ContainerState = state::ContainerState;

void report(std::string_view message, const std::string& id, const Result<>& result) {
  if (!result) log_error(message, {{"id", id}, {"error", result.error().message()}});
}

bool looks_like_id(const std::string& name) {
  return name.size() == 64 && name.find_first_not_of("0123456789abcdef") == std::string::npos;
}

}  // namespace

// The registry from the store. What is still being made by somebody is not shown.
Result<> EngineImpl::load() {
  TRY_ASSIGN(auto pod_records, store_->pods(config_.name_space));
  TRY_ASSIGN(auto container_records, store_->containers(config_.name_space));
  std::vector<PodPtr> pods;
  std::vector<ContainerPtr> containers;
  for (state::PodRecord& record : pod_records) {
    if (record.state != PodState::kCreating) pods.push_back(make_pod(std::move(record)));
  }
  for (state::ContainerRecord& record : container_records) {
    if (record.state != ContainerState::kCreating) containers.push_back(make_container(std::move(record)));
  }
  registry_.replace(std::move(pods), std::move(containers));
  return {};
}

// Daemonless only: what changed since, by other processes and by itself.
Result<> EngineImpl::refresh() {
  if (live_) return {};
  TRY(load());
  for (const PodPtr& pod : registry_.pods()) {
    if (pod->record.state != PodState::kReady) continue;
    auto shim = shim_of(pod->record.id);
    const bool alive = shim && shim->alive();
    for (const ContainerPtr& container : registry_.containers_of(pod->record.id)) {
      const ContainerState state = container->record.state;
      if (state != ContainerState::kCreated && state != ContainerState::kRunning) continue;
      auto exit = shims::ShimClient::read_exit(pod_directory(pod->record.id), container->record.id);
      if (exit) {
        note_exit(container->record.id, *exit);
      } else if (!alive) {
        note_lost(container);
      }
    }
    if (alive) continue;
    TRY(change_pod(pod->record.id, [](state::PodRecord& record) {
      record.state = PodState::kNotReady;
      return true;
    }));
  }
  return {};
}

Result<> EngineImpl::recover() {
  TRY(load());
  TRY(finish_interrupted());
  for (const PodPtr& pod : registry_.pods()) report("pod not recovered", pod->record.id, recover_pod(pod));
  remove_orphans();
  return {};
}

// Objects whose making or removal was cut short: undone or finished.
Result<> EngineImpl::finish_interrupted() {
  TRY_ASSIGN(auto containers, store_->containers(config_.name_space));
  for (const state::ContainerRecord& record : containers) {
    if (record.state != ContainerState::kCreating && record.state != ContainerState::kRemoving) continue;
    log_info("finishing an interrupted container", {{"container", record.id}});
    const auto done = discard_container(record);
    report("interrupted container not removed", record.id, done);
    if (done) registry_.erase_container(record.id);
  }
  TRY_ASSIGN(auto pods, store_->pods(config_.name_space));
  for (state::PodRecord& record : pods) {
    if (record.state != PodState::kCreating && record.state != PodState::kRemoving) continue;
    log_info("finishing an interrupted pod", {{"pod", record.id}});
    const auto done = discard_pod(record);
    report("interrupted pod not removed", record.id, done);
    if (done) {
      registry_.erase_pod(record.id);
    } else {
      record.state = PodState::kNotReady;
      registry_.put(make_pod(record));
    }
  }
  return {};
}

Result<> EngineImpl::recover_pod(const PodPtr& pod) {
  const std::string& id = pod->record.id;
  auto shim = shim_of(id);
  const bool rebooted = pod->record.boot_id != host_.boot_id;
  if (!rebooted && shim && shim->alive()) {
    if (pod->record.state != PodState::kReady) return {};
    auto states = shim->list();
    if (states) {
      settle_containers(pod, *states);
    } else {
      // Alive but silent (stopped, busy): its containers are taken as they were; the watch asks again.
      log_warn("the pod's shim does not answer", {{"pod", id}, {"error", states.error().message()}});
    }
    start_watch(id);
    return {};
  }
  if (!rebooted) clean_after_shim(pod->record);
  for (const ContainerPtr& container : registry_.containers_of(id)) {
    if (container->record.state != ContainerState::kExited) note_lost(container);
  }
  TRY(change_pod(id, [](state::PodRecord& record) {
    record.state = PodState::kNotReady;
    record.shim_pid = 0;
    return true;
  }));
  return {};
}

// Records against what the shim says.
void EngineImpl::settle_containers(const PodPtr& pod, const std::vector<shims::ContainerState>& states) {
  for (const ContainerPtr& container : registry_.containers_of(pod->record.id)) {
    if (container->record.state == ContainerState::kExited) continue;
    const auto found =
        std::find_if(states.begin(), states.end(), [&](const auto& state) { return state.id == container->record.id; });
    if (found == states.end()) {
      note_lost(container);
    } else if (found->exit) {
      note_exit(container->record.id, *found->exit);
    } else if (found->status == "stopped") {
      note_lost(container);
    } else if (found->status == "running" && container->record.state == ContainerState::kCreated) {
      // Started, and the agent was killed before it could say so.
      auto changed = change_container(container->record.id, [&](state::ContainerRecord& record) {
        record.state = ContainerState::kRunning;
        record.started_at = std::max(found->started_at, record.created_at);
        record.pid = found->pid;
        return true;
      });
      if (!changed)
        log_error("start not recorded", {{"container", container->record.id}, {"error", changed.error().message()}});
    }
  }
}

// What stands on the node and has no record: network results, snapshots, pod directories of this namespace.
void EngineImpl::remove_orphans() {
  const auto pods = store_->all_pod_ids();
  const auto containers = store_->all_container_ids();
  if (!pods || !containers) return;
  const auto known = [](const std::vector<std::string>& ids, const std::string& id) {
    return std::find(ids.begin(), ids.end(), id) != ids.end();
  };
  const std::string directory = concat(config_.state, "/", config_.name_space, "/pods");
  if (const auto names = sys::list_directory(directory)) {
    for (const std::string& name : *names) {
      if (!looks_like_id(name) || known(*pods, name)) continue;
      log_warn("removing a pod without a record", {{"pod", name}});
      state::PodRecord record;
      record.id = name;
      if (auto shim = shim_of(name); shim && shim->alive()) report("orphaned shim not stopped", name, shim->stop());
      clean_after_shim(record);
      report("orphaned pod directory not removed", name, sys::remove_tree(concat(directory, "/", name)));
    }
  }
  if (auto net = network()) {
    if (const auto attached = (*net)->attached_pods()) {
      for (const std::string& id : *attached) {
        if (!known(*pods, id)) report("orphaned network not detached", id, (*net)->detach(id, ""));
      }
    }
  }
  if (const auto snapshots = images_->snapshots()) {
    for (const std::string& key : *snapshots) {
      // Keys of other kinds belong to builds.
      if (looks_like_id(key) && !known(*containers, key))
        report("orphaned snapshot not removed", key, images_->remove_snapshot(key));
    }
  }
}

// Daemonless only: pods whose maker was killed. A lock that can be had belongs to nobody.
void EngineImpl::sweep_abandoned() {
  const auto pods = store_->pods(config_.name_space);
  if (!pods) return;
  for (const state::PodRecord& found : *pods) {
    if (found.state != PodState::kCreating && found.state != PodState::kRemoving) continue;
    const auto lock = locks_.try_acquire(found.id);
    if (!lock || *lock == nullptr) continue;
    auto current = store_->find_pod(found.id);
    if (!current || !*current || ((*current)->state != PodState::kCreating && (*current)->state != PodState::kRemoving))
      continue;
    report("abandoned pod not removed", found.id, discard_pod(**current));
  }
}

}  // namespace berth::pods
