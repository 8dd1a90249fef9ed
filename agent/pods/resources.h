// SPDX-License-Identifier: Apache-2.0
// LinuxContainerResources in force, changed by an update. Pure.
#pragma once

#include "cri/proto/runtime/v1/api.pb.h"

namespace berth::pods {

// Fields of `changes` that are set replace those of `target`; zero leaves as it is; `unified` is merged by key.
void merge_resources(::runtime::v1::LinuxContainerResources& target,
                     const ::runtime::v1::LinuxContainerResources& changes);

}  // namespace berth::pods
