// SPDX-License-Identifier: Apache-2.0
// A pod's network: set up by CNI plugins, or by the built-in bridge when there is no CNI configuration.
//
// attach() keeps its result in <root>/network/<pod id>.json before it returns, and a record of the intent before the first
// plugin runs, so that detach() is always possible: after a crash, after the namespace is gone, again and again.
// Thread-safe.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "runtime/base/result.h"

namespace berth::network {

struct PortMapping {
  std::string protocol = "tcp";  // tcp | udp | sctp
  uint16_t container_port = 0;
  uint16_t host_port = 0;  // 0: not published
  std::string host_ip;     // empty: all addresses
};

struct Attachment {
  std::string pod_id;
  std::string netns;  // a path: /proc/<shim pid>/ns/net. Empty in detach when the namespace is gone
  std::string pod_name;
  std::string pod_namespace;
  std::string pod_uid;
  std::vector<PortMapping> ports;
  std::string cgroup_parent;
  std::vector<std::string> dns_servers;  // for the dns capability
};

struct NetworkResult {
  std::vector<std::string> ips;  // without prefix length; the first is the primary
  std::string interface = "eth0";
};

struct NetworkConfig {
  std::string mode = "auto";  // auto: CNI when cni_conf_dir holds a configuration, else builtin; none: a loopback only
  std::string root;           // directory for results, e.g. /var/lib/berth/network
  std::string cni_conf_dir;
  std::string cni_bin_dir;    // colon-separated
  std::chrono::milliseconds deadline{60000};  // of one plugin call; its process group is killed then
};

class Network {
 public:
  static Result<std::unique_ptr<Network>> open(NetworkConfig config);
  virtual ~Network() = default;
  // On error everything done so far is taken back (DEL of the plugins already run).
  virtual Result<NetworkResult> attach(const Attachment& attachment) = 0;
  // Idempotent; unknown pod is success. `netns` may be empty.
  virtual Result<> detach(const std::string& pod_id, const std::string& netns) = 0;
  // Pods that have a kept result or an intent: recovery detaches those without a record.
  virtual Result<std::vector<std::string>> attached_pods() = 0;
  // Empty when a pod could be attached now, else the reason.
  virtual std::string problem() = 0;
};

}  // namespace berth::network
