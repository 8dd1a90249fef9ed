// SPDX-License-Identifier: Apache-2.0
// From the flags of `run` to the CRI messages that the engine takes.
#include <boost/json.hpp>

#include "agent/cli/containers.h"
#include "agent/cli/run_options.h"
#include "runtime/base/strings.h"

namespace berth::cli {
namespace {

std::string json_words(const std::vector<std::string>& words) {
  boost::json::array array;
  for (const std::string& word : words) array.emplace_back(word);
  return boost::json::serialize(array);
}

v1::NamespaceMode network_mode(const std::string& network) {
  if (network == "host") return v1::NODE;
  return v1::POD;  // "none" too: its engine attaches nothing, and the shim has brought lo up
}

// What will run, entrypoint first, for the COMMAND column and inspect.
std::vector<std::string> whole_command(const RunOptions& options, const rootfs::Image& image) {
  std::vector<std::string> command;
  if (options.entrypoint) {
    if (!options.entrypoint->empty()) command.push_back(*options.entrypoint);
  } else {
    command = image.config.entrypoint;
  }
  const bool image_words = options.words.empty() && !options.entrypoint;
  const auto& rest = image_words ? image.config.cmd : options.words;
  command.insert(command.end(), rest.begin(), rest.end());
  return command;
}

void fill_namespaces(v1::NamespaceOption& namespaces, const RunOptions& options) {
  namespaces.set_network(network_mode(options.network));
  // A pod that shares its pid namespace has an init of the shim as pid 1: that is what --init asks for.
  namespaces.set_pid(options.init ? v1::POD : v1::CONTAINER);
  namespaces.set_ipc(v1::POD);
}

void fill_security(v1::LinuxContainerSecurityContext& security, const RunOptions& options) {
  fill_namespaces(*security.mutable_namespace_options(), options);
  security.set_privileged(options.privileged);
  security.set_readonly_rootfs(options.read_only);
  security.set_no_new_privs(options.no_new_privileges);
  for (const auto& name : options.cap_add) security.mutable_capabilities()->add_add_capabilities(name);
  for (const auto& name : options.cap_drop) security.mutable_capabilities()->add_drop_capabilities(name);
  for (const auto& group : options.groups) security.add_supplemental_groups(*parse_uint32(group));
  if (options.user) {
    if (options.user->uid)
      security.mutable_run_as_user()->set_value(*options.user->uid);
    else
      security.set_run_as_username(options.user->name);
    if (options.user->gid) security.mutable_run_as_group()->set_value(*options.user->gid);
  }
  const bool unconfined = options.privileged || options.seccomp_unconfined;
  security.mutable_seccomp()->set_profile_type(unconfined ? v1::SecurityProfile::Unconfined
                                                          : v1::SecurityProfile::RuntimeDefault);
  if (!options.privileged) add_default_path_masks(security);
}

void fill_resources(v1::LinuxContainerResources& resources, const RunOptions& options) {
  resources.set_memory_limit_in_bytes(options.memory);
  if (options.cpu_quota > 0) {
    resources.set_cpu_quota(options.cpu_quota);
    resources.set_cpu_period(100000);
  }
  resources.set_cpu_shares(options.cpu_shares);
  resources.set_cpuset_cpus(options.cpuset_cpus);
  // CRI has no field for the number of processes of one container; this is the name that cgroup v2 gives it.
  if (options.pids_limit > 0) (*resources.mutable_unified())["pids.max"] = std::to_string(options.pids_limit);
}

Result<> fill_mounts(v1::ContainerConfig& config, const RunOptions& options, const std::string& root,
                     const std::string& scratch) {
  for (size_t i = 0; i < options.volumes.size(); ++i) {
    const Volume& volume = options.volumes[i];
    TRY_ASSIGN(const std::string source, prepare_volume(volume, root, scratch, i));
    v1::Mount& mount = *config.add_mounts();
    mount.set_host_path(source);
    mount.set_container_path(volume.target);
    mount.set_readonly(volume.read_only);
    mount.set_selinux_relabel(volume.relabel);
    if (volume.propagation == "rslave") mount.set_propagation(v1::PROPAGATION_HOST_TO_CONTAINER);
    if (volume.propagation == "rshared") mount.set_propagation(v1::PROPAGATION_BIDIRECTIONAL);
  }
  return {};
}

void fill_annotations(google::protobuf::Map<std::string, std::string>& notes, const RunOptions& options,
                      const rootfs::Image& image, const std::string& scratch) {
  const auto flag = [](bool on) { return on ? "true" : "false"; };
  notes[kImageAnnotation] = options.image;
  notes[kCommandAnnotation] = json_words(whole_command(options, image));
  notes[kPortsAnnotation] = published_text(options.ports);
  notes[kRemoveAnnotation] = flag(options.remove);
  notes[kTerminalAnnotation] = flag(options.terminal);
  notes[kStdinAnnotation] = flag(options.interactive);
  notes[kNetworkAnnotation] = options.network;
  notes[kStopTimeoutAnnotation] = std::to_string(options.stop_timeout);
  notes[kScratchAnnotation] = scratch;
  notes[kUserAnnotation] = options.user ? options.user_text : image.config.user;
  notes[kWorkDirAnnotation] = options.working_dir.empty() ? image.config.working_dir : options.working_dir;
  notes[kHostnameAnnotation] = options.hostname;
  std::vector<std::string> env = image.config.env;
  for (const auto& [key, value] : options.env) env.push_back(concat(key, '=', value));
  notes[kEnvAnnotation] = json_words(env);
}

}  // namespace

void add_default_path_masks(v1::LinuxContainerSecurityContext& security) {
  for (const char* path : {"/proc/asound", "/proc/acpi", "/proc/interrupts", "/proc/kcore", "/proc/keys",
                           "/proc/latency_stats", "/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug",
                           "/proc/scsi", "/sys/firmware", "/sys/devices/virtual/powercap"}) {
    security.add_masked_paths(path);
  }
  for (const char* path : {"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"})
    security.add_readonly_paths(path);
}

v1::Signal cri_signal(int number) {
  static constexpr v1::Signal kByNumber[] = {
      v1::SIGNAL_RUNTIME_DEFAULT, v1::SIGNAL_SIGHUP,    v1::SIGNAL_SIGINT,  v1::SIGNAL_SIGQUIT,  v1::SIGNAL_SIGILL,
      v1::SIGNAL_SIGTRAP,         v1::SIGNAL_SIGABRT,   v1::SIGNAL_SIGBUS,  v1::SIGNAL_SIGFPE,   v1::SIGNAL_SIGKILL,
      v1::SIGNAL_SIGUSR1,         v1::SIGNAL_SIGSEGV,   v1::SIGNAL_SIGUSR2, v1::SIGNAL_SIGPIPE,  v1::SIGNAL_SIGALRM,
      v1::SIGNAL_SIGTERM,         v1::SIGNAL_SIGSTKFLT, v1::SIGNAL_SIGCHLD, v1::SIGNAL_SIGCONT,  v1::SIGNAL_SIGSTOP,
      v1::SIGNAL_SIGTSTP,         v1::SIGNAL_SIGTTIN,   v1::SIGNAL_SIGTTOU, v1::SIGNAL_SIGURG,   v1::SIGNAL_SIGXCPU,
      v1::SIGNAL_SIGXFSZ,         v1::SIGNAL_SIGVTALRM, v1::SIGNAL_SIGPROF, v1::SIGNAL_SIGWINCH, v1::SIGNAL_SIGIO,
      v1::SIGNAL_SIGPWR,          v1::SIGNAL_SIGSYS};
  if (number > 0 && number < static_cast<int>(std::size(kByNumber))) return kByNumber[number];
  // RTMIN (34) … RTMIN+15, RTMAX-14 … RTMAX (64) stand in this order in the enumeration.
  if (number >= 34 && number <= 64) return static_cast<v1::Signal>(v1::SIGNAL_SIGRTMIN + (number - 34));
  return v1::SIGNAL_RUNTIME_DEFAULT;
}

v1::PodSandboxConfig sandbox_config(const RunOptions& options, const std::string& uid, const Globals& globals) {
  v1::PodSandboxConfig config;
  v1::PodSandboxMetadata& metadata = *config.mutable_metadata();
  metadata.set_name(options.name);
  metadata.set_uid(uid);
  metadata.set_namespace_("default");
  config.set_hostname(options.hostname);
  config.set_log_directory(concat(globals.root, "/logs/", uid));
  for (const auto& server : options.dns) config.mutable_dns_config()->add_servers(server);
  for (const auto& domain : options.dns_search) config.mutable_dns_config()->add_searches(domain);
  for (const auto& option : options.dns_options) config.mutable_dns_config()->add_options(option);
  for (const PublishedPort& port : options.ports) {
    v1::PortMapping& mapping = *config.add_port_mappings();
    mapping.set_protocol(port.protocol == "udp" ? v1::UDP : port.protocol == "sctp" ? v1::SCTP : v1::TCP);
    mapping.set_container_port(port.container);
    mapping.set_host_port(port.host);
    mapping.set_host_ip(port.host_ip);
  }
  v1::LinuxPodSandboxConfig& linux_config = *config.mutable_linux();
  fill_namespaces(*linux_config.mutable_security_context()->mutable_namespace_options(), options);
  linux_config.mutable_security_context()->set_privileged(options.privileged);
  for (const auto& [key, value] : options.sysctls) (*linux_config.mutable_sysctls())[key] = value;
  return config;
}

Result<v1::ContainerConfig> container_config(const RunOptions& options, const rootfs::Image& image,
                                             const std::string& uid, const Globals& globals) {
  v1::ContainerConfig config;
  config.mutable_metadata()->set_name(options.name);
  config.mutable_image()->set_image(image.id);
  config.mutable_image()->set_user_specified_image(options.image);
  if (options.entrypoint && !options.entrypoint->empty()) {
    config.add_command(*options.entrypoint);
    for (const auto& word : options.words) config.add_args(word);
  } else {
    // An entrypoint that was emptied leaves the words as the whole command.
    for (const auto& word : options.words) options.entrypoint ? config.add_command(word) : config.add_args(word);
  }
  config.set_working_dir(options.working_dir);
  for (const auto& [key, value] : options.env) {
    config.add_envs()->set_key(key);
    config.mutable_envs()->rbegin()->set_value(value);
  }
  const std::string scratch = concat(globals.root, "/volumes/", uid);
  TRY(fill_mounts(config, options, globals.root, scratch));
  for (const auto& [key, value] : options.labels) (*config.mutable_labels())[key] = value;
  fill_annotations(*config.mutable_annotations(), options, image, scratch);
  config.set_log_path(options.name + ".log");
  config.set_stdin(options.interactive);
  config.set_stdin_once(options.interactive && !options.detach);
  config.set_tty(options.terminal);
  config.set_stop_signal(cri_signal(options.stop_signal));
  fill_resources(*config.mutable_linux()->mutable_resources(), options);
  fill_security(*config.mutable_linux()->mutable_security_context(), options);
  return config;
}

}  // namespace berth::cli
