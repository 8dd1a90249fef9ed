// SPDX-License-Identifier: Apache-2.0
// Scheduling, I/O priority, personality, limits. Each appends one call or says kInvalidArgument for an unknown name.
#pragma once

#include <string_view>
#include <vector>

#include "runtime/base/result.h"
#include "runtime/oci/spec.h"
#include "runtime/plan/builder.h"

namespace berth::plan {

Result<> add_scheduler(Builder& builder, const oci::Scheduler& scheduler);
Result<> add_io_priority(Builder& builder, const oci::IoPriority& priority);
Result<> add_rlimits(Builder& builder, const std::vector<oci::Rlimit>& limits);
Result<> add_personality(Builder& builder, const oci::Personality& personality);
// A cpu list as "0-3,7".
Result<> add_affinity(Builder& builder, std::string_view list);

}  // namespace berth::plan
