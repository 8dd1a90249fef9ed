// SPDX-License-Identifier: Apache-2.0
#include "agent/cli/manifest_container.h"

#include <algorithm>

#include "agent/accounting/quantity.h"
#include "runtime/base/strings.h"

namespace berth::cli {
namespace {

namespace v1 = ::runtime::v1;

constexpr int64_t kCpuPeriod = 100000;

Result<> fill_env(const YamlField& field, const PodContext& context, v1::ContainerConfig& config) {
  TRY_ASSIGN(const auto entries, field.items());
  for (const YamlField& entry : entries) {
    TRY(entry.check_keys({"name", "value", "valueFrom"}));
    TRY_ASSIGN(const std::string name, entry.at("name").text());
    TRY_ASSIGN(std::string value, entry.at("value").text_or(""));
    if (const YamlField from = entry.at("valueFrom"); from.present()) {
      TRY(from.check_keys({"fieldRef"}));
      TRY(from.at("fieldRef").check_keys({"fieldPath", "apiVersion"}));
      TRY_ASSIGN(const std::string path, from.at("fieldRef").at("fieldPath").text());
      const v1::PodSandboxMetadata& metadata = context.pod->sandbox.metadata();
      if (path == "metadata.name")
        value = metadata.name();
      else if (path == "metadata.namespace")
        value = metadata.namespace_();
      else if (path == "metadata.uid")
        value = metadata.uid();
      else
        return from.at("fieldRef")
            .at("fieldPath")
            .fault(concat(quote(path), " is not supported (only metadata.name, .namespace, .uid)"));
    }
    v1::KeyValue& pair = *config.add_envs();
    pair.set_key(name);
    pair.set_value(value);
  }
  return {};
}

// cpu in milli-cores, memory in bytes.
Result<std::optional<int64_t>> quantity(const YamlField& field, std::string_view resource) {
  if (!field.present()) return std::optional<int64_t>();
  TRY_ASSIGN(const std::string text, field.text());
  const auto value = accounting::parse_quantity(resource, text);
  if (!value) return field.fault(value.error().message());
  return std::optional<int64_t>(*value);
}

Result<> fill_resources(const YamlField& field, std::vector<std::string>* warnings,
                        v1::LinuxContainerResources& resources) {
  TRY(field.check_keys({"limits", "requests"}, {"claims"}, warnings));
  for (const char* part : {"limits", "requests"})
    TRY(field.at(part).check_keys({"cpu", "memory"}, {"ephemeral-storage", "hugepages-2Mi", "hugepages-1Gi"},
                                  warnings));
  TRY_ASSIGN(const auto cpu_limit, quantity(field.at("limits").at("cpu"), "cpu"));
  TRY_ASSIGN(auto cpu_request, quantity(field.at("requests").at("cpu"), "cpu"));
  TRY_ASSIGN(const auto memory_limit, quantity(field.at("limits").at("memory"), "memory"));
  TRY_ASSIGN(const auto memory_request, quantity(field.at("requests").at("memory"), "memory"));
  if (memory_request && memory_limit && *memory_request > *memory_limit)
    return field.at("requests").at("memory").fault("more than the limit");
  if (cpu_request && cpu_limit && *cpu_request > *cpu_limit)
    return field.at("requests").at("cpu").fault("more than the limit");
  if (!cpu_request) cpu_request = cpu_limit;
  resources.set_cpu_shares(cpu_request ? std::max<int64_t>(2, *cpu_request * 1024 / 1000) : 2);
  if (cpu_limit) {
    resources.set_cpu_period(kCpuPeriod);
    resources.set_cpu_quota(std::max<int64_t>(1000, *cpu_limit * kCpuPeriod / 1000));
  }
  if (memory_limit) resources.set_memory_limit_in_bytes(*memory_limit);
  return {};
}

Result<> fill_mounts(const YamlField& field, PodContext& context, v1::ContainerConfig& config) {
  TRY_ASSIGN(const auto entries, field.items());
  for (const YamlField& entry : entries) {
    TRY(entry.check_keys({"name", "mountPath", "readOnly", "subPath", "mountPropagation"}));
    TRY_ASSIGN(const std::string name, entry.at("name").text());
    TRY_ASSIGN(const std::string target, entry.at("mountPath").text());
    if (!target.starts_with('/')) return entry.at("mountPath").fault("must be absolute");
    const auto volume = context.volumes.find(name);
    if (volume == context.volumes.end())
      return entry.at("name").fault(concat("no volume ", quote(name), " in spec.volumes"));
    volume->second.used = true;
    TRY_ASSIGN(const std::string sub_path, entry.at("subPath").text_or(""));
    if (sub_path.starts_with('/') || concat('/', sub_path, '/').find("/../") != std::string::npos)
      return entry.at("subPath").fault("must stay inside the volume");
    v1::Mount& mount = *config.add_mounts();
    mount.set_container_path(target);
    mount.set_host_path(sub_path.empty() ? volume->second.host_path : concat(volume->second.host_path, '/', sub_path));
    TRY_ASSIGN(const bool read_only, entry.at("readOnly").flag_or(false));
    mount.set_readonly(read_only);
    TRY_ASSIGN(const std::string propagation, entry.at("mountPropagation").text_or("None"));
    if (propagation == "HostToContainer")
      mount.set_propagation(v1::PROPAGATION_HOST_TO_CONTAINER);
    else if (propagation == "Bidirectional")
      mount.set_propagation(v1::PROPAGATION_BIDIRECTIONAL);
    else if (propagation != "None")
      return entry.at("mountPropagation").fault("expected None, HostToContainer or Bidirectional");
  }
  return {};
}

// The container's own setting, else the pod's.
YamlField own_or_pods(const YamlField& own, const YamlField& pods, const char* key) {
  return own.at(key).present() ? own.at(key) : pods.at(key);
}

Result<> fill_seccomp(const YamlField& profile, bool privileged, v1::LinuxContainerSecurityContext& security) {
  TRY(profile.check_keys({"type", "localhostProfile"}));
  TRY_ASSIGN(const std::string type, profile.at("type").text_or(privileged ? "Unconfined" : "RuntimeDefault"));
  if (type == "RuntimeDefault") {
    security.mutable_seccomp()->set_profile_type(v1::SecurityProfile::RuntimeDefault);
  } else if (type == "Unconfined") {
    security.mutable_seccomp()->set_profile_type(v1::SecurityProfile::Unconfined);
  } else if (type == "Localhost") {
    TRY_ASSIGN(const std::string path, profile.at("localhostProfile").text());
    security.mutable_seccomp()->set_profile_type(v1::SecurityProfile::Localhost);
    security.mutable_seccomp()->set_localhost_ref(path);
  } else {
    return profile.at("type").fault("expected RuntimeDefault, Unconfined or Localhost");
  }
  return {};
}

Result<> fill_security(const YamlField& own, const PodContext& context, v1::LinuxContainerSecurityContext& security) {
  TRY(own.check_keys({"runAsUser", "runAsGroup", "runAsNonRoot", "privileged", "capabilities", "readOnlyRootFilesystem",
                      "allowPrivilegeEscalation", "seccompProfile"},
                     {"seLinuxOptions", "procMount", "appArmorProfile", "windowsOptions"}, context.warnings));
  TRY_ASSIGN(const auto user, own_or_pods(own, context.security, "runAsUser").number());
  TRY_ASSIGN(const auto group, own_or_pods(own, context.security, "runAsGroup").number());
  if (user) security.mutable_run_as_user()->set_value(*user);
  if (group) security.mutable_run_as_group()->set_value(*group);
  if (group && !user) return own_or_pods(own, context.security, "runAsGroup").fault("needs runAsUser");
  TRY_ASSIGN(const bool non_root, own_or_pods(own, context.security, "runAsNonRoot").flag_or(false));
  if (non_root && user && *user == 0) return own_or_pods(own, context.security, "runAsNonRoot").fault("runAsUser is 0");
  TRY_ASSIGN(const bool privileged, own.at("privileged").flag_or(false));
  TRY_ASSIGN(const bool read_only, own.at("readOnlyRootFilesystem").flag_or(false));
  TRY_ASSIGN(const bool escalation, own.at("allowPrivilegeEscalation").flag_or(true));
  security.set_privileged(privileged);
  security.set_readonly_rootfs(read_only);
  if (!escalation && privileged) return own.at("allowPrivilegeEscalation").fault("false contradicts privileged");
  security.set_no_new_privs(!escalation);
  TRY(own.at("capabilities").check_keys({"add", "drop"}));
  TRY_ASSIGN(const auto add, own.at("capabilities").at("add").texts());
  TRY_ASSIGN(const auto drop, own.at("capabilities").at("drop").texts());
  for (const auto& name : add) security.mutable_capabilities()->add_add_capabilities(name);
  for (const auto& name : drop) security.mutable_capabilities()->add_drop_capabilities(name);
  TRY_ASSIGN(const auto groups, context.security.at("supplementalGroups").texts());
  for (const auto& text : groups) {
    const auto number = parse_uint32(text);
    if (!number) return context.security.at("supplementalGroups").fault("expected numbers");
    security.add_supplemental_groups(*number);
  }
  return fill_seccomp(own_or_pods(own, context.security, "seccompProfile"), privileged, security);
}

// "Always" for :latest or no tag, else "IfNotPresent", as the API server defaults it.
std::string default_pull_policy(const std::string& image) {
  if (image.find('@') != std::string::npos) return "IfNotPresent";
  const std::string last = image.substr(image.rfind('/') + 1);
  const size_t colon = last.find(':');
  return colon == std::string::npos || last.substr(colon + 1) == "latest" ? "Always" : "IfNotPresent";
}

}  // namespace

bool is_dns_label(std::string_view name, bool dots) {
  if (name.empty() || name.size() > (dots ? 253u : 63u)) return false;
  const auto alnum = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); };
  return alnum(name.front()) && alnum(name.back()) &&
         std::all_of(name.begin(), name.end(), [&](char c) { return alnum(c) || c == '-' || (dots && c == '.'); });
}

Result<> parse_ports(const YamlField& container, v1::PodSandboxConfig& sandbox, bool host_network) {
  TRY_ASSIGN(const auto entries, container.at("ports").items());
  for (const YamlField& entry : entries) {
    TRY(entry.check_keys({"containerPort", "hostPort", "hostIP", "protocol", "name"}));
    TRY_ASSIGN(const auto inner, entry.at("containerPort").number());
    TRY_ASSIGN(const auto outer, entry.at("hostPort").number());
    TRY_ASSIGN(const std::string protocol, entry.at("protocol").text_or("TCP"));
    TRY_ASSIGN(const std::string ip, entry.at("hostIP").text_or(""));
    if (!inner) return entry.at("containerPort").fault("required");
    if (*inner < 1 || *inner > 65535) return entry.at("containerPort").fault("must be from 1 to 65535");
    if (outer && (*outer < 1 || *outer > 65535)) return entry.at("hostPort").fault("must be from 1 to 65535");
    if (protocol != "TCP" && protocol != "UDP" && protocol != "SCTP")
      return entry.at("protocol").fault("expected TCP, UDP or SCTP");
    if (host_network) {
      if (outer && *outer != *inner)
        return entry.at("hostPort").fault("must equal containerPort on the host's network");
      continue;
    }
    if (!outer) continue;
    v1::PortMapping& mapping = *sandbox.add_port_mappings();
    mapping.set_protocol(protocol == "UDP" ? v1::UDP : protocol == "SCTP" ? v1::SCTP : v1::TCP);
    mapping.set_container_port(static_cast<int32_t>(*inner));
    mapping.set_host_port(static_cast<int32_t>(*outer));
    mapping.set_host_ip(ip);
  }
  return {};
}

Result<KubeContainer> parse_container(const YamlField& field, PodContext& context) {
  TRY(field.check_keys(
      {"name", "image", "imagePullPolicy", "command", "args", "env", "workingDir", "ports", "resources", "volumeMounts",
       "securityContext", "stdin", "stdinOnce", "tty"},
      {"livenessProbe", "readinessProbe", "startupProbe", "lifecycle", "envFrom", "terminationMessagePath",
       "terminationMessagePolicy", "restartPolicy", "volumeDevices", "resizePolicy"},
      context.warnings));
  KubeContainer out;
  v1::ContainerConfig& config = out.config;
  TRY_ASSIGN(const std::string name, field.at("name").text());
  if (!is_dns_label(name, false)) return field.at("name").fault(concat(quote(name), " is no DNS label"));
  config.mutable_metadata()->set_name(name);
  TRY_ASSIGN(const std::string image, field.at("image").text());
  config.mutable_image()->set_image(image);
  config.mutable_image()->set_user_specified_image(image);
  TRY_ASSIGN(out.pull_policy, field.at("imagePullPolicy").text_or(default_pull_policy(image)));
  if (out.pull_policy != "Always" && out.pull_policy != "IfNotPresent" && out.pull_policy != "Never")
    return field.at("imagePullPolicy").fault("expected Always, IfNotPresent or Never");
  TRY_ASSIGN(const auto command, field.at("command").texts());
  for (const auto& word : command) config.add_command(word);
  TRY_ASSIGN(const auto args, field.at("args").texts());
  for (const auto& word : args) config.add_args(word);
  TRY_ASSIGN(const std::string directory, field.at("workingDir").text_or(""));
  config.set_working_dir(directory);
  TRY_ASSIGN(const bool open_stdin, field.at("stdin").flag_or(false));
  TRY_ASSIGN(const bool stdin_once, field.at("stdinOnce").flag_or(false));
  TRY_ASSIGN(const bool terminal, field.at("tty").flag_or(false));
  config.set_stdin(open_stdin);
  config.set_stdin_once(stdin_once);
  config.set_tty(terminal);
  config.set_log_path(concat(name, "/0.log"));
  TRY(fill_env(field.at("env"), context, config));
  TRY(fill_mounts(field.at("volumeMounts"), context, config));
  TRY(fill_resources(field.at("resources"), context.warnings, *config.mutable_linux()->mutable_resources()));
  v1::LinuxContainerSecurityContext& security = *config.mutable_linux()->mutable_security_context();
  TRY(fill_security(field.at("securityContext"), context, security));
  *security.mutable_namespace_options() = context.pod->sandbox.linux().security_context().namespace_options();
  auto& labels = *config.mutable_labels();
  labels = context.pod->sandbox.labels();
  labels[kContainerNameLabel] = name;
  return out;
}

}  // namespace berth::cli
