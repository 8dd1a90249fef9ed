// SPDX-License-Identifier: Apache-2.0
#include "rootfs/oci/platform.h"

#include <sys/utsname.h>

#include "runtime/base/strings.h"

namespace berth::rootfs {
namespace {

// Names of the kernel and of people → names of Go, which images use.
Platform canonical(std::string_view os, std::string_view machine, std::string_view variant) {
  Platform platform{std::string(os), std::string(machine), std::string(variant)};
  if (machine == "x86_64" || machine == "x86-64") platform.architecture = "amd64";
  if (machine == "aarch64") platform.architecture = "arm64";
  if (machine == "i386" || machine == "i686") platform.architecture = "386";
  if (machine == "armv7l" || machine == "armhf") platform = {platform.os, "arm", "v7"};
  if (machine == "armv6l") platform = {platform.os, "arm", "v6"};
  if (machine == "loongarch64") platform.architecture = "loong64";
  if (platform.architecture == "arm64" && platform.variant == "v8") platform.variant.clear();
  return platform;
}

int arm_version(std::string_view variant) {
  return variant.size() == 2 && variant[0] == 'v' && variant[1] >= '5' && variant[1] <= '8' ? variant[1] - '0' : 7;
}

}  // namespace

std::string Platform::str() const {
  return variant.empty() ? concat(os, "/", architecture) : concat(os, "/", architecture, "/", variant);
}

Result<Platform> parse_platform(std::string_view text) {
  const auto parts = split(text, '/');
  if (parts.size() < 2 || parts.size() > 3 || parts[0].empty() || parts[1].empty()) {
    return fail(Code::kInvalidArgument, concat("invalid platform ", quote(text), ": expected os/architecture[/variant]"));
  }
  return canonical(parts[0], parts[1], parts.size() == 3 ? parts[2] : "");
}

Platform machine_platform() {
  utsname name{};
  if (::uname(&name) != 0) return {"linux", "amd64", ""};
  return canonical("linux", name.machine, "");
}

int platform_fit(const Platform& wanted, const Platform& raw) {
  const Platform offered = canonical(raw.os, raw.architecture, raw.variant);
  if (wanted.os != offered.os || wanted.architecture != offered.architecture) return 0;
  if (wanted.variant == offered.variant) return 20;
  if (wanted.architecture == "arm") {
    const int most = arm_version(wanted.variant);
    const int has = arm_version(offered.variant);
    return has <= most ? has : 0;
  }
  return wanted.variant.empty() || offered.variant.empty() ? 2 : 1;
}

}  // namespace berth::rootfs
