// SPDX-License-Identifier: Apache-2.0
#include "agent/pods/sandbox_files.h"

#include "agent/pods/validate.h"

namespace berth::pods {

std::string resolv_conf_text(const v1::PodSandboxConfig& config, const std::string& host) {
  if (!config.has_dns_config()) return host;
  const v1::DNSConfig& dns = config.dns_config();
  std::string text;
  const auto line = [&text](std::string_view keyword, const auto& words) {
    if (words.empty()) return;
    text += keyword;
    for (const std::string& word : words) text.append(" ").append(word);
    text += '\n';
  };
  line("search", dns.searches());
  for (const std::string& server : dns.servers()) text.append("nameserver ").append(server).append("\n");
  line("options", dns.options());
  return text;
}

std::string hosts_text(bool host_network, const std::string& host, const std::string& hostname,
                       const std::vector<std::string>& ips) {
  if (host_network) return host;
  std::string text =
      "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\nfe00::\tip6-localnet\n"
      "ff00::\tip6-mcastprefix\nff02::1\tip6-allnodes\nff02::2\tip6-allrouters\n";
  for (const std::string& ip : ips) text.append(ip).append("\t").append(hostname).append("\n");
  return text;
}

std::string pod_hostname(const v1::PodSandboxConfig& config, const std::string& pod_id, const std::string& host_name) {
  if (uses_host_network(config)) return host_name;
  return config.hostname().empty() ? pod_id.substr(0, 12) : config.hostname();
}

}  // namespace berth::pods
