// SPDX-License-Identifier: Apache-2.0
#include <linux/capability.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "runtime/base/strings.h"
#include "runtime/plan/process.h"

namespace berth::plan {
namespace {

constexpr const char* kNames[] = {
    "CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID", "SETPCAP", "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE", "NET_BROADCAST", "NET_ADMIN", "NET_RAW", "IPC_LOCK", "IPC_OWNER", "SYS_MODULE", "SYS_RAWIO", "SYS_CHROOT",
    "SYS_PTRACE", "SYS_PACCT", "SYS_ADMIN", "SYS_BOOT", "SYS_NICE", "SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG", "MKNOD", "LEASE",
    "AUDIT_WRITE", "AUDIT_CONTROL", "SETFCAP", "MAC_OVERRIDE", "MAC_ADMIN", "SYSLOG", "WAKE_ALARM", "BLOCK_SUSPEND", "AUDIT_READ",
    "PERFMON", "BPF", "CHECKPOINT_RESTORE"};

uint64_t mask(const std::vector<std::string>& names, std::vector<std::string>& unknown) {
  uint64_t bits = 0;
  for (const auto& name : names) {
    bool found = false;
    for (size_t i = 0; i < std::size(kNames) && !found; ++i) {
      found = name.starts_with("CAP_") && std::string_view(name).substr(4) == kNames[i];
      if (found) bits |= 1ULL << i;
    }
    if (!found) unknown.push_back(name);
  }
  return bits;
}

}  // namespace

CapabilityMasks capability_masks(const oci::Capabilities& sets, std::vector<std::string>& unknown) {
  CapabilityMasks masks;
  masks.bounding = mask(sets.bounding, unknown);
  masks.effective = mask(sets.effective, unknown);
  masks.inheritable = mask(sets.inheritable, unknown);
  masks.permitted = mask(sets.permitted, unknown);
  masks.ambient = mask(sets.ambient, unknown);
  return masks;
}

std::vector<std::string> capability_names() {
  std::vector<std::string> names;
  for (const char* name : kNames) names.push_back(concat("CAP_", name));
  return names;
}

uint64_t own_capabilities() {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2] = {};
  if (::syscall(SYS_capget, &header, data) != 0) return ~0ULL;
  return static_cast<uint64_t>(data[1].permitted) << 32 | data[0].permitted;
}

}  // namespace berth::plan
