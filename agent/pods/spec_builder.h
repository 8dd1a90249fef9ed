// SPDX-License-Identifier: Apache-2.0
// CRI message + image → OCI spec: one pure function, and the only translation of CRI in the whole program.
//
// Annotations and labels of pods, containers and images are never looked at here (CVE-2023-6476, CVE-2026-53488): the
// spec of a container does not depend on them.
#pragma once

#include <string>
#include <vector>

#include "agent/pods/host_facts.h"
#include "agent/pods/host_sources.h"
#include "cri/proto/runtime/v1/api.pb.h"
#include "rootfs/images.h"
#include "runtime/base/result.h"
#include "runtime/oci/spec.h"

namespace berth::pods {

struct SpecInput {
  std::string container_id;
  const v1::ContainerConfig* config = nullptr;
  const v1::PodSandboxConfig* sandbox = nullptr;
  const rootfs::ImageConfig* image = nullptr;
  const HostFacts* host = nullptr;
  oci::User user;                  // resolve_user
  std::vector<oci::Mount> mounts;  // resolve_mounts
  std::string rootfs_propagation;
  HostDevices devices;
  std::optional<oci::Seccomp> seccomp;  // container_seccomp
  std::string pod_directory;            // holds hosts, hostname, resolv.conf, shm
  std::string host_name;                // as the pod's processes see it
  std::string cgroup_parent;            // absolute within the hierarchy
  std::string pid_namespace;            // path of the one to join when effective_pid_mode is POD or TARGET
};

// CONTAINER: a new one, NODE: the host's, POD or TARGET: one to join. A container that asks for the pod's gets what the
// pod has: its own when the pod shares none.
v1::NamespaceMode effective_pid_mode(const v1::ContainerConfig& config, const v1::PodSandboxConfig& sandbox);

// kInvalidArgument for what the messages get wrong (no command, an unknown capability, a relative working directory).
Result<oci::Spec> build_spec(const SpecInput& input);

// LinuxContainerResources → OCI: zero fields are left alone. Huge pages and `unified` only where the host has them.
oci::Resources oci_resources(const v1::LinuxContainerResources& resources, const HostFacts& host);

// What a container masks when its request has no security context.
const std::vector<std::string>& default_masked_paths();
const std::vector<std::string>& default_readonly_paths();

// The variables of image and request in order, later ones replacing earlier, with PATH, HOSTNAME and TERM.
std::vector<std::string> container_environment(const SpecInput& input);
Result<std::vector<std::string>> container_arguments(const v1::ContainerConfig& config,
                                                     const rootfs::ImageConfig& image);

}  // namespace berth::pods
