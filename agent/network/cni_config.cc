// SPDX-License-Identifier: Apache-2.0
#include "agent/network/cni_config.h"

#include <algorithm>

#include "runtime/base/strings.h"
#include "runtime/sys/file.h"

namespace berth::network {
namespace {

namespace json = boost::json;

constexpr size_t kMaxConfigBytes = 1u << 20;

std::string text_field(const json::object& object, std::string_view key) {
  const json::value* value = object.if_contains(key);
  return value != nullptr && value->is_string() ? std::string(value->get_string()) : std::string();
}

bool is_base_name(std::string_view name) {
  return !name.empty() && name != "." && name != ".." && name.find('/') == std::string_view::npos &&
         name.find('\0') == std::string_view::npos;
}

Result<> add_plugin(CniConfig& config, const json::value& value) {
  const json::object* plugin = value.if_object();
  if (plugin == nullptr) return fail(Code::kInvalidArgument, concat(quote(config.source), ": a plugin is not an object"));
  const std::string type = text_field(*plugin, "type");
  if (!is_base_name(type)) {
    return fail(Code::kInvalidArgument, concat(quote(config.source), ": plugin type ", quote(type), " must be a plain file name"));
  }
  config.plugins.push_back(*plugin);
  return {};
}

bool is_config_name(std::string_view name) {
  return name.ends_with(".conflist") || name.ends_with(".conf") || name.ends_with(".json");
}

}  // namespace

Result<CniConfig> parse_cni_config(const std::string& text, const std::string& source) {
  boost::system::error_code error;
  const json::value root = json::parse(text, error);
  if (error || !root.is_object()) return fail(Code::kInvalidArgument, concat(quote(source), ": not a JSON object"));
  const json::object& object = root.get_object();
  CniConfig config;
  config.source = source;
  config.cni_version = text_field(object, "cniVersion");
  if (config.cni_version.empty()) config.cni_version = "0.2.0";
  config.name = text_field(object, "name");
  if (!is_base_name(config.name)) return fail(Code::kInvalidArgument, concat(quote(source), ": \"name\" is missing or no plain name"));
  if (const json::value* check = object.if_contains("disableCheck")) config.disable_check = check->is_bool() && check->get_bool();
  const json::value* plugins = object.if_contains("plugins");
  if (plugins == nullptr) {
    TRY(add_plugin(config, root));
    return config;
  }
  if (!plugins->is_array() || plugins->get_array().empty()) {
    return fail(Code::kInvalidArgument, concat(quote(source), ": \"plugins\" must be a list that is not empty"));
  }
  for (const auto& plugin : plugins->get_array()) TRY(add_plugin(config, plugin));
  return config;
}

Result<CniConfig> load_cni_config(const std::string& directory) {
  auto names = sys::list_directory(directory);
  if (!names && names.error().code() != Code::kNotFound) return std::unexpected(std::move(names).error());
  std::vector<std::string> candidates;
  if (names) std::copy_if(names->begin(), names->end(), std::back_inserter(candidates), is_config_name);
  if (candidates.empty()) return fail(Code::kNotFound, concat("no network configuration in ", quote(directory)));
  const std::string path = concat(directory, "/", *std::min_element(candidates.begin(), candidates.end()));
  TRY_ASSIGN(const auto text, sys::read_file(path, kMaxConfigBytes));
  return parse_cni_config(text, path);
}

std::string to_json(const CniConfig& config) {
  json::object object;
  object["cniVersion"] = config.cni_version;
  object["name"] = config.name;
  if (config.disable_check) object["disableCheck"] = true;
  json::array plugins;
  for (const auto& plugin : config.plugins) plugins.emplace_back(plugin);
  object["plugins"] = std::move(plugins);
  return json::serialize(object);
}

}  // namespace berth::network
