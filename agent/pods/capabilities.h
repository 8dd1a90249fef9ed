// SPDX-License-Identifier: Apache-2.0
// The capability sets of a container. Inheritable stays empty unless ambient ones are asked for (CVE-2022-24769).
#pragma once

#include <cstdint>

#include "cri/proto/runtime/v1/api.pb.h"
#include "runtime/base/result.h"
#include "runtime/oci/spec.h"

namespace berth::pods {

// Default set, then drop, then add ("ALL" stands for every one; add wins over drop ALL), cut to `bounding`. Names with
// or without "CAP_", any case; kInvalidArgument for a name the kernel does not have. `privileged`: everything in
// `bounding`.
Result<oci::Capabilities> container_capabilities(const ::runtime::v1::Capability& request, bool privileged,
                                                 uint64_t bounding);

}  // namespace berth::pods
