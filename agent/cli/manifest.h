// SPDX-License-Identifier: Apache-2.0
// Kubernetes manifests (v1 Pod, v1 List, apps/v1 Deployment) to CRI messages. Pure: nothing is created here.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "cri/proto/runtime/v1/api.pb.h"
#include "runtime/base/result.h"

namespace berth::cli {

// Labels that kubelet gives; play sets the same, so that tools find what it made.
inline constexpr const char* kPodNameLabel = "io.kubernetes.pod.name";
inline constexpr const char* kPodNamespaceLabel = "io.kubernetes.pod.namespace";
inline constexpr const char* kPodUidLabel = "io.kubernetes.pod.uid";
inline constexpr const char* kContainerNameLabel = "io.kubernetes.container.name";
inline constexpr const char* kPlayLabel = "io.berth.kube.play";  // "true"
inline constexpr const char* kInitLabel = "io.berth.kube.init";  // "true" on init containers

struct KubeContainer {
  ::runtime::v1::ContainerConfig config;
  std::string pull_policy;  // Always, IfNotPresent, Never
};

struct KubePod {
  ::runtime::v1::PodSandboxConfig sandbox;
  std::vector<KubeContainer> init_containers;
  std::vector<KubeContainer> containers;
  std::string restart_policy = "Always";
  std::string data_directory;               // <kube root>/<uid>, of its emptyDir volumes
  std::vector<std::string> empty_dirs;      // host directories to make (0777)
  std::vector<std::string> wanted_dirs;     // hostPath of type DirectoryOrCreate
  std::vector<std::string> required_paths;  // hostPath of type Directory, File, Socket…
};

struct Manifest {
  std::vector<KubePod> pods;
  std::vector<std::string> warnings;  // fields that are known to Kubernetes and not carried out here
};

struct ManifestSettings {
  std::string file;  // for messages: `play "f.yaml": line 3: spec.containers[0].image: required`
  std::string kube_root = "/var/lib/berth/kube";
  std::function<std::string()> make_uid;  // for pods without metadata.uid
};

// kInvalidArgument with file, line and field; the first fault ends it. Fields that Kubernetes does not have are faults.
Result<Manifest> parse_manifest(std::string_view text, const ManifestSettings& settings);

}  // namespace berth::cli
