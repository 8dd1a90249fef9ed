// SPDX-License-Identifier: Apache-2.0
// What of the host goes into a container: sources of mounts and device nodes, looked up and (directories) made. The one
// impure step before the spec builder.
#pragma once

#include <string>
#include <vector>

#include "cri/proto/runtime/v1/api.pb.h"
#include "runtime/base/result.h"
#include "runtime/oci/spec.h"

namespace berth::pods {

namespace v1 = ::runtime::v1;

// The request's mounts as OCI binds, parents first. A missing host_path is made a directory, a symbolic link is
// resolved (both as the CRI says and kubelet relies on). kInvalidArgument when propagation asks for more than the
// host's mount has. `rootfs_propagation` is raised to "rslave" or "rshared" when a mount needs it.
Result<std::vector<oci::Mount>> resolve_mounts(const v1::ContainerConfig& config, std::string& rootfs_propagation);

struct HostDevices {
  std::vector<oci::Device> nodes;
  std::vector<oci::DeviceRule> rules;
};
// The request's devices: a node, or every node of a directory; `privileged` adds all of /dev.
Result<HostDevices> resolve_devices(const v1::ContainerConfig& config, bool privileged);

// Pure parts, for tests. The propagation of the mount that `path` lies on, from the text of /proc/self/mountinfo.
struct MountPropagationState {
  bool shared = false;
  bool slave = false;
};
MountPropagationState propagation_of(const std::string& path, std::string_view mountinfo);

}  // namespace berth::pods
