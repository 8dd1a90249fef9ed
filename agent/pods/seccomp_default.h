// SPDX-License-Identifier: Apache-2.0
// The compiled-in seccomp profile (SecurityProfile RuntimeDefault): an allow-list in the spirit of the peers', and the
// choice between it, a file of the node, and none.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "cri/proto/runtime/v1/api.pb.h"
#include "runtime/base/result.h"
#include "runtime/oci/spec.h"

namespace berth::pods {

// The profile for a container with these capabilities ("CAP_SYS_ADMIN" opens mount, bpf…).
oci::Seccomp default_seccomp(const std::vector<std::string>& capabilities);

// By the request: nothing or Unconfined → none; RuntimeDefault → default_seccomp; Localhost → the file, read as root.
// kInvalidArgument for an empty localhost_ref (CVE-2023-2431) or a file that is no profile, kNotFound for a missing
// file. The deprecated seccomp_profile_path counts only without the new field.
Result<std::optional<oci::Seccomp>> container_seccomp(const ::runtime::v1::LinuxContainerSecurityContext& context,
                                                      const std::vector<std::string>& capabilities);

}  // namespace berth::pods
