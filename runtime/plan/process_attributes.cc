// SPDX-License-Identifier: Apache-2.0
// Scheduling, I/O priority, personality, memory policy, limits: single system calls with computed arguments.
#include "runtime/plan/process_attributes.h"

#include <cstring>
#include <sys/personality.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "runtime/base/strings.h"
#include "runtime/plan/process.h"

namespace berth::plan {
namespace {

struct SchedAttr {
  uint32_t size, policy;
  uint64_t flags;
  int32_t nice;
  uint32_t priority;
  uint64_t runtime, deadline, period;
};

struct NamedNumber {
  const char* name;
  int number;
};

constexpr NamedNumber kPolicies[] = {{"SCHED_OTHER", 0}, {"SCHED_FIFO", 1}, {"SCHED_RR", 2}, {"SCHED_BATCH", 3},
                                     {"SCHED_ISO", 4},   {"SCHED_IDLE", 5}, {"SCHED_DEADLINE", 6}};
constexpr NamedNumber kSchedFlags[] = {
    {"SCHED_FLAG_RESET_ON_FORK", 1}, {"SCHED_FLAG_RECLAIM", 2},         {"SCHED_FLAG_DL_OVERRUN", 4}, {"SCHED_FLAG_KEEP_POLICY", 8},
    {"SCHED_FLAG_KEEP_PARAMS", 16},  {"SCHED_FLAG_UTIL_CLAMP_MIN", 32}, {"SCHED_FLAG_UTIL_CLAMP_MAX", 64}};
constexpr NamedNumber kRlimits[] = {
    {"RLIMIT_AS", RLIMIT_AS},           {"RLIMIT_CORE", RLIMIT_CORE},         {"RLIMIT_CPU", RLIMIT_CPU},
    {"RLIMIT_DATA", RLIMIT_DATA},       {"RLIMIT_FSIZE", RLIMIT_FSIZE},       {"RLIMIT_LOCKS", RLIMIT_LOCKS},
    {"RLIMIT_MEMLOCK", RLIMIT_MEMLOCK}, {"RLIMIT_MSGQUEUE", RLIMIT_MSGQUEUE}, {"RLIMIT_NICE", RLIMIT_NICE},
    {"RLIMIT_NOFILE", RLIMIT_NOFILE},   {"RLIMIT_NPROC", RLIMIT_NPROC},       {"RLIMIT_RSS", RLIMIT_RSS},
    {"RLIMIT_RTPRIO", RLIMIT_RTPRIO},   {"RLIMIT_RTTIME", RLIMIT_RTTIME},     {"RLIMIT_SIGPENDING", RLIMIT_SIGPENDING},
    {"RLIMIT_STACK", RLIMIT_STACK}};

template <size_t N>
int find(const NamedNumber (&table)[N], std::string_view name) {
  for (const auto& entry : table) {
    if (name == entry.name) return entry.number;
  }
  return -1;
}

template <typename T>
uint64_t stored(Builder& builder, const T& value) {
  return reinterpret_cast<uint64_t>(builder.bytes(std::string(reinterpret_cast<const char*>(&value), sizeof value)));
}

}  // namespace

int rlimit_number(std::string_view name) { return find(kRlimits, name); }

Result<> add_scheduler(Builder& builder, const oci::Scheduler& scheduler) {
  SchedAttr attr{};
  attr.size = sizeof attr;
  const int policy = find(kPolicies, scheduler.policy);
  if (policy < 0) return fail(Code::kInvalidArgument, concat("scheduler: unknown policy ", quote(scheduler.policy)));
  attr.policy = static_cast<uint32_t>(policy);
  for (const auto& name : scheduler.flags) {
    const int flag = find(kSchedFlags, name);
    if (flag < 0) return fail(Code::kInvalidArgument, concat("scheduler: unknown flag ", quote(name)));
    attr.flags |= static_cast<uint64_t>(flag);
  }
  attr.nice = scheduler.nice;
  attr.priority = static_cast<uint32_t>(scheduler.priority);
  attr.runtime = scheduler.runtime;
  attr.deadline = scheduler.deadline;
  attr.period = scheduler.period;
  builder.call("set process scheduler", SYS_sched_setattr, 0, stored(builder, attr), 0);
  return {};
}

Result<> add_io_priority(Builder& builder, const oci::IoPriority& priority) {
  uint64_t klass = 0;
  if (priority.klass == "IOPRIO_CLASS_RT") {
    klass = 1;
  } else if (priority.klass == "IOPRIO_CLASS_BE") {
    klass = 2;
  } else if (priority.klass == "IOPRIO_CLASS_IDLE") {
    klass = 3;
  } else {
    return fail(Code::kInvalidArgument, concat("ioPriority: unknown class ", quote(priority.klass)));
  }
  builder.call("set io priority", SYS_ioprio_set, 2 /* IOPRIO_WHO_PGRP */, 0, klass << 13 | static_cast<uint64_t>(priority.priority));
  return {};
}

Result<> add_rlimits(Builder& builder, const std::vector<oci::Rlimit>& limits) {
  for (const auto& limit : limits) {
    const int number = rlimit_number(limit.type);
    if (number < 0) return fail(Code::kInvalidArgument, concat("rlimit ", quote(limit.type), ": unknown type"));
    const rlimit64 value{limit.soft, limit.hard};
    builder.call(concat("set rlimit ", limit.type), SYS_prlimit64, 0, static_cast<uint64_t>(number), stored(builder, value), 0);
  }
  return {};
}

Result<> add_personality(Builder& builder, const oci::Personality& personality) {
  const uint64_t domain = personality.domain == "LINUX32" ? PER_LINUX32 : PER_LINUX;
  builder.call("set personality", SYS_personality, domain);
  return {};
}

Result<> add_affinity(Builder& builder, std::string_view list) {
  std::string mask(1024 / 8, '\0');
  for (const auto part : split(list, ',')) {
    const size_t dash = part.find('-');
    const auto first = parse_uint32(trim(part.substr(0, dash)));
    const auto last = dash == std::string_view::npos ? first : parse_uint32(trim(part.substr(dash + 1)));
    if (!first || !last || *first > *last || *last >= 1024) {
      return fail(Code::kInvalidArgument, concat("execCPUAffinity: bad cpu list ", quote(list)));
    }
    for (uint32_t cpu = *first; cpu <= *last; ++cpu) mask[cpu / 8] = static_cast<char>(mask[cpu / 8] | 1 << cpu % 8);
  }
  const size_t size = mask.size();
  const void* bytes = builder.bytes(std::move(mask));
  builder.call("set cpu affinity", SYS_sched_setaffinity, 0, size, reinterpret_cast<uint64_t>(bytes));
  return {};
}

}  // namespace berth::plan
