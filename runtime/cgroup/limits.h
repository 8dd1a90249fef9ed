// SPDX-License-Identifier: Apache-2.0
// oci::Resources → what is to be written where. Pure: reads no file, so that every conversion is testable as data.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "runtime/base/result.h"
#include "runtime/oci/spec.h"

namespace berth::cgroup {

// One write. A write refused with EINVAL or EBUSY is tried again after the others of its controller: limits that bound
// one another (memory and memory+swap, quota and burst) then succeed in either direction.
struct Setting {
  std::string controller;  // "memory"
  std::string file;        // "memory.max"
  std::string value;
  std::string_view limit;  // what the user asked, for messages: "memory.limit"
  std::string other_file;  // used when `file` does not exist
  std::string other_value;
  bool optional = false;  // a missing controller or file, or a kernel that no longer supports it, is no error
  bool operator==(const Setting&) const = default;
};

// Device rules are not among them (devices.h).
// v1 and v2; kInvalidArgument for contradictions (swap below memory, unified keys with "/" or on v1).
Result<std::vector<Setting>> v1_settings(const oci::Resources& resources);
// `current_cpu_max`: content of cpu.max, needed only when a period is given without a quota ("" → "max").
Result<std::vector<Setting>> v2_settings(const oci::Resources& resources, std::string_view current_cpu_max = {});

// cpu.shares (2…262144) → cpu.weight (1…10000), 1024 → 100, by the quadratic formula of runc 1.3.2 / crun 1.23 (§3 trap
// 59).
uint64_t cpu_weight(uint64_t shares);
// blkio weight 10…1000 → io.weight 1…10000.
uint64_t io_weight(uint64_t blkio_weight);

}  // namespace berth::cgroup
