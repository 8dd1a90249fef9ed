// SPDX-License-Identifier: Apache-2.0
#include "rootfs/registry/hosts.h"

#include <toml++/toml.h>

#include <algorithm>

#include "runtime/base/strings.h"
#include "runtime/sys/file.h"

namespace berth::rootfs {
namespace {

constexpr size_t kMaxFile = 1u << 20;
constexpr std::string_view kSystemAuthorities = "/etc/ssl/certs/ca-certificates.crt";

std::unexpected<Error> refuse(std::string_view key, std::string_view why) {
  return fail(Code::kInvalidArgument, concat("hosts.toml: ", key, ": ", why));
}

std::string host_part(const std::string& domain) {
  if (domain.starts_with('[')) return domain.substr(0, domain.find(']') + 1);
  return domain.substr(0, domain.find(':'));
}

std::string default_server(const std::string& domain) {
  if (domain == "docker.io") return "https://registry-1.docker.io";
  return concat(is_loopback_host(host_part(domain)) ? "http://" : "https://", domain);
}

Result<std::string> base_url(std::string url, const std::string& domain, bool override_path) {
  if (url.find("://") == std::string::npos) url = concat(is_loopback_host(host_part(domain)) ? "http://" : "https://", url);
  while (url.ends_with('/')) url.pop_back();
  TRY_ASSIGN(const Origin origin, origin_of(url));
  return override_path || url.ends_with("/v2") ? url : concat(url, "/v2");
}

// A string or an array of strings.
Result<std::vector<std::string>> string_list(const toml::node& node, std::string_view key) {
  std::vector<std::string> list;
  if (const auto text = node.value_exact<std::string>()) return std::vector{*text};
  const auto* array = node.as_array();
  if (array == nullptr) return refuse(key, "expected a string or an array of strings");
  for (const auto& entry : *array) {
    const auto text = entry.value_exact<std::string>();
    if (!text) return refuse(key, "expected strings");
    list.push_back(*text);
  }
  return list;
}

std::string in_folder(const std::string& folder, const std::string& path) { return path.starts_with('/') ? path : concat(folder, "/", path); }

Result<> read_authorities(const toml::node& node, const std::string& folder, Endpoint& endpoint) {
  TRY_ASSIGN(const auto files, string_list(node, "ca"));
  if (auto system = sys::read_file(std::string(kSystemAuthorities))) endpoint.tls.ca_pem = std::move(*system);
  for (const auto& file : files) {
    TRY_ASSIGN(const std::string pem, sys::read_file(in_folder(folder, file), kMaxFile), "hosts.toml: ca");
    endpoint.tls.ca_pem += concat("\n", pem);
  }
  return {};
}

// client = "cert.pem", or [["cert", "key"]]; the first pair is used.
Result<> read_client(const toml::node& node, const std::string& folder, Endpoint& endpoint) {
  std::vector<std::string> files;
  const auto* array = node.as_array();
  if (array != nullptr && !array->empty() && array->get(0)->is_array()) {
    TRY_ASSIGN(files, string_list(*array->get(0), "client"));
  } else {
    TRY_ASSIGN(files, string_list(node, "client"));
    files.resize(std::min<size_t>(files.size(), 1));
  }
  if (!files.empty()) endpoint.tls.client_cert = in_folder(folder, files[0]);
  if (files.size() > 1) endpoint.tls.client_key = in_folder(folder, files[1]);
  return {};
}

Result<> read_capabilities(const toml::node& node, Endpoint& endpoint) {
  TRY_ASSIGN(const auto names, string_list(node, "capabilities"));
  endpoint.can_pull = endpoint.can_resolve = endpoint.can_push = false;
  for (const auto& name : names) {
    if (name == "pull") {
      endpoint.can_pull = true;
    } else if (name == "resolve") {
      endpoint.can_resolve = true;
    } else if (name == "push") {
      endpoint.can_push = true;
    } else {
      return refuse("capabilities", concat("unknown ", quote(name)));
    }
  }
  return {};
}

// The keys of [host."…"], which also stand at the top of the file for the server itself.
Result<> read_endpoint(const toml::table& table, const std::string& folder, Endpoint& endpoint, bool& override_path) {
  for (const auto& [key, node] : table) {
    const std::string_view name = key.str();
    if (name == "capabilities") {
      TRY(read_capabilities(node, endpoint));
    } else if (name == "skip_verify" || name == "override_path") {
      const auto flag = node.value_exact<bool>();
      if (!flag) return refuse(name, "expected true or false");
      (name == "skip_verify" ? endpoint.tls.skip_verify : override_path) = *flag;
    } else if (name == "ca") {
      TRY(read_authorities(node, folder, endpoint));
    } else if (name == "client") {
      TRY(read_client(node, folder, endpoint));
    } else if (name == "header") {
      const auto* headers = node.as_table();
      if (headers == nullptr) return refuse(name, "expected a table");
      for (const auto& [header, value] : *headers) {
        TRY_ASSIGN(const auto values, string_list(value, "header"));
        for (const auto& text : values) {
          if (text.find_first_of("\r\n") != std::string::npos) return refuse(name, "a value contains a line break");
          endpoint.headers.push_back(concat(header.str(), ": ", text));
        }
      }
    }
  }
  return {};
}

Endpoint plain_endpoint(const std::string& domain) {
  Endpoint endpoint;
  endpoint.base = concat(default_server(domain), "/v2");
  endpoint.can_push = true;
  return endpoint;
}

// toml++ throws here: its mode without exceptions (3.3.0, g++ 12) crashes in parse_result's move.
Result<toml::table> parse_table(std::string_view text) {
  try {
    return toml::parse(text);
  } catch (const toml::parse_error& error) {
    return refuse(concat("line ", error.source().begin.line), std::string(error.description()));
  }
}

}  // namespace

Result<std::vector<Endpoint>> parse_hosts_toml(std::string_view text, const std::string& folder, const std::string& domain) {
  TRY_ASSIGN(const toml::table table, parse_table(text));
  // toml++ sorts keys; the order of mirrors is the order of lines.
  std::vector<std::pair<uint32_t, Endpoint>> mirrors;
  if (const auto* hosts = table["host"].as_table()) {
    for (const auto& [url, node] : *hosts) {
      const auto* section = node.as_table();
      if (section == nullptr) return refuse(concat("host.", quote(url.str())), "expected a table");
      Endpoint endpoint;
      endpoint.can_push = true;
      bool override_path = false;
      TRY(read_endpoint(*section, folder, endpoint, override_path));
      TRY_ASSIGN(endpoint.base, base_url(std::string(url.str()), domain, override_path), "hosts.toml");
      endpoint.name_space = domain;
      mirrors.emplace_back(section->source().begin.line, std::move(endpoint));
    }
  }
  std::ranges::stable_sort(mirrors, {}, [](const auto& mirror) { return mirror.first; });
  std::vector<Endpoint> endpoints;
  for (auto& mirror : mirrors) endpoints.push_back(std::move(mirror.second));
  Endpoint server = plain_endpoint(domain);
  bool override_path = false;
  TRY(read_endpoint(table, folder, server, override_path));
  if (table.contains("server")) {
    const auto url = table["server"].value_exact<std::string>();
    if (!url || url->empty()) return refuse("server", "expected a URL");
    TRY_ASSIGN(server.base, base_url(*url, domain, override_path), "hosts.toml: server");
  }
  endpoints.push_back(std::move(server));
  return endpoints;
}

Result<std::vector<Endpoint>> registry_endpoints(const std::string& directory, const std::string& domain) {
  for (const std::string& name : {domain, std::string("_default")}) {
    const std::string folder = concat(directory, "/", name);
    auto text = sys::read_file(concat(folder, "/hosts.toml"), kMaxFile);
    if (!text && text.error().code() == Code::kNotFound) continue;
    if (!text) return std::unexpected(std::move(text).error());
    TRY_ASSIGN(auto endpoints, parse_hosts_toml(*text, folder, domain), folder);
    return endpoints;
  }
  return std::vector{plain_endpoint(domain)};
}

}  // namespace berth::rootfs
