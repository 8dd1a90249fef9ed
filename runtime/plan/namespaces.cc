// SPDX-License-Identifier: Apache-2.0
#include "runtime/plan/namespaces.h"

#include <fcntl.h>
#include <linux/sched.h>

#include "runtime/base/strings.h"
#include "runtime/sys/file.h"

namespace berth::plan {
namespace {

struct Name {
  const char* type;
  uint64_t flag;
};

constexpr Name kNames[] = {
    {"pid", CLONE_NEWPID},   {"network", CLONE_NEWNET}, {"mount", CLONE_NEWNS},       {"ipc", CLONE_NEWIPC},
    {"uts", CLONE_NEWUTS},   {"user", CLONE_NEWUSER},   {"cgroup", CLONE_NEWCGROUP}, {"time", CLONE_NEWTIME},
};

}  // namespace

bool NamespacePlan::new_user() const { return (fresh & CLONE_NEWUSER) != 0; }

bool NamespacePlan::has(uint64_t type) const {
  if ((fresh & type) != 0 || (fresh_cgroup && type == CLONE_NEWCGROUP) || (fresh_time && type == CLONE_NEWTIME)) return true;
  for (const auto& join : joined) {
    if (join.type == type) return true;
  }
  return false;
}

uint64_t namespace_flag(std::string_view type) {
  for (const auto& name : kNames) {
    if (type == name.type) return name.flag;
  }
  return 0;
}

Result<NamespacePlan> plan_namespaces(const oci::Linux& spec) {
  NamespacePlan out;
  bool joins_deep = false;  // pid, user or time: only a later clone is inside
  for (const auto& entry : spec.namespaces) {
    const uint64_t flag = namespace_flag(entry.type);
    if (flag == 0) return fail(Code::kInvalidArgument, concat("namespace ", quote(entry.type), ": unknown type"));
    if (entry.path.empty()) {
      if (flag == CLONE_NEWCGROUP) {
        out.fresh_cgroup = true;
      } else if (flag == CLONE_NEWTIME) {
        out.fresh_time = true;
      } else {
        out.fresh |= flag;
      }
      continue;
    }
    TRY_ASSIGN(Fd file, sys::open_path(entry.path, O_RDONLY), concat("join ", entry.type, " namespace"));
    out.joined.push_back({file.get(), flag});
    out.files.push_back(std::move(file));
    joins_deep = joins_deep || flag == CLONE_NEWPID || flag == CLONE_NEWUSER || flag == CLONE_NEWTIME;
  }
  out.two_stages = joins_deep || out.fresh_time || (out.new_user() && !out.joined.empty());
  return out;
}

}  // namespace berth::plan
