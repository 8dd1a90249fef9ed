// SPDX-License-Identifier: Apache-2.0
#include "agent/cli/manifest.h"

#include <algorithm>

#include "agent/cli/manifest_container.h"
#include "agent/cli/run_options.h"
#include "runtime/base/strings.h"

namespace berth::cli {
namespace {

constexpr int64_t kMostReplicas = 1000;

class Parser {
 public:
  explicit Parser(const ManifestSettings& settings) : settings_(settings) {}

  Result<Manifest> run(std::string_view text) {
    std::vector<YAML::Node> documents;
    try {
      documents = YAML::LoadAll(std::string(text));
    } catch (const YAML::Exception& error) {
      return fail(Code::kInvalidArgument, concat("line ", error.mark.line + 1, ": ", error.msg));
    }
    for (const YAML::Node& node : documents) {
      if (node.IsDefined() && !node.IsNull()) TRY(document(YamlField(node, "", node.Mark().line + 1)));
    }
    if (manifest_.pods.empty()) return fail(Code::kInvalidArgument, "line 1: document: no Pod or Deployment in it");
    return std::move(manifest_);
  }

 private:
  Result<> document(const YamlField& field) {
    if (!field.node().IsMap()) return field.fault("expected a mapping");
    TRY_ASSIGN(const std::string kind, field.at("kind").text());
    TRY_ASSIGN(const std::string version, field.at("apiVersion").text());
    if (kind == "List" && version == "v1") {
      TRY_ASSIGN(const auto items, field.at("items").items());
      for (const YamlField& item : items) TRY(document(item));
      return {};
    }
    if (kind == "Pod" && version == "v1") {
      TRY(field.check_keys({"apiVersion", "kind", "metadata", "spec"}, {"status"}, &manifest_.warnings));
      TRY_ASSIGN(const std::string name, field.at("metadata").at("name").text());
      return pod(field.at("metadata"), field.at("spec"), name, "");
    }
    if (kind == "Deployment" && version == "apps/v1") return deployment(field);
    return field.at("kind").fault(
        concat(quote(concat(version, " ", kind)), " is not supported (v1 Pod, v1 List or apps/v1 Deployment)"));
  }

  Result<> deployment(const YamlField& field) {
    TRY(field.check_keys({"apiVersion", "kind", "metadata", "spec"}, {"status"}, &manifest_.warnings));
    const YamlField spec = field.at("spec");
    TRY(spec.check_keys({"replicas", "template", "selector"},
                        {"strategy", "minReadySeconds", "revisionHistoryLimit", "paused", "progressDeadlineSeconds"},
                        &manifest_.warnings));
    TRY_ASSIGN(const std::string name, field.at("metadata").at("name").text());
    TRY_ASSIGN(const auto given, spec.at("replicas").number());
    const int64_t replicas = given.value_or(1);
    if (replicas < 0 || replicas > kMostReplicas)
      return spec.at("replicas").fault(concat("must be from 0 to ", kMostReplicas));
    const YamlField body = spec.at("template");
    if (!body.present()) return body.fault("required");
    TRY(body.check_keys({"metadata", "spec"}));
    TRY_ASSIGN(const std::string name_space, field.at("metadata").at("namespace").text_or("default"));
    for (int64_t i = 0; i < replicas; ++i)
      TRY(pod(body.at("metadata"), body.at("spec"), concat(name, '-', i), name_space));
    return {};
  }

  // `outer_namespace` is the Deployment's; a Pod's own metadata has it.
  Result<> pod(const YamlField& metadata, const YamlField& spec, const std::string& name,
               const std::string& outer_namespace) {
    TRY(metadata.check_keys(
        {"name", "namespace", "uid", "labels", "annotations"},
        {"creationTimestamp", "resourceVersion", "generateName", "managedFields", "ownerReferences"},
        &manifest_.warnings));
    if (!is_dns_label(name, true)) return metadata.at("name").fault(concat(quote(name), " is no DNS name"));
    KubePod out;
    v1::PodSandboxConfig& sandbox = out.sandbox;
    TRY_ASSIGN(const std::string name_space,
               metadata.at("namespace").text_or(outer_namespace.empty() ? "default" : outer_namespace));
    if (!is_dns_label(name_space, false))
      return metadata.at("namespace").fault(concat(quote(name_space), " is no DNS label"));
    TRY_ASSIGN(std::string uid, metadata.at("uid").text_or(""));
    if (uid.find_first_not_of("0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-") != std::string::npos)
      return metadata.at("uid").fault("only letters, digits and - are allowed");
    if (uid.empty() || !outer_namespace.empty()) uid = settings_.make_uid();
    for (const KubePod& other : manifest_.pods) {
      if (other.sandbox.metadata().name() == name && other.sandbox.metadata().namespace_() == name_space)
        return metadata.at("name").fault(concat("a second pod ", quote(name)));
    }
    sandbox.mutable_metadata()->set_name(name);
    sandbox.mutable_metadata()->set_namespace_(name_space);
    sandbox.mutable_metadata()->set_uid(uid);
    out.data_directory = concat(settings_.kube_root, '/', uid);
    sandbox.set_log_directory(concat(settings_.kube_root, "/logs/", name_space, '_', name, '_', uid));
    TRY_ASSIGN(const auto labels, metadata.at("labels").pairs());
    for (const auto& [key, value] : labels) (*sandbox.mutable_labels())[key] = value;
    TRY_ASSIGN(const auto annotations, metadata.at("annotations").pairs());
    for (const auto& [key, value] : annotations) (*sandbox.mutable_annotations())[key] = value;
    auto& own_labels = *sandbox.mutable_labels();
    own_labels[kPodNameLabel] = name;
    own_labels[kPodNamespaceLabel] = name_space;
    own_labels[kPodUidLabel] = uid;
    own_labels[kPlayLabel] = "true";
    TRY(pod_spec(spec, out));
    manifest_.pods.push_back(std::move(out));
    return {};
  }

  Result<> pod_spec(const YamlField& spec, KubePod& out) {
    if (!spec.present()) return spec.fault("required");
    TRY(spec.check_keys(
        {"containers", "initContainers", "volumes", "hostNetwork", "hostPID", "hostIPC", "shareProcessNamespace",
         "hostname", "dnsConfig", "dnsPolicy", "securityContext", "restartPolicy"},
        {"terminationGracePeriodSeconds",
         "serviceAccountName",
         "serviceAccount",
         "nodeSelector",
         "tolerations",
         "affinity",
         "schedulerName",
         "priority",
         "priorityClassName",
         "enableServiceLinks",
         "automountServiceAccountToken",
         "imagePullSecrets",
         "subdomain",
         "nodeName",
         "hostAliases",
         "runtimeClassName",
         "activeDeadlineSeconds",
         "topologySpreadConstraints",
         "preemptionPolicy",
         "readinessGates",
         "overhead",
         "setHostnameAsFQDN",
         "os",
         "hostUsers"},
        &manifest_.warnings));
    TRY_ASSIGN(out.restart_policy, spec.at("restartPolicy").text_or("Always"));
    if (out.restart_policy != "Always" && out.restart_policy != "OnFailure" && out.restart_policy != "Never")
      return spec.at("restartPolicy").fault("expected Always, OnFailure or Never");
    PodContext context{&out, spec.at("securityContext"), {}, &manifest_.warnings, false, false, false, false};
    TRY(context.security.check_keys(
        {"runAsUser", "runAsGroup", "runAsNonRoot", "supplementalGroups", "sysctls", "seccompProfile"},
        {"fsGroup", "fsGroupChangePolicy", "seLinuxOptions", "supplementalGroupsPolicy", "appArmorProfile",
         "windowsOptions"},
        &manifest_.warnings));
    TRY(namespaces(spec, context, out.sandbox));
    TRY(dns(spec.at("dnsConfig"), out.sandbox));
    TRY(volumes(spec.at("volumes"), context, out));
    TRY_ASSIGN(const auto init, spec.at("initContainers").items());
    TRY_ASSIGN(const auto main, spec.at("containers").items());
    if (main.empty()) return spec.at("containers").fault("required");
    std::vector<std::string> names;
    for (const auto* list : {&init, &main}) {
      for (const YamlField& field : *list) {
        TRY_ASSIGN(KubeContainer container, parse_container(field, context));
        const std::string& name = container.config.metadata().name();
        if (std::find(names.begin(), names.end(), name) != names.end())
          return field.at("name").fault(concat("a second container ", quote(name)));
        names.push_back(name);
        if (list == &init) (*container.config.mutable_labels())[kInitLabel] = "true";
        auto& security = *container.config.mutable_linux()->mutable_security_context();
        if (security.privileged())
          out.sandbox.mutable_linux()->mutable_security_context()->set_privileged(true);
        else
          add_default_path_masks(security);
        if (list == &main) TRY(parse_ports(field, out.sandbox, context.host_network));
        (list == &main ? out.containers : out.init_containers).push_back(std::move(container));
      }
    }
    return {};
  }

  Result<> namespaces(const YamlField& spec, PodContext& context, v1::PodSandboxConfig& sandbox) {
    TRY_ASSIGN(context.host_network, spec.at("hostNetwork").flag_or(false));
    TRY_ASSIGN(context.host_pid, spec.at("hostPID").flag_or(false));
    TRY_ASSIGN(context.host_ipc, spec.at("hostIPC").flag_or(false));
    TRY_ASSIGN(context.share_pid, spec.at("shareProcessNamespace").flag_or(false));
    if (context.host_pid && context.share_pid) return spec.at("shareProcessNamespace").fault("contradicts hostPID");
    TRY_ASSIGN(const std::string hostname, spec.at("hostname").text_or(sandbox.metadata().name()));
    if (!is_dns_label(hostname, true)) return spec.at("hostname").fault(concat(quote(hostname), " is no DNS name"));
    if (!context.host_network) sandbox.set_hostname(hostname.substr(0, 63));
    v1::LinuxSandboxSecurityContext& security = *sandbox.mutable_linux()->mutable_security_context();
    v1::NamespaceOption& options = *security.mutable_namespace_options();
    options.set_network(context.host_network ? v1::NODE : v1::POD);
    options.set_pid(context.host_pid ? v1::NODE : context.share_pid ? v1::POD : v1::CONTAINER);
    options.set_ipc(context.host_ipc ? v1::NODE : v1::POD);
    security.mutable_seccomp()->set_profile_type(v1::SecurityProfile::RuntimeDefault);
    TRY_ASSIGN(const auto sysctls, context.security.at("sysctls").items());
    for (const YamlField& entry : sysctls) {
      TRY(entry.check_keys({"name", "value"}));
      TRY_ASSIGN(const std::string name, entry.at("name").text());
      TRY_ASSIGN(const std::string value, entry.at("value").text());
      (*sandbox.mutable_linux()->mutable_sysctls())[name] = value;
    }
    return {};
  }

  Result<> dns(const YamlField& field, v1::PodSandboxConfig& sandbox) {
    TRY(field.check_keys({"nameservers", "searches", "options"}));
    if (!field.present()) return {};
    TRY_ASSIGN(const auto servers, field.at("nameservers").texts());
    for (const auto& server : servers) sandbox.mutable_dns_config()->add_servers(server);
    TRY_ASSIGN(const auto searches, field.at("searches").texts());
    for (const auto& domain : searches) sandbox.mutable_dns_config()->add_searches(domain);
    TRY_ASSIGN(const auto options, field.at("options").items());
    for (const YamlField& option : options) {
      TRY_ASSIGN(const std::string name, option.at("name").text());
      TRY_ASSIGN(const std::string value, option.at("value").text_or(""));
      sandbox.mutable_dns_config()->add_options(value.empty() ? name : concat(name, ':', value));
    }
    return {};
  }

  Result<> volumes(const YamlField& field, PodContext& context, KubePod& out) {
    TRY_ASSIGN(const auto entries, field.items());
    for (const YamlField& entry : entries) {
      TRY(entry.check_keys({"name", "hostPath", "emptyDir"}));
      TRY_ASSIGN(const std::string name, entry.at("name").text());
      if (!is_dns_label(name, false)) return entry.at("name").fault(concat(quote(name), " is no DNS label"));
      if (context.volumes.contains(name)) return entry.at("name").fault(concat("a second volume ", quote(name)));
      const YamlField host = entry.at("hostPath");
      if (host.present()) {
        TRY(host.check_keys({"path", "type"}));
        TRY_ASSIGN(const std::string path, host.at("path").text());
        TRY_ASSIGN(const std::string type, host.at("type").text_or(""));
        if (!path.starts_with('/')) return host.at("path").fault("must be absolute");
        static constexpr std::string_view kTypes[] = {"",       "DirectoryOrCreate", "Directory",  "File",
                                                      "Socket", "CharDevice",        "BlockDevice"};
        if (std::find(std::begin(kTypes), std::end(kTypes), type) == std::end(kTypes))
          return host.at("type").fault(concat(quote(type), " is not supported"));
        if (type == "DirectoryOrCreate")
          out.wanted_dirs.push_back(path);
        else if (!type.empty())
          out.required_paths.push_back(path);
        context.volumes[name].host_path = path;
      } else if (entry.node()["emptyDir"].IsDefined()) {
        TRY(entry.at("emptyDir").check_keys({}, {"medium", "sizeLimit"}, &manifest_.warnings));
        context.volumes[name].host_path = concat(out.data_directory, '/', name);
        out.empty_dirs.push_back(context.volumes[name].host_path);
      } else {
        return entry.fault("expected hostPath or emptyDir");
      }
    }
    return {};
  }

  const ManifestSettings& settings_;
  Manifest manifest_;
};

}  // namespace

Result<Manifest> parse_manifest(std::string_view text, const ManifestSettings& settings) {
  const auto in_file = [&](Error error) { return std::move(error).wrap(concat("play ", quote(settings.file))); };
  try {
    auto manifest = Parser(settings).run(text);
    if (!manifest) return std::unexpected(in_file(std::move(manifest).error()));
    // A warning once per field, not once per replica.
    auto& warnings = manifest->warnings;
    std::sort(warnings.begin(), warnings.end());
    warnings.erase(std::unique(warnings.begin(), warnings.end()), warnings.end());
    return manifest;
  } catch (const YAML::Exception& error) {
    return std::unexpected(
        in_file(Error(Code::kInvalidArgument, concat("line ", error.mark.line + 1, ": ", error.msg))));
  }
}

}  // namespace berth::cli
