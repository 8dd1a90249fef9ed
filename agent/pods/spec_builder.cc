// SPDX-License-Identifier: Apache-2.0
#include "agent/pods/spec_builder.h"

#include <algorithm>

#include "agent/pods/capabilities.h"
#include "agent/pods/validate.h"
#include "runtime/base/log.h"
#include "runtime/base/strings.h"

namespace berth::pods {
namespace {

constexpr std::string_view kDefaultPath = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

const v1::LinuxContainerSecurityContext& security(const SpecInput& input) {
  return input.config->linux().security_context();
}

void set_variable(std::vector<std::string>& environment, const std::string& entry) {
  const std::string_view key = std::string_view(entry).substr(0, entry.find('=') + 1);
  for (std::string& existing : environment) {
    if (existing.starts_with(key)) {
      existing = entry;
      return;
    }
  }
  environment.push_back(entry);
}

std::string working_directory(const SpecInput& input) {
  if (!input.config->working_dir().empty()) return input.config->working_dir();
  return input.image->working_dir.empty() ? "/" : input.image->working_dir;
}

// The kernel refuses values below our own without CAP_SYS_RESOURCE; guaranteed pods ask for -997.
int clamped_oom_score(int64_t wanted, const HostFacts& host, const std::string& id) {
  const int value = int(std::clamp<int64_t>(wanted, -1000, 1000));
  if (host.may_lower_oom || value >= host.oom_score_adj) return value;
  log_warn("oom_score_adj raised to the agent's own",
           {{"container", id}, {"wanted", value}, {"given", host.oom_score_adj}});
  return host.oom_score_adj;
}

Result<oci::Process> build_process(const SpecInput& input) {
  oci::Process process;
  process.terminal = input.config->tty();
  process.user = input.user;
  TRY_ASSIGN(process.args, container_arguments(*input.config, *input.image));
  process.env = container_environment(input);
  process.cwd = working_directory(input);
  if (!process.cwd.starts_with('/')) {
    return fail(Code::kInvalidArgument, concat("working directory ", quote(process.cwd), " is not absolute"));
  }
  TRY_ASSIGN(process.capabilities, container_capabilities(security(input).capabilities(), security(input).privileged(),
                                                          input.host->bounding_capabilities));
  process.no_new_privileges = security(input).no_new_privs();
  process.oom_score_adj =
      clamped_oom_score(input.config->linux().resources().oom_score_adj(), *input.host, input.container_id);
  return process;
}

bool request_mounts(const SpecInput& input, std::string_view destination) {
  return std::any_of(input.mounts.begin(), input.mounts.end(), [&](const oci::Mount& mount) {
    std::string_view path = mount.destination;
    while (path.size() > 1 && path.ends_with('/')) path.remove_suffix(1);
    return path == destination;
  });
}

oci::Mount make_mount(std::string destination, std::string type, std::string source, std::vector<std::string> options) {
  oci::Mount mount;
  mount.destination = std::move(destination);
  mount.type = std::move(type);
  mount.source = std::move(source);
  mount.options = std::move(options);
  return mount;
}

void add_mounts(const SpecInput& input, oci::Spec& spec) {
  const char* kernel_access = security(input).privileged() ? "rw" : "ro";
  std::vector<oci::Mount> defaults = {
      make_mount("/proc", "proc", "proc", {"nosuid", "noexec", "nodev"}),
      make_mount("/dev", "tmpfs", "tmpfs", {"nosuid", "strictatime", "mode=755", "size=65536k"}),
      make_mount("/dev/pts", "devpts", "devpts",
                 {"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"}),
      make_mount("/dev/mqueue", "mqueue", "mqueue", {"nosuid", "noexec", "nodev"}),
      make_mount("/sys", "sysfs", "sysfs", {"nosuid", "noexec", "nodev", kernel_access}),
      make_mount("/sys/fs/cgroup", "cgroup", "cgroup", {"nosuid", "noexec", "nodev", "relatime", kernel_access}),
      make_mount("/dev/shm", "bind", uses_host_ipc(*input.sandbox) ? "/dev/shm" : input.pod_directory + "/shm",
                 {"rbind", "rprivate", "rw", "nosuid", "nodev", "noexec"}),
  };
  const char* file_access = security(input).readonly_rootfs() ? "ro" : "rw";
  for (const char* name : {"hosts", "hostname", "resolv.conf"}) {
    defaults.push_back(make_mount(concat("/etc/", name), "bind", concat(input.pod_directory, "/", name),
                                  {"rbind", "rprivate", "nosuid", "nodev", "noexec", file_access}));
  }
  for (oci::Mount& mount : defaults) {
    if (!request_mounts(input, mount.destination)) spec.mounts.push_back(std::move(mount));
  }
  spec.mounts.insert(spec.mounts.end(), input.mounts.begin(), input.mounts.end());
}

// network, ipc and uts are the shim's own and inherited by omission.
Result<> add_namespaces(const SpecInput& input, oci::Spec& spec) {
  spec.linux_.namespaces.push_back({"mount", ""});
  switch (effective_pid_mode(*input.config, *input.sandbox)) {
    case v1::NODE:
      break;
    case v1::CONTAINER:
      spec.linux_.namespaces.push_back({"pid", ""});
      break;
    default:
      if (input.pid_namespace.empty())
        return fail(Code::kFailedPrecondition, "the pid namespace to join does not exist");
      spec.linux_.namespaces.push_back({"pid", input.pid_namespace});
  }
  if (input.host->cgroup_v2) spec.linux_.namespaces.push_back({"cgroup", ""});
  return {};
}

void add_paths(const SpecInput& input, oci::Spec& spec) {
  if (security(input).privileged()) return;
  if (!input.config->linux().has_security_context()) {
    spec.linux_.masked_paths = default_masked_paths();
    spec.linux_.readonly_paths = default_readonly_paths();
    return;
  }
  spec.linux_.masked_paths.assign(security(input).masked_paths().begin(), security(input).masked_paths().end());
  spec.linux_.readonly_paths.assign(security(input).readonly_paths().begin(), security(input).readonly_paths().end());
}

Result<> add_apparmor(const SpecInput& input, oci::Process& process) {
  const v1::SecurityProfile& profile = security(input).apparmor();
  if (!security(input).has_apparmor() || profile.profile_type() != v1::SecurityProfile::Localhost ||
      security(input).privileged()) {
    return {};
  }
  if (profile.localhost_ref().empty())
    return fail(Code::kInvalidArgument, "apparmor profile Localhost has no localhost_ref");
  if (!input.host->apparmor) {
    return fail(Code::kFailedPrecondition,
                concat("apparmor profile ", quote(profile.localhost_ref()), ": the host has no apparmor"));
  }
  process.apparmor_profile = profile.localhost_ref();
  return {};
}

}  // namespace

v1::NamespaceMode effective_pid_mode(const v1::ContainerConfig& config, const v1::PodSandboxConfig& sandbox) {
  const v1::NamespaceMode mode = config.linux().security_context().namespace_options().pid();
  return mode == v1::POD ? sandbox.linux().security_context().namespace_options().pid() : mode;
}

std::vector<std::string> container_environment(const SpecInput& input) {
  std::vector<std::string> environment{std::string(kDefaultPath)};
  environment.push_back(concat("HOSTNAME=", input.host_name));
  if (input.config->tty()) environment.emplace_back("TERM=xterm");
  for (const std::string& entry : input.image->env) {
    if (entry.find('=') != std::string::npos) set_variable(environment, entry);
  }
  for (const v1::KeyValue& env : input.config->envs()) set_variable(environment, concat(env.key(), "=", env.value()));
  return environment;
}

Result<std::vector<std::string>> container_arguments(const v1::ContainerConfig& config,
                                                     const rootfs::ImageConfig& image) {
  std::vector<std::string> arguments(config.command().begin(), config.command().end());
  if (arguments.empty()) {
    arguments = image.entrypoint;
    if (config.args().empty()) arguments.insert(arguments.end(), image.cmd.begin(), image.cmd.end());
  }
  arguments.insert(arguments.end(), config.args().begin(), config.args().end());
  if (arguments.empty() || arguments[0].empty()) return fail(Code::kInvalidArgument, "no command specified");
  return arguments;
}

oci::Resources oci_resources(const v1::LinuxContainerResources& resources, const HostFacts& host) {
  oci::Resources out;
  oci::CpuResources cpu;
  if (resources.cpu_shares() > 0) cpu.shares = uint64_t(resources.cpu_shares());
  if (resources.cpu_quota() != 0) cpu.quota = resources.cpu_quota();
  if (resources.cpu_period() > 0) cpu.period = uint64_t(resources.cpu_period());
  cpu.cpus = resources.cpuset_cpus();
  cpu.mems = resources.cpuset_mems();
  out.cpu = cpu;
  oci::MemoryResources memory;
  if (resources.memory_limit_in_bytes() != 0) memory.limit = resources.memory_limit_in_bytes();
  if (resources.memory_swap_limit_in_bytes() != 0) memory.swap = resources.memory_swap_limit_in_bytes();
  if (memory.limit || memory.swap) out.memory = memory;
  if (host.hugetlb) {
    for (const v1::HugepageLimit& limit : resources.hugepage_limits())
      out.hugepage_limits.push_back({limit.page_size(), limit.limit()});
  }
  if (host.cgroup_v2) out.unified.insert(resources.unified().begin(), resources.unified().end());
  // CRI has no field for it; both cgroup versions have the file.
  if (const auto pids = resources.unified().find("pids.max"); pids != resources.unified().end()) {
    out.pids_limit = pids->second == "max" ? -1 : parse_int64(pids->second);
  }
  return out;
}

const std::vector<std::string>& default_masked_paths() {
  static const std::vector<std::string> paths = {
      "/proc/asound",      "/proc/acpi",          "/proc/interrupts", "/proc/kcore",
      "/proc/keys",        "/proc/latency_stats", "/proc/timer_list", "/proc/timer_stats",
      "/proc/sched_debug", "/proc/scsi",          "/sys/firmware",    "/sys/devices/virtual/powercap"};
  return paths;
}

const std::vector<std::string>& default_readonly_paths() {
  static const std::vector<std::string> paths = {"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys",
                                                 "/proc/sysrq-trigger"};
  return paths;
}

Result<oci::Spec> build_spec(const SpecInput& input) {
  oci::Spec spec;
  TRY_ASSIGN(spec.process, build_process(input));
  TRY(add_apparmor(input, *spec.process));
  spec.root = oci::Root{"rootfs", security(input).readonly_rootfs()};
  add_mounts(input, spec);
  TRY(add_namespaces(input, spec));
  add_paths(input, spec);
  spec.linux_.rootfs_propagation = input.rootfs_propagation;
  spec.linux_.seccomp = input.seccomp;
  spec.linux_.devices = input.devices.nodes;
  oci::Resources resources = oci_resources(input.config->linux().resources(), *input.host);
  if (!security(input).privileged()) resources.devices.push_back({false, "", std::nullopt, std::nullopt, "rwm"});
  resources.devices.insert(resources.devices.end(), input.devices.rules.begin(), input.devices.rules.end());
  spec.linux_.resources = std::move(resources);
  spec.linux_.cgroups_path = concat(input.cgroup_parent, "/", input.container_id);
  return spec;
}

}  // namespace berth::pods
