// SPDX-License-Identifier: Apache-2.0
#include <unistd.h>

#include <climits>

#include "agent/pods/engine_impl.h"
#include "agent/pods/watch.h"
#include "runtime/base/log.h"
#include "runtime/base/strings.h"
#include "runtime/sys/file.h"

namespace berth::pods {
namespace {

Result<std::string> shim_beside_this_program() {
  char path[PATH_MAX];
  const ssize_t length = ::readlink("/proc/self/exe", path, sizeof path);
  if (length <= 0 || size_t(length) == sizeof path) return fail_errno("find this program's path");
  std::string self(path, size_t(length));
  self.resize(self.rfind('/') + 1);
  return self + "berth-shim";
}

Result<EngineConfig> complete(EngineConfig config) {
  if (config.shim_path.empty()) {
    TRY_ASSIGN(config.shim_path, shim_beside_this_program());
  }
  if (config.cgroup_driver == "systemd") {
    return fail(Code::kUnimplemented,
                "cgroup driver \"systemd\" is not supported by this agent: use \"cgroupfs\" or \"auto\"");
  }
  if (config.cgroup_driver != "auto" && config.cgroup_driver != "cgroupfs") {
    return fail(Code::kInvalidArgument, concat("cgroup driver ", quote(config.cgroup_driver), " is unknown"));
  }
  return config;
}

}  // namespace

Result<std::unique_ptr<Engine>> Engine::open(EngineConfig config, std::shared_ptr<rootfs::Images> images,
                                             bool recover) {
  TRY_ASSIGN(EngineConfig whole, complete(std::move(config)));
  auto engine = std::make_unique<EngineImpl>(std::move(whole), std::move(images), recover);
  TRY(engine->open());
  return engine;
}

EngineImpl::EngineImpl(EngineConfig config, std::shared_ptr<rootfs::Images> images, bool live)
    : config_(std::move(config)),
      images_(std::move(images)),
      live_(live),
      locks_(live ? std::string() : concat(config_.state, "/", config_.name_space, "/locks")) {}

EngineImpl::~EngineImpl() {
  std::map<std::string, std::unique_ptr<Watch>> watches;
  {
    const std::lock_guard lock(watches_mutex_);
    watches.swap(watches_);
  }
  for (auto& [id, watch] : watches) watch->stop();
}

Result<> EngineImpl::open() {
  TRY(sys::make_directories(config_.root));
  TRY(sys::make_directories(concat(config_.state, "/", config_.name_space, "/pods")));
  TRY_ASSIGN(layout_, cgroup::detect());
  TRY_ASSIGN(host_, gather_host_facts(layout_));
  TRY_ASSIGN(store_, state::Store::open(config_.root));
  if (!live_) return {};
  return recover();
}

std::string EngineImpl::pod_directory(const std::string& pod_id) const {
  return concat(config_.state, "/", config_.name_space, "/pods/", pod_id);
}

std::string EngineImpl::bundle_directory(const std::string& pod_id, const std::string& id) const {
  return concat(pod_directory(pod_id), "/containers/", id);
}

Result<PodPtr> EngineImpl::pod_of(const std::string& id) {
  TRY(refresh());
  PodPtr pod = registry_.find_pod(id);
  if (pod == nullptr) return fail(Code::kNotFound, concat("pod sandbox ", quote(id), " does not exist"));
  return pod;
}

Result<ContainerPtr> EngineImpl::container_of(const std::string& id) {
  TRY(refresh());
  ContainerPtr container = registry_.find_container(id);
  if (container == nullptr) return fail(Code::kNotFound, concat("container ", quote(id), " does not exist"));
  return container;
}

Result<shims::ShimClient> EngineImpl::shim_of(const std::string& pod_id) const {
  return shims::ShimClient::connect(pod_directory(pod_id));
}

Result<ContainerPtr> EngineImpl::change_container(const std::string& id,
                                                  const std::function<bool(state::ContainerRecord&)>& edit) {
  const std::lock_guard lock(records_mutex_);
  ContainerPtr current = registry_.find_container(id);
  if (!live_) {
    // Another process may have written since we looked.
    TRY_ASSIGN(auto record, store_->find_container(id));
    if (!record) current = nullptr;
    if (record && current != nullptr)
      current = std::make_shared<const Container>(Container{std::move(*record), current->config});
  }
  if (current == nullptr) return fail(Code::kNotFound, concat("container ", quote(id), " does not exist"));
  Container next = *current;
  if (!edit(next.record)) return current;
  TRY(store_->update(next.record));
  ContainerPtr published = std::make_shared<const Container>(std::move(next));
  registry_.put(published);
  return published;
}

Result<PodPtr> EngineImpl::change_pod(const std::string& id, const std::function<bool(state::PodRecord&)>& edit) {
  const std::lock_guard lock(records_mutex_);
  PodPtr current = registry_.find_pod(id);
  if (current == nullptr) return fail(Code::kNotFound, concat("pod sandbox ", quote(id), " does not exist"));
  Pod next = *current;
  if (!edit(next.record)) return current;
  TRY(store_->update(next.record));
  PodPtr published = std::make_shared<const Pod>(std::move(next));
  registry_.put(published);
  return published;
}

void EngineImpl::note_exit(const std::string& id, const shim::ExitRecord& exit) {
  {
    const std::lock_guard lock(records_mutex_);
    if (starting_.contains(id)) {
      early_exits_.emplace(id, exit);
      return;
    }
  }
  bool changed = false;
  auto container = change_container(id, [&](state::ContainerRecord& record) {
    using enum state::ContainerState;
    if (record.state == kExited || record.state == kRemoving) return false;
    changed = true;
    record.state = kExited;
    record.exit_code = exit.code;
    if (exit.started_at != 0) record.started_at = exit.started_at;
    record.finished_at = exit.finished_at != 0 ? exit.finished_at : realtime_nanos();
    record.finished_at = std::max(record.finished_at, std::max(record.started_at, record.created_at));
    record.pid = 0;
    record.message = exit.message;
    if (!exit.reason.empty()) {
      record.reason = exit.reason;
    } else {
      record.reason = exit.oom ? "OOMKilled" : exit.code == 0 ? "Completed" : "Error";
    }
    return true;
  });
  if (!container) {
    if (container.error().code() != Code::kNotFound)
      log_error("exit not recorded", {{"container", id}, {"error", container.error().message()}});
    return;
  }
  if (!changed) return;
  log_info("container exited", {{"container", id}, {"code", exit.code}, {"reason", (*container)->record.reason}});
  const PodPtr pod = registry_.find_pod((*container)->record.pod_id);
  if (pod == nullptr) return;
  if (exit.oom) emit(Kind::kContainerOom, *pod, container->get());
  emit(Kind::kContainerExited, *pod, container->get(), exit);
}

void EngineImpl::note_lost(const ContainerPtr& container) {
  auto exit = shims::ShimClient::read_exit(pod_directory(container->record.pod_id), container->record.id);
  if (exit) return note_exit(container->record.id, *exit);
  shim::ExitRecord unknown;
  unknown.code = 255;
  unknown.finished_at = realtime_nanos();
  unknown.reason = "Unknown";
  unknown.message = "the container's supervisor is gone";
  note_exit(container->record.id, unknown);
}

void EngineImpl::emit(Kind kind, const Pod& pod, const Container* container, std::optional<shim::ExitRecord> exit) {
  // Shared: whoever replaces the observer waits until nobody is in the old one.
  const std::shared_lock lock(observer_mutex_);
  if (!observer_) return;
  LifecycleEvent event;
  event.kind = kind;
  event.pod_id = pod.record.id;
  event.pod_uid = pod.config->metadata().uid();
  event.attempt = pod.config->metadata().attempt();
  if (container != nullptr) {
    event.container_id = container->record.id;
    event.attempt = container->config->metadata().attempt();
  }
  event.wall_nanos = realtime_nanos();
  event.exit = std::move(exit);
  observer_(event);
}

void EngineImpl::on_event(std::function<void(const LifecycleEvent&)> observer) {
  const std::unique_lock lock(observer_mutex_);
  observer_ = std::move(observer);
}

Result<network::Network*> EngineImpl::network() {
  const std::lock_guard lock(network_mutex_);
  if (network_ == nullptr) {
    network::NetworkConfig config;
    config.mode = config_.network;
    config.root = config_.root + "/network";
    config.cni_conf_dir = config_.cni_conf_dir;
    config.cni_bin_dir = config_.cni_bin_dir;
    TRY_ASSIGN(network_, network::Network::open(std::move(config)));
  }
  return network_.get();
}

std::string EngineImpl::network_problem() {
  auto opened = network();
  if (!opened) return opened.error().message();
  return (*opened)->problem();
}

}  // namespace berth::pods
