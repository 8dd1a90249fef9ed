// SPDX-License-Identifier: Apache-2.0
#include "agent/pods/host_facts.h"

#include <linux/capability.h>
#include <sys/utsname.h>

#include <algorithm>
#include <charconv>

#include "runtime/base/strings.h"
#include "runtime/sys/file.h"

namespace berth::pods {
namespace {

uint64_t status_mask(std::string_view status, std::string_view key) {
  for (const std::string_view line : split(status, '\n')) {
    if (!line.starts_with(key)) continue;
    const std::string_view digits = trim(line.substr(key.size()));
    uint64_t mask = 0;
    std::from_chars(digits.data(), digits.data() + digits.size(), mask, 16);
    return mask;
  }
  return 0;
}

bool limits_huge_pages(const cgroup::Layout& layout) {
  for (const cgroup::Hierarchy& hierarchy : layout.hierarchies) {
    if (layout.v2) {
      const auto controllers = sys::read_file(hierarchy.mount_point + "/cgroup.controllers");
      return controllers && controllers->find("hugetlb") != std::string::npos;
    }
    const auto& names = hierarchy.controllers;
    if (std::find(names.begin(), names.end(), "hugetlb") != names.end()) return true;
  }
  return false;
}

}  // namespace

Result<HostFacts> gather_host_facts(const cgroup::Layout& layout) {
  HostFacts facts;
  TRY_ASSIGN(const std::string status, sys::read_file("/proc/self/status"));
  facts.bounding_capabilities = status_mask(status, "CapBnd:");
  facts.may_lower_oom = (status_mask(status, "CapEff:") >> CAP_SYS_RESOURCE & 1) != 0;
  TRY_ASSIGN(const std::string adjustment, sys::read_file("/proc/self/oom_score_adj"));
  facts.oom_score_adj = int(parse_int64(trim(adjustment)).value_or(0));
  facts.cgroup_v2 = layout.v2;
  facts.hugetlb = limits_huge_pages(layout);
  const auto apparmor = sys::read_file("/sys/module/apparmor/parameters/enabled");
  facts.apparmor = apparmor && apparmor->starts_with('Y');
  struct utsname names{};
  if (::uname(&names) != 0) return fail_errno("uname");
  facts.host_name = names.nodename;
  TRY_ASSIGN(const std::string boot, sys::read_file("/proc/sys/kernel/random/boot_id"));
  facts.boot_id = trim(boot);
  return facts;
}

}  // namespace berth::pods
