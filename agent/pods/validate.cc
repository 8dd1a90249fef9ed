// SPDX-License-Identifier: Apache-2.0
#include "agent/pods/validate.h"

#include <algorithm>

#include "runtime/base/strings.h"

namespace berth::pods {
namespace {

std::unexpected<Error> invalid(std::string message) { return fail(Code::kInvalidArgument, std::move(message)); }

Result<> check_text(std::string_view field, std::string_view value) {
  if (has_control_bytes(value)) return invalid(concat(field, " ", quote(value), " holds control characters"));
  if (value.size() > 4096) return invalid(concat(field, " is longer than 4096 bytes"));
  return {};
}

Result<> check_hostname(std::string_view name) {
  if (name.size() > 64) return invalid(concat("hostname ", quote(name), " is longer than 64 bytes"));
  const bool fine = std::all_of(name.begin(), name.end(), [](unsigned char c) {
    return std::isalnum(c) != 0 || c == '-' || c == '.' || c == '_';
  });
  if (!fine || name.starts_with('-')) return invalid(concat("hostname ", quote(name), " is not a host name"));
  return {};
}

Result<> check_dns(const v1::DNSConfig& dns) {
  const auto check = [](std::string_view field, const auto& entries) -> Result<> {
    for (const std::string& entry : entries) {
      const bool blank = std::any_of(entry.begin(), entry.end(), [](unsigned char c) { return c <= ' ' || c == 0x7f; });
      if (entry.empty() || blank || entry.size() > 1024)
        return invalid(concat(field, " ", quote(entry), " is not one word"));
    }
    return {};
  };
  TRY(check("dns_config.servers", dns.servers()));
  TRY(check("dns_config.searches", dns.searches()));
  return check("dns_config.options", dns.options());
}

bool is_sysctl_key(std::string_view key) {
  if (key.empty() || key.size() > 255 || key.find("..") != std::string_view::npos) return false;
  if (key.front() == '.' || key.front() == '/' || key.back() == '.' || key.back() == '/') return false;
  return std::all_of(key.begin(), key.end(), [](unsigned char c) {
    return std::isalnum(c) != 0 || c == '.' || c == '/' || c == '-' || c == '_';
  });
}

bool is_ipc_sysctl(std::string_view key) {
  return key.starts_with("kernel.shm") || key.starts_with("kernel.msg") || key == "kernel.sem" ||
         key.starts_with("fs.mqueue.");
}

Result<> check_sysctl(const std::string& key, const std::string& value, bool host_network, bool host_ipc) {
  if (!is_sysctl_key(key)) return invalid(concat("sysctl ", quote(key), " is not a sysctl name"));
  const bool odd = value.find_first_of("+=;|") != std::string::npos;
  if (has_control_bytes(value) || odd || value.size() > 1024) {
    return invalid(concat("sysctl ", quote(key), ": value ", quote(value), " is not allowed"));
  }
  std::string dotted = key;
  // "net/ipv4/ip_forward" is the other spelling of the same key; the namespace is told by the first parts only.
  if (dotted.find('/') < dotted.find('.')) std::replace(dotted.begin(), dotted.end(), '/', '.');
  if (dotted.starts_with("net.")) {
    if (host_network)
      return invalid(concat("sysctl ", quote(key), " is not allowed with the host's network namespace"));
    return {};
  }
  if (is_ipc_sysctl(dotted)) {
    if (host_ipc) return invalid(concat("sysctl ", quote(key), " is not allowed with the host's ipc namespace"));
    return {};
  }
  return invalid(concat("sysctl ", quote(key), " is not of a namespace that a pod has of its own"));
}

Result<> check_user_namespace(const v1::NamespaceOption& options) {
  if (!options.has_userns_options()) return {};
  switch (options.userns_options().mode()) {
    case v1::NODE:
      return {};
    case v1::POD:
      return fail(Code::kUnimplemented, "user namespace mode POD is not supported");
    default:
      return invalid(
          concat("user namespace mode ", v1::NamespaceMode_Name(options.userns_options().mode()), " is not allowed"));
  }
}

Result<> check_namespaces(const v1::NamespaceOption& options) {
  const auto pod_or_node = [](v1::NamespaceMode mode) { return mode == v1::POD || mode == v1::NODE; };
  if (!pod_or_node(options.network())) return invalid("network namespace mode must be POD or NODE");
  if (!pod_or_node(options.ipc())) return invalid("ipc namespace mode must be POD or NODE");
  if (options.pid() == v1::TARGET) return invalid("pid namespace mode TARGET is for containers only");
  return check_user_namespace(options);
}

Result<> check_cgroup_parent(std::string_view parent, bool systemd_driver) {
  if (parent.empty()) return {};
  TRY(check_text("cgroup_parent", parent));
  const bool slice = parent.ends_with(".slice");
  if (slice && !systemd_driver) {
    return invalid(concat("cgroup_parent ", quote(parent), " is a systemd slice, but the cgroup driver is cgroupfs"));
  }
  if (!slice && systemd_driver) {
    return invalid(concat("cgroup_parent ", quote(parent), " is no systemd slice, but the cgroup driver is systemd"));
  }
  if (parent.find(':') != std::string_view::npos)
    return invalid(concat("cgroup_parent ", quote(parent), " holds a colon"));
  for (const std::string_view part : split(parent, '/')) {
    if (part == ".." || part == ".") return invalid(concat("cgroup_parent ", quote(parent), " holds ", quote(part)));
  }
  return {};
}

Result<> check_ports(const v1::PodSandboxConfig& config) {
  for (const v1::PortMapping& port : config.port_mappings()) {
    if (port.host_port() <= 0) continue;
    if (port.container_port() < 1 || port.container_port() > 65535 || port.host_port() > 65535) {
      return invalid(concat("port mapping ", port.host_port(), " to ", port.container_port(), " is outside 1…65535"));
    }
    TRY(check_text("port_mappings.host_ip", port.host_ip()));
  }
  return {};
}

Result<> check_mount(const v1::Mount& mount) {
  TRY(validate_absolute_path("mount container_path", mount.container_path()));
  if (has_control_bytes(mount.host_path())) return invalid("mount host_path holds control characters");
  if (mount.recursive_read_only()) {
    if (!mount.readonly())
      return invalid(concat("mount ", quote(mount.container_path()), ": recursive_read_only needs readonly"));
    if (mount.propagation() != v1::PROPAGATION_PRIVATE) {
      return invalid(
          concat("mount ", quote(mount.container_path()), ": recursive_read_only needs private propagation"));
    }
  }
  if (mount.uidmappings_size() != 0 || mount.gidmappings_size() != 0) {
    return fail(Code::kUnimplemented,
                concat("mount ", quote(mount.container_path()), ": id mappings are not supported"));
  }
  return {};
}

}  // namespace

bool has_control_bytes(std::string_view text) {
  return std::any_of(text.begin(), text.end(), [](unsigned char c) { return c < 0x20 || c == 0x7f; });
}

Result<> validate_absolute_path(std::string_view field, std::string_view path) {
  if (!path.starts_with('/')) return invalid(concat(field, " ", quote(path), " is not absolute"));
  if (has_control_bytes(path)) return invalid(concat(field, " ", quote(path), " holds control characters"));
  for (const std::string_view part : split(path, '/')) {
    if (part == "..") return invalid(concat(field, " ", quote(path), " holds \"..\""));
  }
  return {};
}

bool uses_host_network(const v1::PodSandboxConfig& config) {
  return config.linux().security_context().namespace_options().network() == v1::NODE;
}

bool uses_host_ipc(const v1::PodSandboxConfig& config) {
  return config.linux().security_context().namespace_options().ipc() == v1::NODE;
}

Result<> validate_sandbox(const v1::PodSandboxConfig& config, std::string_view runtime_handler, bool systemd_driver) {
  if (!runtime_handler.empty() && runtime_handler != "berth") {
    return invalid(concat("runtime handler ", quote(runtime_handler), " is not configured"));
  }
  if (!config.has_metadata() || config.metadata().name().empty()) return invalid("sandbox metadata has no name");
  TRY(check_text("metadata.name", config.metadata().name()));
  TRY(check_text("metadata.namespace", config.metadata().namespace_()));
  TRY(check_text("metadata.uid", config.metadata().uid()));
  if (!uses_host_network(config)) TRY(check_hostname(config.hostname()));
  if (!config.log_directory().empty()) TRY(validate_absolute_path("log_directory", config.log_directory()));
  if (config.has_dns_config()) TRY(check_dns(config.dns_config()));
  TRY(check_ports(config));
  TRY(check_namespaces(config.linux().security_context().namespace_options()));
  TRY(check_cgroup_parent(config.linux().cgroup_parent(), systemd_driver));
  for (const auto& [key, value] : config.linux().sysctls()) {
    TRY(check_sysctl(key, value, uses_host_network(config), uses_host_ipc(config)));
  }
  return {};
}

Result<> validate_container(const v1::ContainerConfig& config) {
  if (!config.has_metadata() || config.metadata().name().empty()) return invalid("container metadata has no name");
  TRY(check_text("metadata.name", config.metadata().name()));
  if (config.image().image().empty()) return invalid("container has no image");
  if (!config.log_path().empty()) {
    TRY(validate_absolute_path("log_path", concat("/", config.log_path())));
  }
  for (const v1::KeyValue& env : config.envs()) {
    if (env.key().empty() || env.key().find('=') != std::string::npos || has_control_bytes(env.key())) {
      return invalid(concat("environment name ", quote(env.key()), " is not allowed"));
    }
    if (env.value().find('\0') != std::string::npos)
      return invalid(concat("environment value of ", quote(env.key()), " holds a NUL"));
  }
  for (const v1::Mount& mount : config.mounts()) TRY(check_mount(mount));
  if (config.cdi_devices_size() != 0) {
    return fail(Code::kUnimplemented, concat("CDI device ", quote(config.cdi_devices(0).name()), " is not supported"));
  }
  if (!config.working_dir().empty()) TRY(validate_absolute_path("working_dir", config.working_dir()));
  const v1::NamespaceOption& namespaces = config.linux().security_context().namespace_options();
  if (namespaces.pid() == v1::TARGET && namespaces.target_id().empty())
    return invalid("pid namespace mode TARGET has no target_id");
  return {};
}

}  // namespace berth::pods
