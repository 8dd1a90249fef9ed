// SPDX-License-Identifier: Apache-2.0

#include "agent/pods/deterministic.h"
#include "agent/pods/engine_impl.h"
#include "agent/pods/sandbox_files.h"
#include "agent/pods/validate.h"
#include "runtime/base/log.h"
#include "runtime/base/strings.h"
#include "runtime/sys/file.h"

namespace berth::pods {
namespace {

std::string unique_name(const v1::PodSandboxMetadata& metadata) {
  return concat(metadata.name(), "_", metadata.namespace_(), "_", metadata.uid(), "_", metadata.attempt());
}

shim::PodSettings shim_settings(const state::PodRecord& record, const v1::PodSandboxConfig& config,
                                const std::string& host_name) {
  shim::PodSettings settings;
  settings.pod_id = record.id;
  settings.new_network = !uses_host_network(config);
  settings.new_uts = settings.new_network;
  settings.new_ipc = !uses_host_ipc(config);
  settings.shared_pid = config.linux().security_context().namespace_options().pid() == v1::POD;
  settings.hostname = settings.new_uts ? pod_hostname(config, record.id, host_name) : "";
  settings.sysctls.insert(config.linux().sysctls().begin(), config.linux().sysctls().end());
  if (settings.new_network) {
    // What the peers set: ports below 1024 and ping for everybody, within the pod's own network.
    settings.sysctls.try_emplace("net.ipv4.ip_unprivileged_port_start", "0");
    settings.sysctls.try_emplace("net.ipv4.ping_group_range", "0 2147483647");
  }
  if (!settings.new_ipc) settings.shm_bytes = 0;
  return settings;
}

network::Attachment attachment_of(const state::PodRecord& record, const v1::PodSandboxConfig& config,
                                  std::string netns) {
  network::Attachment attachment;
  attachment.pod_id = record.id;
  attachment.netns = std::move(netns);
  attachment.pod_name = config.metadata().name();
  attachment.pod_namespace = config.metadata().namespace_();
  attachment.pod_uid = config.metadata().uid();
  attachment.cgroup_parent = record.cgroup_parent;
  attachment.dns_servers.assign(config.dns_config().servers().begin(), config.dns_config().servers().end());
  for (const v1::PortMapping& port : config.port_mappings()) {
    if (port.host_port() <= 0) continue;
    network::PortMapping mapping;
    mapping.protocol = port.protocol() == v1::UDP ? "udp" : port.protocol() == v1::SCTP ? "sctp" : "tcp";
    mapping.container_port = uint16_t(port.container_port());
    mapping.host_port = uint16_t(port.host_port());
    mapping.host_ip = port.host_ip();
    attachment.ports.push_back(std::move(mapping));
  }
  return attachment;
}

}  // namespace

Result<std::string> EngineImpl::run_pod_sandbox(const v1::RunPodSandboxRequest& request) {
  TRY(validate_sandbox(request.config(), request.runtime_handler(), false));
  if (!live_) sweep_abandoned();
  const std::string name = unique_name(request.config().metadata());
  return joins_.run(concat("pod/", name), [&] { return run_new_pod(request, name); });
}

Result<std::string> EngineImpl::run_new_pod(const v1::RunPodSandboxRequest& request, const std::string& name) {
  const std::string config = deterministic_bytes(request.config());
  TRY_ASSIGN(const auto existing, store_->find_pod_by_name(config_.name_space, name));
  if (existing) {
    // The caller of an earlier try went away before it had the answer.
    if (existing->state == state::PodState::kReady && existing->config == config) return existing->id;
    return fail(Code::kAlreadyExists,
                concat("pod name ", quote(name), " is in use by pod sandbox ", quote(existing->id)));
  }
  state::PodRecord record;
  record.id = random_hex(32);
  record.name_space = config_.name_space;
  record.name = name;
  record.config = config;
  record.runtime_handler = request.runtime_handler();
  record.created_at = realtime_nanos();
  record.boot_id = host_.boot_id;
  const std::string& parent = request.config().linux().cgroup_parent();
  record.own_cgroup = parent.empty();
  record.cgroup_parent =
      parent.empty() ? concat("/berth/", record.id) : concat(parent.starts_with('/') ? "" : "/", parent);
  while (record.cgroup_parent.size() > 1 && record.cgroup_parent.ends_with('/')) record.cgroup_parent.pop_back();
  TRY_ASSIGN(const core::PodLock lock, locks_.acquire(record.id));
  TRY(store_->insert(record));
  const auto built = build_pod(record, request.config());
  if (!built) {
    if (const auto undone = discard_pod(record); !undone) {
      // Not forgotten: kubelet sees a pod that is not ready, and stops and removes it again.
      log_error("failed pod is kept for removal", {{"pod", record.id}, {"error", undone.error().message()}});
      record.state = state::PodState::kNotReady;
      (void)store_->update(record);
      registry_.put(make_pod(record));
    }
    return std::unexpected(built.error());
  }
  const PodPtr pod = make_pod(record);
  registry_.put(pod);
  emit(Kind::kSandboxCreated, *pod);
  emit(Kind::kSandboxReady, *pod);
  start_watch(record.id);
  log_info("pod started",
           {{"pod", record.id}, {"name", name}, {"ms", (realtime_nanos() - record.created_at) / 1000000}});
  return record.id;
}

Result<> EngineImpl::build_pod(state::PodRecord& record, const v1::PodSandboxConfig& config) {
  const std::string directory = pod_directory(record.id);
  TRY(sys::make_directories(directory));
  if (!config.log_directory().empty()) TRY(sys::make_directories(config.log_directory(), 0755), "log_directory");
  TRY(make_pod_cgroup(record));
  TRY_ASSIGN(const shims::ShimClient shim,
             shims::ShimClient::spawn(config_.shim_path, directory, shim_settings(record, config, host_.host_name)),
             "start the pod's shim");
  record.shim_pid = shim.pid();
  record.shim_start_time = shim.start_time();
  record.pid_namespace_pid = shim.pid_namespace_pid();
  if (!uses_host_network(config)) TRY(attach_network(record, config, shim), "attach the pod's network");
  TRY(write_pod_files(record, config));
  record.state = state::PodState::kReady;
  return store_->update(record);
}

Result<> EngineImpl::make_pod_cgroup(const state::PodRecord& record) const {
  TRY_ASSIGN(cgroup::Cgroup group, cgroup::Cgroup::locate(layout_, record.cgroup_parent, record.id));
  // kubelet has made it already, and it may hold other containers: that is no error for a parent.
  auto created = group.create();
  // Another pod's removal may have taken the empty parent away between two of its directories.
  for (int attempt = 0; attempt < 3 && !created && created.error().code() == Code::kNotFound; ++attempt) created = group.create();
  if (!created && created.error().code() != Code::kFailedPrecondition) {
    return std::unexpected(std::move(created).error().wrap(concat("cgroup ", quote(record.cgroup_parent))));
  }
  return {};
}

Result<> EngineImpl::attach_network(state::PodRecord& record, const v1::PodSandboxConfig& config,
                                    const shims::ShimClient& shim) {
  TRY_ASSIGN(network::Network* const net, network());
  record.network_attached = true;
  TRY(store_->update(record));
  TRY_ASSIGN(const network::NetworkResult result,
             net->attach(attachment_of(record, config, shim.namespace_path("net"))));
  record.ips = result.ips;
  return {};
}

Result<> EngineImpl::write_pod_files(const state::PodRecord& record, const v1::PodSandboxConfig& config) {
  const std::string directory = pod_directory(record.id);
  const std::string name = pod_hostname(config, record.id, host_.host_name);
  const std::string host_hosts = sys::read_file("/etc/hosts").value_or("127.0.0.1\tlocalhost\n");
  const std::string host_resolv = sys::read_file("/etc/resolv.conf").value_or("");
  // Readable inside for every user; bound there, so never replaced by rename once a container runs.
  TRY(sys::replace_file(directory + "/hosts", hosts_text(uses_host_network(config), host_hosts, name, record.ips), 0644,
                        false));
  TRY(sys::replace_file(directory + "/resolv.conf", resolv_conf_text(config, host_resolv), 0644, false));
  return sys::replace_file(directory + "/hostname", name + "\n", 0644, false);
}

}  // namespace berth::pods
