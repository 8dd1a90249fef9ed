// SPDX-License-Identifier: Apache-2.0
// One entry of spec.containers to a ContainerConfig. Internal to manifest.cc.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "agent/cli/manifest.h"
#include "agent/cli/yaml_fields.h"

namespace berth::cli {

struct VolumeSource {
  std::string host_path;
  bool used = false;
};

// What a container takes from its pod.
struct PodContext {
  const KubePod* pod = nullptr;
  YamlField security;  // spec.securityContext
  std::map<std::string, VolumeSource> volumes;
  std::vector<std::string>* warnings = nullptr;
  bool host_network = false;
  bool host_pid = false;
  bool host_ipc = false;
  bool share_pid = false;
};

Result<KubeContainer> parse_container(const YamlField& field, PodContext& context);
// "containers[].ports": those with a hostPort (all of them when the pod is on the host's network are left out).
Result<> parse_ports(const YamlField& container, ::runtime::v1::PodSandboxConfig& sandbox, bool host_network);

// What a DNS label must look like (RFC 1123): names of pods, containers, volumes.
bool is_dns_label(std::string_view name, bool dots);

}  // namespace berth::cli
