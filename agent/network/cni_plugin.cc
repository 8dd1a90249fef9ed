// SPDX-License-Identifier: Apache-2.0
#include "agent/network/cni_plugin.h"

#include <sys/stat.h>

#include "runtime/base/strings.h"
#include "runtime/sys/process.h"

namespace berth::network {
namespace {

namespace json = boost::json;

constexpr size_t kMaxOutputBytes = 1u << 20;
constexpr char kInterface[] = "eth0";

Result<std::string> find_plugin(const std::string& type, const std::string& bin_dirs) {
  for (const auto directory : split(bin_dirs, ':')) {
    std::string path = concat(directory, "/", type);
    struct stat info{};
    if (!directory.empty() && ::stat(path.c_str(), &info) == 0 && S_ISREG(info.st_mode) && (info.st_mode & 0111) != 0) return path;
  }
  return fail(Code::kNotFound, concat("cni plugin ", quote(type), " is not in ", quote(bin_dirs)));
}

json::array port_mappings(const Attachment& attachment) {
  json::array mappings;
  for (const auto& port : attachment.ports) {
    if (port.host_port == 0) continue;
    json::object mapping{{"hostPort", port.host_port}, {"containerPort", port.container_port}, {"protocol", port.protocol}};
    if (!port.host_ip.empty() && port.host_ip != "0.0.0.0") mapping["hostIP"] = port.host_ip;
    mappings.emplace_back(std::move(mapping));
  }
  return mappings;
}

// Only capabilities that the plugin declares are passed (CNI conventions, "capabilities").
json::object runtime_config(const json::object& plugin, const Attachment& attachment) {
  json::object runtime;
  const json::value* declared = plugin.if_contains("capabilities");
  if (declared == nullptr || !declared->is_object()) return runtime;
  const auto wants = [&](std::string_view name) {
    const json::value* value = declared->get_object().if_contains(name);
    return value != nullptr && value->is_bool() && value->get_bool();
  };
  if (wants("portMappings")) {
    if (auto mappings = port_mappings(attachment); !mappings.empty()) runtime["portMappings"] = std::move(mappings);
  }
  if (wants("dns") && !attachment.dns_servers.empty()) {
    json::array servers;
    for (const auto& server : attachment.dns_servers) servers.emplace_back(server);
    runtime["dns"] = json::object{{"servers", std::move(servers)}};
  }
  return runtime;
}

std::string plugin_input(const CniCall& call) {
  json::object input = *call.plugin;
  input["cniVersion"] = call.config->cni_version;
  input["name"] = call.config->name;
  if (auto runtime = runtime_config(*call.plugin, *call.attachment); !runtime.empty()) input["runtimeConfig"] = std::move(runtime);
  input.erase("capabilities");
  if (call.previous != nullptr && !call.previous->is_null()) input["prevResult"] = *call.previous;
  return json::serialize(input);
}

std::vector<std::string> plugin_environment(const CniCall& call) {
  const Attachment& to = *call.attachment;
  return {
      "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
      concat("CNI_COMMAND=", call.command),
      concat("CNI_CONTAINERID=", to.pod_id),
      concat("CNI_NETNS=", to.netns),
      concat("CNI_IFNAME=", kInterface),
      concat("CNI_PATH=", call.bin_dirs),
      concat("CNI_ARGS=IgnoreUnknown=1;K8S_POD_NAMESPACE=", to.pod_namespace, ";K8S_POD_NAME=", to.pod_name,
             ";K8S_POD_INFRA_CONTAINER_ID=", to.pod_id, ";K8S_POD_UID=", to.pod_uid),
  };
}

// The sentence of a failed plugin: its JSON error when it wrote one, else what it printed.
std::string failure_text(const sys::Output& output) {
  boost::system::error_code error;
  const json::value value = json::parse(output.out, error);
  if (!error && value.is_object()) {
    std::string text;
    for (const auto* key : {"msg", "details"}) {
      const json::value* part = value.get_object().if_contains(key);
      if (part == nullptr || !part->is_string() || part->get_string().empty()) continue;
      if (!text.empty()) text += ": ";
      text += std::string_view(part->get_string());
    }
    if (!text.empty()) return text;
  }
  const std::string_view printed = trim(output.err.empty() ? output.out : output.err);
  return printed.empty() ? concat("exit status ", output.exit.code) : concat("exit status ", output.exit.code, ": ", quote(printed.substr(0, 512)));
}

}  // namespace

Result<json::value> call_cni_plugin(const CniCall& call) {
  const json::value* type_value = call.plugin->if_contains("type");
  const std::string type(type_value->get_string());
  const std::string what = concat("cni plugin ", quote(type), " ", call.command);
  TRY_ASSIGN(const std::string path, find_plugin(type, call.bin_dirs));
  sys::SpawnRequest request;
  request.argv = {path};
  request.env = plugin_environment(call);
  TRY_ASSIGN(const auto output, sys::run(std::move(request), plugin_input(call), call.deadline, kMaxOutputBytes), what);
  if (output.exit.code != 0) return fail(Code::kInternal, concat(what, ": ", failure_text(output)));
  if (call.command != "ADD") return json::value();
  boost::system::error_code error;
  json::value result = json::parse(output.out, error);
  if (error || !result.is_object()) return fail(Code::kInternal, concat(what, ": its result is not a JSON object"));
  return result;
}

Result<NetworkResult> network_result_from(const json::value& result) {
  NetworkResult network;
  network.interface = kInterface;
  const json::value* ips = result.is_object() ? result.get_object().if_contains("ips") : nullptr;
  if (ips == nullptr || !ips->is_array()) return network;
  for (const auto& ip : ips->get_array()) {
    const json::value* address = ip.is_object() ? ip.get_object().if_contains("address") : nullptr;
    if (address == nullptr || !address->is_string()) return fail(Code::kInternal, "cni result: an ip has no address");
    const std::string_view text = address->get_string();
    network.ips.emplace_back(text.substr(0, text.find('/')));
  }
  return network;
}

}  // namespace berth::network
