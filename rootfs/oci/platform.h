// SPDX-License-Identifier: Apache-2.0
// Platforms of images: "linux/amd64", "linux/arm/v7".
#pragma once

#include <string>
#include <string_view>

#include "runtime/base/result.h"

namespace berth::rootfs {

struct Platform {
  std::string os;
  std::string architecture;
  std::string variant;
  std::string str() const;
};

// "os/architecture[/variant]" with the usual aliases (x86_64, aarch64); kInvalidArgument otherwise.
Result<Platform> parse_platform(std::string_view text);
// What this machine runs, from uname(2).
Platform machine_platform();
// 0: does not fit; higher is better. An image without variant fits any variant; arm/v7 also runs v6 and v5.
int platform_fit(const Platform& wanted, const Platform& offered);

}  // namespace berth::rootfs
