// SPDX-License-Identifier: Apache-2.0
#include "agent/config.h"

#include <toml++/toml.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <functional>
#include <optional>

#include "agent/accounting/quantity.h"
#include "agent/version.h"
#include "runtime/base/strings.h"
#include "runtime/sys/file.h"

namespace berth::agent {
namespace {

std::unexpected<Error> invalid(std::string message) { return fail(Code::kInvalidArgument, std::move(message)); }

struct TextKey {
  const char* flag;
  std::string Config::* field;
  const char* help;
};
constexpr TextKey kTextKeys[] = {
    {"root", &Config::root, "directory of images, snapshots and records"},
    {"state", &Config::state, "directory of sockets and run-time state, emptied by a reboot"},
    {"cni-conf-dir", &Config::cni_conf_dir, "directory of CNI configurations"},
    {"cni-bin-dir", &Config::cni_bin_dir, "directories of CNI plugins, separated by colons"},
    {"registry-config-dir", &Config::registry_config_dir, "directory of <host>/hosts.toml"},
    {"cgroup-driver", &Config::cgroup_driver, "auto or cgroupfs"},
    {"network", &Config::network, "auto, cni or builtin"},
    {"scheduler", &Config::scheduler, "address of the upstream scheduler: unix:///path or host:port"},
    {"node-name", &Config::node_name, "name told to the scheduler (default: the host's)"},
    {"shim-path", &Config::shim_path, "path of berth-shim (default: beside berthd)"},
    {"streaming-address", &Config::streaming_address, "address of the exec, attach and port-forward endpoint"},
    {"log-level", &Config::log_level, "debug, info, warn or error"},
};

std::string key_of(std::string flag) {
  std::replace(flag.begin(), flag.end(), '-', '_');
  return flag;
}

// "cpu=500m" or "memory=1Gi".
Result<> add_reserved(const std::string& name, const std::string& amount, Config& config) {
  TRY_ASSIGN(config.system_reserved[name], accounting::parse_quantity(name, amount),
             concat("system-reserved ", quote(name)));
  return {};
}

Result<> add_pair(std::string_view flag, const std::string& text,
                  const std::function<Result<>(const std::string&, const std::string&)>& add) {
  const size_t equals = text.find('=');
  if (equals == 0 || equals == std::string::npos)
    return invalid(concat("--", flag, " ", quote(text), " is not NAME=VALUE"));
  return add(text.substr(0, equals), text.substr(equals + 1));
}

Result<> check(const Config& config) {
  for (const auto& [name, path] : {std::pair("root", config.root), std::pair("state", config.state)}) {
    if (!path.starts_with('/')) return invalid(concat(name, " ", quote(path), " is not an absolute path"));
  }
  if (config.listen.empty()) return invalid("listen is empty");
  for (const std::string& address : config.listen) {
    if (!address.starts_with("unix:///")) return invalid(concat("listen ", quote(address), " is not unix:///PATH"));
  }
  if (config.cgroup_driver != "auto" && config.cgroup_driver != "cgroupfs") {
    return invalid(concat("cgroup-driver ", quote(config.cgroup_driver), " is not supported: use auto or cgroupfs"));
  }
  if (config.network != "auto" && config.network != "cni" && config.network != "builtin") {
    return invalid(concat("network ", quote(config.network), " is none of auto, cni, builtin"));
  }
  LogLevel level{};
  if (!parse_log_level(config.log_level, level))
    return invalid(concat("log-level ", quote(config.log_level), " is none of debug, info, warn, error"));
  return {};
}

Result<> apply_key(const std::string& key, const toml::node& node, Config& config) {
  const auto wrong_type = [&](std::string_view wanted) {
    return invalid(concat("key ", quote(key), " must be ", wanted));
  };
  for (const TextKey& text : kTextKeys) {
    if (key != key_of(text.flag)) continue;
    const auto value = node.value<std::string>();
    if (!value || !node.is_string()) return wrong_type("a string");
    config.*text.field = *value;
    return {};
  }
  if (key == "listen") {
    config.listen.clear();
    if (const auto one = node.value<std::string>()) {
      config.listen.push_back(*one);
      return {};
    }
    if (!node.is_array()) return wrong_type("a string or an array of strings");
    for (const toml::node& element : *node.as_array()) {
      const auto value = element.value<std::string>();
      if (!value) return wrong_type("a string or an array of strings");
      config.listen.push_back(*value);
    }
    return {};
  }
  if (key == "streaming_port") {
    const auto value = node.value<int64_t>();
    if (!value || *value < 0 || *value > 65535) return wrong_type("a port number");
    config.streaming_port = uint16_t(*value);
    return {};
  }
  if (key == "nri_socket") {
    const auto value = node.value<std::string>();
    if (!value) return wrong_type("a path");
    config.nri_socket = *value;
    return {};
  }
  if (key == "system_reserved" || key == "node_labels") {
    if (!node.is_table()) return wrong_type("a table of strings");
    for (const auto& [name, element] : *node.as_table()) {
      const auto value = element.value<std::string>();
      if (!value) return wrong_type("a table of strings");
      if (key == "node_labels") {
        config.node_labels[std::string(name.str())] = *value;
      } else {
        TRY(add_reserved(std::string(name.str()), *value, config));
      }
    }
    return {};
  }
  return invalid(concat("key ", quote(key), " is unknown"));
}

Result<> apply_table(const toml::table& table, Config& config) {
  for (const auto& [key, node] : table) TRY(apply_key(std::string(key.str()), node, config));
  return {};
}

}  // namespace

Result<> apply_toml(std::string_view text, std::string_view file_name, Config& config) {
  // toml++ throws; this is the one place where it may.
  try {
    const toml::table table = toml::parse(text, std::string(file_name));
    return apply_table(table, config);
  } catch (const toml::parse_error& error) {
    return invalid(
        concat("config ", quote(file_name), ", line ", error.source().begin.line, ": ", error.description()));
  }
}

Result<Invocation> parse_invocation(const std::vector<std::string>& arguments) {
  CLI::App app("berthd, the Kubernetes node agent of berth: serves CRI v1", "berthd");
  std::string config_file;
  std::string nri_socket;
  std::vector<std::string> listen;
  std::vector<std::string> reserved;
  std::vector<std::string> labels;
  std::optional<uint16_t> streaming_port;
  std::map<std::string, std::string> texts;
  app.add_option("--config", config_file, "TOML file; flags win over it")->type_name("FILE");
  app.add_option("--listen", listen, "CRI socket, unix:///PATH; repeatable")->type_name("ADDRESS");
  for (const TextKey& text : kTextKeys)
    app.add_option(concat("--", text.flag), texts[text.flag], text.help)->type_name("TEXT");
  app.add_option("--system-reserved", reserved, "RESOURCE=AMOUNT kept for the system; repeatable")
      ->type_name("NAME=AMOUNT");
  app.add_option("--node-label", labels, "NAME=VALUE told to the scheduler; repeatable")->type_name("NAME=VALUE");
  app.add_option("--streaming-port", streaming_port, "port of the streaming endpoint (default: any free one)");
  app.add_option("--nri-socket", nri_socket, "path for NRI plugins; taken, but nothing is served there yet")->type_name("PATH");
  app.set_version_flag("--version", concat("berthd ", kVersion));
  Invocation invocation;
  try {
    std::vector<std::string> reversed(arguments.rbegin(), arguments.rend());
    app.parse(reversed);
  } catch (const CLI::CallForHelp&) {
    return Invocation{{}, false, app.help(), 0};
  } catch (const CLI::CallForVersion&) {
    return Invocation{{}, false, concat("berthd ", kVersion, "\n"), 0};
  } catch (const CLI::ParseError& error) {
    return invalid(error.what());
  }
  Config& config = invocation.config;
  if (!config_file.empty()) {
    TRY_ASSIGN(const std::string text, sys::read_file(config_file), "config");
    TRY(apply_toml(text, config_file, config), concat("config ", quote(config_file)));
  }
  for (const TextKey& text : kTextKeys) {
    if (app.count(concat("--", text.flag)) != 0) config.*text.field = texts[text.flag];
  }
  if (!listen.empty()) config.listen = listen;
  if (streaming_port) config.streaming_port = *streaming_port;
  if (!nri_socket.empty()) config.nri_socket = nri_socket;
  for (const std::string& entry : reserved) {
    TRY(add_pair("system-reserved", entry, [&](const std::string& name, const std::string& amount) {
      return add_reserved(name, amount, config);
    }));
  }
  for (const std::string& entry : labels) {
    TRY(add_pair("node-label", entry, [&](const std::string& name, const std::string& value) -> Result<> {
      config.node_labels[name] = value;
      return {};
    }));
  }
  TRY(check(config));
  return invocation;
}

}  // namespace berth::agent
