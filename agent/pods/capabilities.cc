// SPDX-License-Identifier: Apache-2.0
#include "agent/pods/capabilities.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "runtime/base/strings.h"

namespace berth::pods {
namespace {

// In the kernel's order: the index is the number.
constexpr std::array<std::string_view, 41> kNames = {"CAP_CHOWN",
                                                     "CAP_DAC_OVERRIDE",
                                                     "CAP_DAC_READ_SEARCH",
                                                     "CAP_FOWNER",
                                                     "CAP_FSETID",
                                                     "CAP_KILL",
                                                     "CAP_SETGID",
                                                     "CAP_SETUID",
                                                     "CAP_SETPCAP",
                                                     "CAP_LINUX_IMMUTABLE",
                                                     "CAP_NET_BIND_SERVICE",
                                                     "CAP_NET_BROADCAST",
                                                     "CAP_NET_ADMIN",
                                                     "CAP_NET_RAW",
                                                     "CAP_IPC_LOCK",
                                                     "CAP_IPC_OWNER",
                                                     "CAP_SYS_MODULE",
                                                     "CAP_SYS_RAWIO",
                                                     "CAP_SYS_CHROOT",
                                                     "CAP_SYS_PTRACE",
                                                     "CAP_SYS_PACCT",
                                                     "CAP_SYS_ADMIN",
                                                     "CAP_SYS_BOOT",
                                                     "CAP_SYS_NICE",
                                                     "CAP_SYS_RESOURCE",
                                                     "CAP_SYS_TIME",
                                                     "CAP_SYS_TTY_CONFIG",
                                                     "CAP_MKNOD",
                                                     "CAP_LEASE",
                                                     "CAP_AUDIT_WRITE",
                                                     "CAP_AUDIT_CONTROL",
                                                     "CAP_SETFCAP",
                                                     "CAP_MAC_OVERRIDE",
                                                     "CAP_MAC_ADMIN",
                                                     "CAP_SYSLOG",
                                                     "CAP_WAKE_ALARM",
                                                     "CAP_BLOCK_SUSPEND",
                                                     "CAP_AUDIT_READ",
                                                     "CAP_PERFMON",
                                                     "CAP_BPF",
                                                     "CAP_CHECKPOINT_RESTORE"};

constexpr std::array<std::string_view, 14> kDefault = {
    "CAP_CHOWN",   "CAP_DAC_OVERRIDE", "CAP_FSETID",           "CAP_FOWNER",
    "CAP_MKNOD",   "CAP_NET_RAW",      "CAP_SETGID",           "CAP_SETUID",
    "CAP_SETFCAP", "CAP_SETPCAP",      "CAP_NET_BIND_SERVICE", "CAP_SYS_CHROOT",
    "CAP_KILL",    "CAP_AUDIT_WRITE"};

constexpr uint64_t kAll = (uint64_t{1} << kNames.size()) - 1;

Result<uint64_t> mask_of(const std::string& name) {
  std::string upper = name;
  std::transform(upper.begin(), upper.end(), upper.begin(), [](unsigned char c) { return char(std::toupper(c)); });
  if (upper == "ALL" || upper == "CAP_ALL") return kAll;
  if (!upper.starts_with("CAP_")) upper.insert(0, "CAP_");
  const auto found = std::find(kNames.begin(), kNames.end(), upper);
  if (found == kNames.end()) return fail(Code::kInvalidArgument, concat("capability ", quote(name), " is unknown"));
  return uint64_t{1} << (found - kNames.begin());
}

template <typename Names>
Result<uint64_t> mask_of_list(const Names& names) {
  uint64_t mask = 0;
  for (const std::string& name : names) {
    TRY_ASSIGN(const uint64_t one, mask_of(name));
    mask |= one;
  }
  return mask;
}

std::vector<std::string> names_of(uint64_t mask) {
  std::vector<std::string> names;
  for (size_t i = 0; i < kNames.size(); ++i) {
    if ((mask >> i & 1) != 0) names.emplace_back(kNames[i]);
  }
  return names;
}

}  // namespace

Result<oci::Capabilities> container_capabilities(const ::runtime::v1::Capability& request, bool privileged,
                                                 uint64_t bounding) {
  TRY_ASSIGN(const uint64_t add, mask_of_list(request.add_capabilities()));
  TRY_ASSIGN(const uint64_t drop, mask_of_list(request.drop_capabilities()));
  TRY_ASSIGN(const uint64_t ambient, mask_of_list(request.add_ambient_capabilities()));
  uint64_t mask = 0;
  if (privileged) {
    mask = kAll;
  } else {
    for (const std::string_view name : kDefault) mask |= *mask_of(std::string(name));
    if (add == kAll) mask = kAll;
    mask &= ~drop;
    // After "add ALL" single drops hold; after "drop ALL" single adds do.
    if (add != kAll) mask |= add;
    mask |= ambient;
  }
  mask &= bounding;
  oci::Capabilities sets;
  sets.bounding = names_of(mask);
  sets.effective = sets.bounding;
  sets.permitted = sets.bounding;
  sets.ambient = names_of(ambient & bounding);
  sets.inheritable = sets.ambient;
  return sets;
}

}  // namespace berth::pods
