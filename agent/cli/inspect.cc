// SPDX-License-Identifier: Apache-2.0
#include <boost/json.hpp>
#include <cstdio>

#include "agent/cli/containers.h"
#include "agent/cli/options.h"
#include "agent/cli/ports.h"
#include "agent/cli/table.h"
#include "agent/cli/verbs.h"
#include "runtime/base/log.h"
#include "runtime/base/strings.h"

namespace berth::cli {
namespace {

namespace json = boost::json;

json::value words_of(const std::string& text) {
  boost::system::error_code error;
  json::value parsed = json::parse(text, error);
  return error || !parsed.is_array() ? json::value(json::array()) : parsed;
}

int64_t pid_of(const v1::ContainerStatusResponse& reply) {
  const auto found = reply.info().find("info");
  if (found == reply.info().end()) return 0;
  boost::system::error_code error;
  const json::value parsed = json::parse(found->second, error);
  if (error || !parsed.is_object()) return 0;
  const json::value* pid = parsed.get_object().if_contains("pid");
  return pid != nullptr && pid->is_int64() ? pid->get_int64() : 0;
}

std::string time_text(long long nanos) { return nanos > 0 ? rfc3339(nanos) : "0001-01-01T00:00:00Z"; }

json::object state_object(const v1::ContainerStatusResponse& reply) {
  const v1::ContainerStatus& status = reply.status();
  const bool running = status.state() == v1::CONTAINER_RUNNING;
  json::object state;
  state["Status"] = state_name(status.state());
  state["Running"] = running;
  state["Paused"] = false;
  state["OOMKilled"] = status.reason() == "OOMKilled";
  state["Pid"] = running ? pid_of(reply) : 0;
  state["ExitCode"] = status.exit_code();
  state["Error"] = status.message();
  state["StartedAt"] = time_text(status.started_at());
  state["FinishedAt"] = time_text(status.finished_at());
  return state;
}

json::object network_object(const v1::PodSandboxStatus& pod, const v1::ContainerStatus& status) {
  json::object ports;
  for (const PublishedPort& port : published_from_text(annotation(status.annotations(), kPortsAnnotation))) {
    json::array& bindings =
        ports.emplace(concat(port.container, '/', port.protocol), json::array()).first->value().as_array();
    bindings.push_back(json::object{{"HostIp", port.host_ip.empty() ? "0.0.0.0" : port.host_ip},
                                    {"HostPort", std::to_string(port.host)}});
  }
  json::object network;
  network["IPAddress"] = pod.network().ip();
  network["Ports"] = std::move(ports);
  return network;
}

json::object config_object(const v1::ContainerStatus& status) {
  json::object config;
  config["Hostname"] = annotation(status.annotations(), kHostnameAnnotation);
  config["User"] = annotation(status.annotations(), kUserAnnotation);
  config["Tty"] = annotation(status.annotations(), kTerminalAnnotation) == "true";
  config["OpenStdin"] = annotation(status.annotations(), kStdinAnnotation) == "true";
  config["Env"] = words_of(annotation(status.annotations(), kEnvAnnotation));
  config["Cmd"] = words_of(annotation(status.annotations(), kCommandAnnotation));
  config["Image"] = annotation(status.annotations(), kImageAnnotation);
  config["WorkingDir"] = annotation(status.annotations(), kWorkDirAnnotation);
  json::object labels;
  for (const auto& [key, value] : status.labels()) labels[key] = value;
  config["Labels"] = std::move(labels);
  return config;
}

json::object host_object(const v1::ContainerStatus& status) {
  const v1::LinuxContainerResources& resources = status.resources().linux();
  json::object host;
  host["NetworkMode"] = annotation(status.annotations(), kNetworkAnnotation);
  host["AutoRemove"] = annotation(status.annotations(), kRemoveAnnotation) == "true";
  host["Memory"] = resources.memory_limit_in_bytes();
  host["CpuShares"] = resources.cpu_shares();
  host["CpuQuota"] = resources.cpu_quota();
  host["CpuPeriod"] = resources.cpu_period();
  host["CpusetCpus"] = resources.cpuset_cpus();
  host["RestartPolicy"] = json::object{{"Name", "no"}, {"MaximumRetryCount", 0}};
  return host;
}

Result<json::object> container_object(pods::Engine& engine, const std::string& id) {
  TRY_ASSIGN(const auto reply, engine.container_status(id, true));
  TRY_ASSIGN(const std::string pod_id, pod_of(engine, id));
  TRY_ASSIGN(const auto pod, engine.pod_sandbox_status(pod_id, false));
  const v1::ContainerStatus& status = reply.status();
  const json::value command = words_of(annotation(status.annotations(), kCommandAnnotation));
  json::object out;
  out["Id"] = status.id();
  out["Created"] = time_text(status.created_at());
  json::array rest;
  for (const json::value& word : command.get_array()) rest.push_back(word);
  out["Path"] = rest.empty() ? json::value("") : rest.front();
  if (!rest.empty()) rest.erase(rest.begin());
  out["Args"] = std::move(rest);
  out["State"] = state_object(reply);
  out["Image"] = status.image_id();
  out["Name"] = "/" + status.metadata().name();
  out["LogPath"] = status.log_path();
  out["PodId"] = pod_id;
  json::array mounts;
  for (const v1::Mount& mount : status.mounts()) {
    mounts.push_back(json::object{{"Type", "bind"},
                                  {"Source", mount.host_path()},
                                  {"Destination", mount.container_path()},
                                  {"RW", !mount.readonly()}});
  }
  out["Mounts"] = std::move(mounts);
  out["Config"] = config_object(status);
  out["HostConfig"] = host_object(status);
  out["NetworkSettings"] = network_object(pod.status(), status);
  return out;
}

json::object image_object(const rootfs::Image& image) {
  const auto array = [](const std::vector<std::string>& items) { return json::value_from(items); };
  json::object labels;
  for (const auto& [key, value] : image.config.labels) labels[key] = value;
  json::object out;
  out["Id"] = image.id;
  out["RepoTags"] = array(image.repo_tags);
  out["RepoDigests"] = array(image.repo_digests);
  out["Created"] = image.config.created;
  out["Architecture"] = image.config.architecture;
  out["Os"] = image.config.os;
  out["Size"] = image.size;
  out["Config"] = json::object{{"User", image.config.user},
                               {"Env", array(image.config.env)},
                               {"Cmd", array(image.config.cmd)},
                               {"Entrypoint", array(image.config.entrypoint)},
                               {"WorkingDir", image.config.working_dir},
                               {"StopSignal", image.config.stop_signal},
                               {"Labels", std::move(labels)}};
  out["RootFS"] = json::object{{"Type", "layers"}, {"Layers", array(image.diff_ids)}};
  return out;
}

// JSON with four spaces a level, as docker prints it.
void pretty(std::string& out, const json::value& value, size_t depth) {
  const bool is_object = value.is_object();
  if ((!is_object && !value.is_array()) || (is_object ? value.get_object().empty() : value.get_array().empty())) {
    out += json::serialize(value);
    return;
  }
  const std::string indent(4 * (depth + 1), ' ');
  out += is_object ? "{\n" : "[\n";
  bool first = true;
  const auto separate = [&] {
    if (!first) out += ",\n";
    first = false;
    out += indent;
  };
  if (is_object) {
    for (const auto& entry : value.get_object()) {
      separate();
      out += concat(json::serialize(json::value(entry.key())), ": ");
      pretty(out, entry.value(), depth + 1);
    }
  } else {
    for (const json::value& entry : value.get_array()) {
      separate();
      pretty(out, entry, depth + 1);
    }
  }
  out += concat("\n", std::string(4 * depth, ' '), is_object ? "}" : "]");
}

// `--format '{{.State.Status}}'`: one dotted path; other templates are refused.
Result<std::vector<std::string>> parse_template(std::string_view text) {
  std::string_view inner = trim(text);
  if (!inner.starts_with("{{") || !inner.ends_with("}}"))
    return fail(Code::kInvalidArgument, concat("format ", quote(text), ": only one {{.Path}} is supported"));
  inner = trim(inner.substr(2, inner.size() - 4));
  if (inner.starts_with("json ")) inner = trim(inner.substr(5));
  if (!inner.starts_with('.') || inner.find_first_of(" {}()|") != std::string_view::npos) {
    return fail(Code::kInvalidArgument, concat("format ", quote(text), ": only one {{.Path}} is supported"));
  }
  std::vector<std::string> path;
  for (const std::string_view part : split(inner.substr(1), '.')) {
    if (!part.empty()) path.emplace_back(part);
  }
  return path;
}

Result<> print_path(json::value value, const std::vector<std::string>& path) {
  for (const std::string& part : path) {
    const json::value* next = value.is_object() ? value.get_object().if_contains(part) : nullptr;
    if (next == nullptr) return fail(Code::kInvalidArgument, concat("format: no field ", quote(part)));
    json::value inner = *next;
    value = std::move(inner);
  }
  std::printf("%s\n",
              value.is_string() ? printable(value.get_string().c_str()).c_str() : json::serialize(value).c_str());
  return {};
}

Result<json::value> inspect_one(Context& context, const std::string& operand, const std::string& type) {
  if (type != "image") {
    TRY_ASSIGN(pods::Engine* const engine, context.engine());
    const auto id = engine->resolve_container(operand);
    if (id) {
      TRY_ASSIGN(auto object, container_object(*engine, *id));
      return json::value(std::move(object));
    }
    if (type == "container" || id.error().code() != Code::kNotFound) return std::unexpected(id.error());
  }
  TRY_ASSIGN(const auto store, context.images());
  const auto image = store->find(operand);
  if (image && *image) return json::value(image_object(**image));
  return fail(Code::kNotFound, concat("no such object: ", printable(operand)));
}

}  // namespace

int inspect_command(Context& context, Args args) {
  Flags flags("inspect", "[OPTIONS] NAME|ID [NAME|ID...]", "Prints what is known of containers and images as JSON.");
  std::string type, format;
  std::vector<std::string> operands;
  flags.text("--type", type, "container or image");
  flags.text("-f,--format", format, "one {{.Path}} of the JSON");
  flags.operands(operands, 1);
  if (const auto status = flags.parse(std::move(args))) return *status;
  Result<std::vector<std::string>> path = format.empty() ? std::vector<std::string>() : parse_template(format);
  if (!path) return report(path.error().message(), kUsageStatus);
  json::array found;
  int status = 0;
  for (const std::string& operand : operands) {
    auto object = inspect_one(context, operand, type);
    auto done = object ? Result<>() : Result<>(std::unexpected(object.error()));
    if (done && !format.empty()) done = print_path(*object, *path);
    if (!done) {
      report_operand(done.error().message());
      status = 1;
    } else if (format.empty()) {
      found.push_back(std::move(*object));
    }
  }
  if (format.empty()) {
    std::string text;
    pretty(text, json::value(std::move(found)), 0);
    std::printf("%s\n", text.c_str());
  }
  return status;
}

}  // namespace berth::cli
