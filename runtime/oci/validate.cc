// SPDX-License-Identifier: Apache-2.0
#include "runtime/oci/validate.h"

#include <set>

#include "runtime/base/strings.h"

namespace berth::oci {
namespace {

std::unexpected<Error> invalid(std::string message) { return fail(Code::kInvalidArgument, std::move(message)); }

bool has_nul(std::string_view text) { return text.find('\0') != std::string_view::npos; }
bool one_of(std::string_view text, std::initializer_list<std::string_view> names) {
  for (const auto name : names) {
    if (text == name) return true;
  }
  return false;
}

Result<> check_version(const std::string& version) {
  const auto parts = split(version, '.');
  if (parts.size() < 3 || !parse_uint32(parts[0])) return invalid(concat("ociVersion ", quote(version), ": not a version"));
  if (parts[0] != "1") return invalid(concat("ociVersion ", quote(version), ": only 1.x is supported"));
  return {};
}

// Is there a namespace of this type that is not the caller's?
bool own(const Spec& spec, std::string_view type) { return spec.linux_.find_namespace(type) != nullptr; }

Result<> check_namespaces(const Spec& spec) {
  std::set<std::string_view> seen;
  for (const auto& entry : spec.linux_.namespaces) {
    if (!one_of(entry.type, {"pid", "network", "mount", "ipc", "uts", "user", "cgroup", "time"})) {
      return invalid(concat("namespace ", quote(entry.type), ": unknown type"));
    }
    if (!seen.insert(entry.type).second) return invalid(concat("namespace ", quote(entry.type), ": listed twice"));
    if (!entry.path.empty() && !entry.path.starts_with('/')) {
      return invalid(concat("namespace ", quote(entry.type), ": path ", quote(entry.path), " is not absolute"));
    }
    if (has_nul(entry.path)) return invalid(concat("namespace ", quote(entry.type), ": path holds a NUL byte"));
  }
  const Namespace* mount = spec.linux_.find_namespace("mount");
  if (mount == nullptr || !mount->path.empty()) {
    return fail(Code::kUnimplemented, "namespace \"mount\": a new one is required");
  }
  if (!spec.linux_.time_offsets.empty() && !own(spec, "time")) return invalid("timeOffsets need a time namespace");
  for (const auto& [clock, offset] : spec.linux_.time_offsets) {
    if (!one_of(clock, {"monotonic", "boottime"})) return invalid(concat("timeOffsets: unknown clock ", quote(clock)));
    if (offset.nanosecs >= 1'000'000'000) return invalid("timeOffsets: nanosecs is out of range");
  }
  return {};
}

Result<> check_mappings(const Spec& spec) {
  const auto& config = spec.linux_;
  const Namespace* user = config.find_namespace("user");
  const bool mapped = !config.uid_mappings.empty() || !config.gid_mappings.empty();
  if (user == nullptr && mapped) return invalid("user namespace mappings specified, but user namespace isn't enabled in the config");
  if (user != nullptr && user->path.empty() && (config.uid_mappings.empty() || config.gid_mappings.empty())) {
    return invalid("a new user namespace needs uidMappings and gidMappings");
  }
  for (const auto* list : {&config.uid_mappings, &config.gid_mappings}) {
    for (const auto& map : *list) {
      if (map.size == 0) return invalid("id mapping: size must not be 0");
      if (map.container_id + (map.size - 1) < map.container_id || map.host_id + (map.size - 1) < map.host_id) {
        return invalid("id mapping: range overflows");
      }
    }
  }
  return {};
}

Result<> check_names(const Spec& spec) {
  if (!spec.hostname.empty() && !own(spec, "uts")) return invalid("unable to set hostname without a private UTS namespace");
  if (!spec.domainname.empty() && !own(spec, "uts")) return invalid("unable to set domainname without a private UTS namespace");
  if (spec.hostname.size() > 64) return invalid("hostname: longer than 64 bytes");
  if (spec.domainname.size() > 64) return invalid("domainname: longer than 64 bytes");
  return {};
}

Result<> check_mounts(const Spec& spec) {
  for (const auto& mount : spec.mounts) {
    if (mount.destination.empty()) return invalid("mount: destination is empty");
    if (!mount.destination.starts_with('/')) {
      return invalid(concat("mount ", quote(mount.destination), ": mount destination not absolute"));
    }
    if (has_nul(mount.destination) || has_nul(mount.source)) return invalid(concat("mount ", quote(mount.destination), ": NUL byte"));
    if (mount.destination.size() >= 4096) return invalid("mount: destination is too long");
    if (mount.uid_mappings.empty() != mount.gid_mappings.empty()) {
      return invalid(concat("mount ", quote(mount.destination), ": uidMappings and gidMappings go together"));
    }
  }
  for (const auto* list : {&spec.linux_.masked_paths, &spec.linux_.readonly_paths}) {
    for (const auto& path : *list) {
      if (!path.starts_with('/') || has_nul(path)) return invalid(concat("path ", quote(path), " must be absolute"));
    }
  }
  if (!one_of(spec.linux_.rootfs_propagation,
              {"", "shared", "rshared", "slave", "rslave", "private", "rprivate", "unbindable", "runbindable"})) {
    return invalid(concat("rootfsPropagation ", quote(spec.linux_.rootfs_propagation), " is unknown"));
  }
  if (!spec.linux_.mount_label.empty()) return fail(Code::kUnimplemented, "mountLabel: SELinux is not supported");
  return {};
}

Result<> check_sysctl(const Spec& spec) {
  for (const auto& [key, value] : spec.linux_.sysctl) {
    std::string name = key;
    if (name.find('/') != std::string::npos && name.find('/') < name.find('.')) {
      for (char& c : name) c = c == '/' ? '.' : c;
    }
    if (name.empty() || name.find("..") != std::string::npos || name.starts_with('.') || name.ends_with('.') || has_nul(name)) {
      return invalid(concat("sysctl ", quote(key), ": not a name"));
    }
    const bool ipc = one_of(name, {"kernel.msgmax", "kernel.msgmnb", "kernel.msgmni", "kernel.sem", "kernel.shmall", "kernel.shmmax",
                                   "kernel.shmmni", "kernel.shm_rmid_forced"}) ||
                     name.starts_with("fs.mqueue.");
    const char* needs = nullptr;
    if (ipc) needs = "ipc";
    if (name.starts_with("net.")) needs = "network";
    if (name.starts_with("user.")) needs = "user";
    if (name == "kernel.domainname" || name == "kernel.hostname") needs = "uts";
    if (needs == nullptr) return invalid(concat("sysctl ", quote(key), " is not in a separate kernel namespace"));
    if (!own(spec, needs)) return invalid(concat("sysctl ", quote(key), " needs a ", needs, " namespace of its own"));
    if (name == "kernel.hostname" && !spec.hostname.empty()) return invalid(concat("sysctl ", quote(key), " conflicts with hostname"));
  }
  return {};
}

Result<> check_devices(const Spec& spec) {
  for (const auto& device : spec.linux_.devices) {
    if (!device.path.starts_with('/') || has_nul(device.path)) return invalid(concat("device ", quote(device.path), ": path must be absolute"));
    if (!one_of(device.type, {"c", "b", "u", "p"})) return invalid(concat("device ", quote(device.path), ": unknown type ", quote(device.type)));
    if (device.major < 0 || device.minor < 0) return invalid(concat("device ", quote(device.path), ": negative number"));
  }
  return {};
}

Result<> check_hooks(const Spec& spec) {
  if (!spec.hooks) return {};
  const auto& hooks = *spec.hooks;
  for (const auto* list : {&hooks.prestart, &hooks.create_runtime, &hooks.create_container, &hooks.start_container, &hooks.poststart,
                           &hooks.poststop}) {
    for (const auto& hook : *list) {
      if (!hook.path.starts_with('/')) return invalid(concat("hook ", quote(hook.path), ": path must be absolute"));
      if (hook.timeout && *hook.timeout <= 0) return invalid(concat("hook ", quote(hook.path), ": timeout must be positive"));
    }
  }
  return {};
}

Result<> check_unsupported(const Spec& spec) {
  if (!spec.linux_.net_devices.empty()) return fail(Code::kUnimplemented, "netDevices: not supported");
  if (spec.linux_.intel_rdt) return fail(Code::kUnimplemented, "intelRdt: not supported");
  if (spec.linux_.memory_policy) return fail(Code::kUnimplemented, "memoryPolicy: not supported");
  if (spec.linux_.personality) {
    const auto& personality = *spec.linux_.personality;
    if (!one_of(personality.domain, {"LINUX", "LINUX32"})) return invalid(concat("personality: unknown domain ", quote(personality.domain)));
  }
  return {};
}

}  // namespace

Result<> validate_process(const Process& process) {
  if (process.args.empty()) return invalid("process.args must not be empty");
  if (process.args[0].empty()) return invalid("process.args: the program's name is empty");
  for (const auto* list : {&process.args, &process.env}) {
    for (const auto& text : *list) {
      if (has_nul(text)) return invalid("process: a string holds a NUL byte");
    }
  }
  if (process.cwd.empty()) return invalid("Cwd property must not be empty");
  if (!process.cwd.starts_with('/') || has_nul(process.cwd)) return invalid("Cwd must be an absolute path");
  std::set<std::string_view> seen;
  for (const auto& limit : process.rlimits) {
    if (!seen.insert(limit.type).second) return invalid(concat("rlimit ", quote(limit.type), ": listed twice"));
    if (limit.soft > limit.hard) return invalid(concat("rlimit ", quote(limit.type), ": soft limit above the hard one"));
  }
  if (process.oom_score_adj && (*process.oom_score_adj < -1000 || *process.oom_score_adj > 1000)) {
    return invalid("oomScoreAdj: must be between -1000 and 1000");
  }
  if (process.io_priority && (process.io_priority->priority < 0 || process.io_priority->priority > 7)) {
    return invalid("ioPriority: must be between 0 and 7");
  }
  if (process.user.umask && *process.user.umask > 0777) return invalid("umask: must be at most 0777");
  return {};
}

Result<> validate(const Spec& spec) {
  TRY(check_version(spec.oci_version));
  if (!spec.root) return invalid("root is missing");
  if (!spec.process) return invalid("process is missing");
  TRY(validate_process(*spec.process));
  TRY(check_namespaces(spec));
  TRY(check_mappings(spec));
  TRY(check_names(spec));
  TRY(check_mounts(spec));
  TRY(check_sysctl(spec));
  TRY(check_devices(spec));
  TRY(check_hooks(spec));
  return check_unsupported(spec);
}

}  // namespace berth::oci
