// SPDX-License-Identifier: Apache-2.0
// Writing limits and device rules into the held directories.
#include <fcntl.h>

#include <algorithm>
#include <cerrno>

#include "runtime/base/strings.h"
#include "runtime/cgroup/cgroup.h"
#include "runtime/cgroup/devices.h"
#include "runtime/cgroup/limits.h"
#include "runtime/sys/file.h"

namespace berth::cgroup {
namespace {

std::string describe(const Setting& setting) {
  return concat("set ", setting.limit, " (", setting.file, ") to ", quote(setting.value));
}

bool refused_for_order(const Error& error) { return error.sys_errno() == EINVAL || error.sys_errno() == EBUSY; }

bool unsupported(const Error& error) {
  return error.sys_errno() == ENOENT || error.sys_errno() == EOPNOTSUPP || error.sys_errno() == EINVAL ||
         error.sys_errno() == EACCES;
}

// What the cgroup uses now, for the message of a limit the kernel could not reclaim down to.
Error explain(int dir, const Setting& setting, Error error) {
  if (error.sys_errno() == EBUSY && setting.limit == "memory.limit") {
    auto usage = sys::read_file_at(dir, setting.file == "memory.max" ? "memory.current" : "memory.usage_in_bytes");
    if (usage) {
      return Error(Code::kFailedPrecondition, EBUSY,
                   concat("unable to set memory limit to ", setting.value, " (current usage: ", trim(*usage), ")"));
    }
  }
  return std::move(error).wrap(describe(setting));
}

// An update of the swap limit alone on v2, where the OCI number includes the memory limit that is in force.
oci::Resources with_memory_in_force(const Cgroup& group, oci::Resources resources, bool update) {
  auto& memory = resources.memory;
  if (!update || !memory || memory->limit.value_or(0) != 0 || memory->swap.value_or(0) <= 0) return resources;
  const auto text = sys::read_file_at(group.dir("memory"), "memory.max");
  const auto limit = text ? parse_int64(trim(*text)) : std::nullopt;
  if (limit) memory->limit = *limit;
  return resources;
}

Result<> write_once(int dir, const Setting& setting) {
  auto written = sys::write_file_at(dir, setting.file, setting.value);
  if (!written && written.error().sys_errno() == ENOENT && !setting.other_file.empty()) {
    written = sys::write_file_at(dir, setting.other_file, setting.other_value);
  }
  return written;
}

}  // namespace

Result<> Cgroup::check_limit_fits(const oci::Resources& resources) const {
  const auto& memory = resources.memory;
  if (!memory || !memory->check_before_update.value_or(false) || !memory->limit || *memory->limit <= 0) return {};
  const int held = dir("memory");
  if (held < 0) return {};
  TRY_ASSIGN(const auto text, sys::read_file_at(held, v2_ ? "memory.current" : "memory.usage_in_bytes"));
  const uint64_t usage = parse_uint64(trim(text)).value_or(0);
  if (static_cast<uint64_t>(*memory->limit) > usage) return {};
  return fail(Code::kFailedPrecondition,
              concat("rejecting memory limit ", *memory->limit, " <= usage ", usage, " (checkBeforeUpdate is set)"));
}

Result<> Cgroup::apply(const oci::Resources& resources, bool update) const {
  if (dirs_.empty()) return {};
  std::string cpu_max;
  if (update && v2_ && resources.cpu && resources.cpu->period && !resources.cpu->quota) {
    if (auto text = sys::read_file_at(dir("cpu"), "cpu.max")) cpu_max = std::move(*text);
  }
  TRY_ASSIGN(const auto settings,
             v2_ ? v2_settings(with_memory_in_force(*this, resources, update), cpu_max) : v1_settings(resources));
  if (update) TRY(check_limit_fits(resources));
  if (!update) TRY(apply_devices(resources));
  std::vector<const Setting*> again;
  for (const auto& setting : settings) {
    const int held = dir(setting.controller);
    if (held < 0) {
      if (setting.optional) continue;
      return fail(Code::kFailedPrecondition,
                  concat(describe(setting), ": the host has no cgroup controller ", quote(setting.controller)));
    }
    auto written = write_once(held, setting);
    if (written) continue;
    if (refused_for_order(written.error())) {
      again.push_back(&setting);
    } else if (!setting.optional || !unsupported(written.error())) {
      return std::unexpected(explain(held, setting, std::move(written).error()));
    }
  }
  for (const Setting* setting : again) {
    const int held = dir(setting->controller);
    auto written = write_once(held, *setting);
    if (!written && !setting->optional) return std::unexpected(explain(held, *setting, std::move(written).error()));
  }
  return {};
}

Result<> Cgroup::apply_devices(const oci::Resources& resources) const {
  const DevicePolicy policy = device_policy(resources.devices);
  const bool nothing = policy.allow_all && policy.rules.empty();
  if (nothing && !reused_) return {};
  const int held = dir("devices");
  if (held < 0) return {};
  if (v2_) {
    auto attached = attach_device_program(held, device_program(policy), reused_);
    // Without CAP_BPF and CAP_SYS_ADMIN in the initial user namespace the kernel itself keeps foreign nodes closed.
    if (!attached && attached.error().sys_errno() == EPERM) return {};
    return attached;
  }
  TRY_ASSIGN(const auto writes, v1_device_writes(policy));
  TRY_ASSIGN(const Fd allow, sys::open_at(held, "devices.allow", O_WRONLY));
  TRY_ASSIGN(const Fd deny, sys::open_at(held, "devices.deny", O_WRONLY));
  for (const auto& entry : writes) {
    auto written = sys::write_all(entry.allow ? allow.get() : deny.get(), entry.line);
    if (written) continue;
    if (written.error().sys_errno() == EPERM && !entry.allow) return {};
    return std::unexpected(
        std::move(written).error().wrap(concat(entry.allow ? "allow" : "deny", " device ", quote(entry.line))));
  }
  return {};
}

}  // namespace berth::cgroup
