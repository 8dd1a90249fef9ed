// SPDX-License-Identifier: Apache-2.0
#include "agent/cli/auth.h"

#include <unistd.h>

#include <boost/json.hpp>
#include <cstdlib>

#include "runtime/base/strings.h"
#include "runtime/sys/file.h"

namespace berth::cli {
namespace {

std::optional<std::string> decode_base64(std::string_view text) {
  std::string out;
  unsigned bits = 0, held = 0;
  for (const char c : text) {
    unsigned value = 0;
    if (c >= 'A' && c <= 'Z')
      value = static_cast<unsigned>(c - 'A');
    else if (c >= 'a' && c <= 'z')
      value = static_cast<unsigned>(c - 'a') + 26;
    else if (c >= '0' && c <= '9')
      value = static_cast<unsigned>(c - '0') + 52;
    else if (c == '+' || c == '-')
      value = 62;
    else if (c == '/' || c == '_')
      value = 63;
    else if (c == '=' || c == '\n' || c == '\r')
      continue;
    else
      return std::nullopt;
    bits = (bits << 6 | value) & 0xffffff;
    held += 6;
    if (held >= 8) {
      held -= 8;
      out += static_cast<char>(bits >> held & 0xff);
    }
  }
  return out;
}

std::string field(const boost::json::object& object, std::string_view key) {
  const auto* value = object.if_contains(key);
  return value != nullptr && value->is_string() ? std::string(value->get_string()) : std::string();
}

// Keys are hosts, or URLs of docker's past: "https://index.docker.io/v1/".
std::string host_of_key(std::string_view key) {
  if (const size_t scheme = key.find("://"); scheme != std::string_view::npos) key.remove_prefix(scheme + 3);
  const std::string host(key.substr(0, key.find('/')));
  return host == "index.docker.io" || host == "registry-1.docker.io" ? "docker.io" : host;
}

}  // namespace

Result<rootfs::RegistryAuth> auth_from_config(std::string_view json, const std::string& host) {
  boost::system::error_code error;
  const auto parsed = boost::json::parse({json.data(), json.size()}, error);
  if (error || !parsed.is_object()) return fail(Code::kInvalidArgument, "the file is no JSON object");
  const auto* auths = parsed.get_object().if_contains("auths");
  if (auths == nullptr || !auths->is_object()) return rootfs::RegistryAuth{};
  for (const auto& entry : auths->get_object()) {
    if (host_of_key({entry.key().data(), entry.key().size()}) != host || !entry.value().is_object()) continue;
    const auto& object = entry.value().get_object();
    rootfs::RegistryAuth auth;
    auth.username = field(object, "username");
    auth.password = field(object, "password");
    auth.identity_token = field(object, "identitytoken");
    auth.registry_token = field(object, "registrytoken");
    if (const std::string packed = field(object, "auth"); !packed.empty()) {
      const auto text = decode_base64(packed);
      const size_t colon = text ? text->find(':') : std::string::npos;
      if (colon == std::string::npos)
        return fail(Code::kInvalidArgument, concat("the entry of ", quote(host), " is no base64 of user:password"));
      auth.username = text->substr(0, colon);
      auth.password = text->substr(colon + 1);
    }
    return auth;
  }
  return rootfs::RegistryAuth{};
}

Result<rootfs::RegistryAuth> auth_for(const std::string& normalized_reference) {
  const std::string host = normalized_reference.substr(0, normalized_reference.find('/'));
  const auto variable = [](const char* name) {
    const char* value = ::getenv(name);
    return std::string(value == nullptr ? "" : value);
  };
  std::vector<std::string> files;
  if (const auto file = variable("REGISTRY_AUTH_FILE"); !file.empty()) files.push_back(file);
  if (const auto directory = variable("DOCKER_CONFIG"); !directory.empty()) files.push_back(directory + "/config.json");
  const std::string home = variable("HOME");
  if (!home.empty()) files.push_back(home + "/.docker/config.json");
  if (const auto directory = variable("XDG_RUNTIME_DIR"); !directory.empty())
    files.push_back(directory + "/containers/auth.json");
  files.push_back(concat("/run/containers/", ::getuid(), "/auth.json"));
  if (!home.empty()) files.push_back(home + "/.config/containers/auth.json");
  for (const std::string& file : files) {
    if (!sys::path_exists(file)) continue;
    TRY_ASSIGN(const std::string text, sys::read_file(file));
    TRY_ASSIGN(auto auth, auth_from_config(text, host), concat("credentials ", quote(file)));
    if (!auth.empty() || !auth.registry_token.empty()) return auth;
  }
  return rootfs::RegistryAuth{};
}

}  // namespace berth::cli
