// SPDX-License-Identifier: Apache-2.0
#include "agent/pods/deterministic.h"
#include <unistd.h>

#include "agent/pods/engine_impl.h"
#include "agent/pods/sandbox_files.h"
#include "agent/pods/seccomp_default.h"
#include "agent/pods/signals.h"
#include "agent/pods/user.h"
#include "agent/pods/validate.h"
#include "runtime/base/log.h"
#include "runtime/base/strings.h"
#include "runtime/oci/spec_json.h"
#include "runtime/sys/file.h"

namespace berth::pods {
namespace {

UserRequest user_request(const v1::ContainerConfig& config, const rootfs::Image& image) {
  const v1::LinuxContainerSecurityContext& context = config.linux().security_context();
  UserRequest request;
  if (context.has_run_as_user()) request.uid = context.run_as_user().value();
  request.name = context.run_as_username();
  if (context.has_run_as_group()) request.gid = context.run_as_group().value();
  request.supplemental_groups.assign(context.supplemental_groups().begin(), context.supplemental_groups().end());
  request.strict_groups = context.supplemental_groups_policy() == v1::Strict;
  request.image_user = image.config.user;
  return request;
}

std::string log_path_of(const v1::ContainerConfig& config, const v1::PodSandboxConfig& sandbox) {
  if (config.log_path().empty()) return "";
  if (sandbox.log_directory().empty()) return config.log_path().starts_with('/') ? config.log_path() : "";
  return concat(sandbox.log_directory(), config.log_path().starts_with('/') ? "" : "/", config.log_path());
}

std::string user_bytes(const oci::User& user) {
  v1::ContainerUser message;
  message.mutable_linux()->set_uid(user.uid);
  message.mutable_linux()->set_gid(user.gid);
  for (const uint32_t gid : user.additional_gids) message.mutable_linux()->add_supplemental_groups(gid);
  return deterministic_bytes(message);
}

}  // namespace

Result<std::string> EngineImpl::create_container(const v1::CreateContainerRequest& request) {
  TRY(validate_container(request.config()));
  TRY_ASSIGN(const PodPtr pod, pod_of(request.pod_sandbox_id()));
  const std::string name = concat(request.config().metadata().name(), "_", request.config().metadata().attempt());
  return joins_.run(concat("container/", pod->record.id, "/", name),
                    [&] { return create_new_container(request, pod, name); });
}

Result<std::string> EngineImpl::create_new_container(const v1::CreateContainerRequest& request, const PodPtr& known,
                                                     const std::string& name) {
  TRY_ASSIGN(const core::PodLock lock, locks_.acquire(known->record.id));
  TRY_ASSIGN(const PodPtr pod, pod_of(known->record.id));
  if (pod->record.state != state::PodState::kReady) {
    return fail(Code::kFailedPrecondition, concat("pod sandbox ", quote(pod->record.id), " is not ready"));
  }
  const std::string config = deterministic_bytes(request.config());
  TRY_ASSIGN(const auto existing, store_->find_container_by_name(pod->record.id, name));
  if (existing) {
    if (existing->state == state::ContainerState::kCreated && existing->config == config) return existing->id;
    return fail(Code::kAlreadyExists,
                concat("container name ", quote(name), " is in use by container ", quote(existing->id)));
  }
  const std::string& wanted = request.config().image().image();
  TRY_ASSIGN(const auto image, images_->find(wanted));
  if (!image) return fail(Code::kNotFound, concat("image ", quote(wanted), " is not on this node"));

  state::ContainerRecord record;
  record.id = random_hex(32);
  record.pod_id = pod->record.id;
  record.name_space = config_.name_space;
  record.name = name;
  record.config = config;
  record.image_id = image->id;
  record.image_ref = image->repo_digests.empty() ? image->id : image->repo_digests.front();
  record.image_name = image->repo_tags.empty() ? image->id : image->repo_tags.front();
  record.created_at = realtime_nanos();
  record.log_path = log_path_of(request.config(), *pod->config);
  record.cgroup_path = concat(pod->record.cgroup_parent, "/", record.id);
  record.resources = deterministic_bytes(request.config().linux().resources());
  TRY_ASSIGN(record.stop_signal, stop_signal_number(request.config().stop_signal(), image->config.stop_signal));
  TRY(store_->insert(record));
  const auto built = build_container(record, request.config(), *pod, *image);
  if (!built) {
    if (const auto undone = discard_container(record); !undone) {
      log_error("failed container is kept for removal",
                {{"container", record.id}, {"error", undone.error().message()}});
    }
    return std::unexpected(built.error());
  }
  const ContainerPtr container = make_container(record);
  registry_.put(container);
  emit(Kind::kContainerCreated, *pod, container.get());
  log_info("container created", {{"container", record.id}, {"pod", pod->record.id}, {"name", name}});
  return record.id;
}

Result<> EngineImpl::build_container(state::ContainerRecord& record, const v1::ContainerConfig& config, const Pod& pod,
                                     const rootfs::Image& image) {
  TRY_ASSIGN(const rootfs::OverlayDirs layers, images_->prepare_snapshot(record.id, image.id));
  TRY_ASSIGN(const std::string passwd, read_image_file(layers.lower, "etc/passwd"));
  TRY_ASSIGN(const std::string group, read_image_file(layers.lower, "etc/group"));
  TRY_ASSIGN(const oci::User user, resolve_user(user_request(config, image), passwd, group));
  record.user = user_bytes(user);
  TRY_ASSIGN(const oci::Spec spec, make_spec(record, config, pod, image, user));
  const std::string bundle = bundle_directory(pod.record.id, record.id);
  TRY(sys::make_directories(bundle));
  TRY(sys::replace_file(bundle + "/config.json", oci::to_json(spec), 0600, false));
  shims::CreateOptions options;
  options.id = record.id;
  options.bundle = bundle;
  options.terminal = config.tty();
  options.open_stdin = config.stdin();
  options.stdin_once = config.stdin_once();
  options.log_path = record.log_path;
  options.lower = layers.lower;
  options.upper = layers.upper;
  options.work = layers.work;
  if (!record.log_path.empty()) {
    TRY(sys::make_directories(record.log_path.substr(0, record.log_path.rfind('/')), 0755), "log directory");
  }
  TRY_ASSIGN(const shims::ShimClient shim, shim_of(pod.record.id));
  TRY_ASSIGN(record.pid, shim.create(options));
  record.state = state::ContainerState::kCreated;
  return store_->update(record);
}

Result<oci::Spec> EngineImpl::make_spec(const state::ContainerRecord& record, const v1::ContainerConfig& config,
                                        const Pod& pod, const rootfs::Image& image, const oci::User& user) {
  const v1::LinuxContainerSecurityContext& context = config.linux().security_context();
  SpecInput input;
  input.container_id = record.id;
  input.config = &config;
  input.sandbox = pod.config.get();
  input.image = &image.config;
  input.host = &host_;
  input.user = user;
  TRY_ASSIGN(input.mounts, resolve_mounts(config, input.rootfs_propagation));
  TRY_ASSIGN(input.devices, resolve_devices(config, context.privileged()));
  input.pod_directory = pod_directory(pod.record.id);
  input.host_name = pod_hostname(*pod.config, pod.record.id, host_.host_name);
  input.cgroup_parent = pod.record.cgroup_parent;
  TRY_ASSIGN(input.pid_namespace, joined_pid_namespace(config, pod));
  TRY_ASSIGN(oci::Spec spec, build_spec(input));
  TRY_ASSIGN(spec.linux_.seccomp, container_seccomp(context, spec.process->capabilities->bounding));
  return spec;
}

Result<std::string> EngineImpl::joined_pid_namespace(const v1::ContainerConfig& config, const Pod& pod) {
  switch (effective_pid_mode(config, *pod.config)) {
    case v1::POD: {
      TRY_ASSIGN(const shims::ShimClient shim, shim_of(pod.record.id));
      return shim.namespace_path("pid");
    }
    case v1::TARGET: {
      const std::string& target = config.linux().security_context().namespace_options().target_id();
      const ContainerPtr container = registry_.find_container(target);
      if (container == nullptr || container->record.pod_id != pod.record.id) {
        return fail(Code::kNotFound, concat("target container ", quote(target), " does not exist in this pod"));
      }
      if (container->record.state != state::ContainerState::kRunning) {
        return fail(Code::kFailedPrecondition, concat("target container ", quote(target), " is not running"));
      }
      return concat("/proc/", container->record.pid, "/ns/pid");
    }
    default:
      return std::string();
  }
}

Result<> EngineImpl::discard_container(const state::ContainerRecord& record) {
  auto shim = shim_of(record.pod_id);
  if (shim && shim->alive()) {
    TRY(shim->remove(record.id, true), concat("delete container ", quote(record.id)));
  } else {
    remove_cgroup(record.cgroup_path, record.id, true);
  }
  TRY(images_->remove_snapshot(record.id));
  TRY(sys::remove_tree(bundle_directory(record.pod_id, record.id)));
  return store_->remove_container(record.id);
}

void EngineImpl::remove_cgroup(const std::string& path, const std::string& id, bool kill_first) const {
  if (path.empty()) return;
  auto located = cgroup::Cgroup::locate(layout_, path, id);
  if (!located) return;
  auto group = cgroup::Cgroup::open(located->paths());
  if (!group || group->empty()) return;
  if (kill_first) {
    if (const auto killed = group->signal_all(9); !killed) {
      log_warn("processes not killed", {{"cgroup", path}, {"error", killed.error().message()}});
    }
  }
  if (const auto removed = group->remove(); !removed) {
    log_warn("cgroup not removed", {{"cgroup", path}, {"error", removed.error().message()}});
  }
}

void EngineImpl::remove_own_cgroup(const std::string& path, const std::string& id) const {
  auto located = cgroup::Cgroup::locate(layout_, path, id);
  remove_cgroup(path, id, false);
  if (!located) return;
  // /berth itself goes with its last pod; while others live the kernel refuses.
  for (const auto& [controller, directory] : located->paths()) ::rmdir(directory.substr(0, directory.rfind('/')).c_str());
}

}  // namespace berth::pods
