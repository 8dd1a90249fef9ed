// SPDX-License-Identifier: Apache-2.0
#include "runtime/cgroup/devices.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "runtime/base/fd.h"
#include "runtime/base/strings.h"

namespace berth::cgroup {
namespace {

constexpr unsigned kMknod = BPF_DEVCG_ACC_MKNOD;
constexpr unsigned kRead = BPF_DEVCG_ACC_READ;
constexpr unsigned kWrite = BPF_DEVCG_ACC_WRITE;
constexpr unsigned kEveryAccess = kMknod | kRead | kWrite;

unsigned access_bits(const std::string& access) {
  unsigned bits = 0;
  for (const char c : access) {
    if (c == 'm') bits |= kMknod;
    if (c == 'r') bits |= kRead;
    if (c == 'w') bits |= kWrite;
  }
  return bits;
}

// Negative numbers are wildcards, as engines write them.
std::optional<int64_t> number(const std::optional<int64_t>& value) {
  return value && *value >= 0 ? value : std::nullopt;
}

oci::DeviceRule rule(const char* type, int64_t major, int64_t minor, const char* access) {
  return {true, type, number(major), number(minor), access};
}

std::vector<oci::DeviceRule> default_rules() {
  return {rule("c", -1, -1, "m"),    rule("b", -1, -1, "m"), rule("c", 1, 3, "rwm"),   rule("c", 1, 8, "rwm"),
          rule("c", 1, 7, "rwm"),    rule("c", 5, 0, "rwm"), rule("c", 1, 5, "rwm"),   rule("c", 1, 9, "rwm"),
          rule("c", 136, -1, "rwm"), rule("c", 5, 2, "rwm"), rule("c", 10, 200, "rwm")};
}

std::string node(const oci::DeviceRule& entry) {
  const auto part = [](const std::optional<int64_t>& value) {
    return value ? std::to_string(*value) : std::string("*");
  };
  return concat(entry.type, ' ', part(entry.major), ':', part(entry.minor));
}

std::string line(const oci::DeviceRule& entry) { return concat(node(entry), ' ', entry.access); }

// `outer` covers more nodes than `inner`, and all of them.
bool covers_more(const oci::DeviceRule& outer, const oci::DeviceRule& inner) {
  if (outer.type != inner.type || node(outer) == node(inner)) return false;
  return (!outer.major || outer.major == inner.major) && (!outer.minor || outer.minor == inner.minor);
}

}  // namespace

DevicePolicy device_policy(const std::vector<oci::DeviceRule>& spec_rules) {
  DevicePolicy policy;
  for (const auto& given : spec_rules) {
    oci::DeviceRule entry{given.allow, given.type, number(given.major), number(given.minor), given.access};
    const bool both = entry.type.empty() || entry.type == "a";
    const bool everything =
        !entry.major && !entry.minor && (access_bits(entry.access) == kEveryAccess || entry.access.empty());
    if (both && everything) {
      policy.allow_all = entry.allow;
      policy.rules.clear();
      continue;
    }
    if (entry.access.empty()) entry.access = "rwm";
    for (const char* type : {"c", "b"}) {
      if (!both && entry.type != type && !(entry.type == "u" && *type == 'c')) continue;
      policy.rules.push_back(entry);
      policy.rules.back().type = type;
    }
  }
  if (policy.allow_all && policy.rules.empty()) return policy;
  for (auto& entry : default_rules()) policy.rules.push_back(std::move(entry));
  return policy;
}

Result<std::vector<DeviceWrite>> v1_device_writes(const DevicePolicy& policy) {
  std::vector<DeviceWrite> writes{{policy.allow_all, "a"}};
  for (size_t i = 0; i < policy.rules.size(); ++i) {
    const auto& entry = policy.rules[i];
    // The kernel keeps one list of exceptions and only takes back equal ones: a hole in a wildcard would stay open.
    for (size_t k = 0; k < i && entry.allow == policy.allow_all; ++k) {
      const auto& earlier = policy.rules[k];
      const bool same_access = (access_bits(earlier.access) & access_bits(entry.access)) != 0;
      if (!entry.allow && earlier.allow && same_access && covers_more(earlier, entry)) {
        return fail(Code::kInvalidArgument, concat("device rule ", quote(concat("deny ", line(entry))),
                                                   ": cgroup v1 cannot punch a hole in ", quote(line(earlier))));
      }
    }
    writes.push_back({entry.allow, line(entry)});
  }
  return writes;
}

namespace {

bpf_insn instruction(int code, unsigned dst, unsigned src, int offset, int32_t imm) {
  bpf_insn out{};
  out.code = static_cast<__u8>(code);
  out.dst_reg = dst & 0xf;
  out.src_reg = src & 0xf;
  out.off = static_cast<__s16>(offset);
  out.imm = imm;
  return out;
}

// Registers: r2 node type, r3 access bits not yet allowed, r4 major, r5 minor.
std::vector<bpf_insn> load_context() {
  return {
      instruction(BPF_LDX | BPF_MEM | BPF_W, 2, 1, 0, 0),        instruction(BPF_ALU64 | BPF_MOV | BPF_X, 3, 2, 0, 0),
      instruction(BPF_ALU64 | BPF_AND | BPF_K, 2, 0, 0, 0xffff), instruction(BPF_ALU64 | BPF_RSH | BPF_K, 3, 0, 0, 16),
      instruction(BPF_LDX | BPF_MEM | BPF_W, 4, 1, 4, 0),        instruction(BPF_LDX | BPF_MEM | BPF_W, 5, 1, 8, 0)};
}

void append_return(std::vector<bpf_insn>& out, bool allow) {
  out.push_back(instruction(BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, allow ? 1 : 0));
  out.push_back(instruction(BPF_JMP | BPF_EXIT, 0, 0, 0, 0));
}

void append_rule(std::vector<bpf_insn>& out, const oci::DeviceRule& entry) {
  const auto bits = static_cast<int32_t>(access_bits(entry.access));
  std::vector<bpf_insn> body;
  if (entry.allow && bits != static_cast<int32_t>(kEveryAccess)) {
    body.push_back(instruction(BPF_ALU64 | BPF_AND | BPF_K, 3, 0, 0, ~bits));
    body.push_back(instruction(BPF_JMP | BPF_JNE | BPF_K, 3, 0, 2, 0));
  } else if (!entry.allow && bits != static_cast<int32_t>(kEveryAccess)) {
    body.push_back(instruction(BPF_ALU64 | BPF_MOV | BPF_X, 1, 3, 0, 0));
    body.push_back(instruction(BPF_ALU64 | BPF_AND | BPF_K, 1, 0, 0, bits));
    body.push_back(instruction(BPF_JMP | BPF_JEQ | BPF_K, 1, 0, 2, 0));
  }
  append_return(body, entry.allow);
  std::vector<std::pair<unsigned, int32_t>> checks{{2u, entry.type == "b" ? BPF_DEVCG_DEV_BLOCK : BPF_DEVCG_DEV_CHAR}};
  if (entry.major) checks.emplace_back(4u, static_cast<int32_t>(*entry.major));
  if (entry.minor) checks.emplace_back(5u, static_cast<int32_t>(*entry.minor));
  for (size_t i = 0; i < checks.size(); ++i) {
    const auto skip = static_cast<int>(checks.size() - i - 1 + body.size());
    out.push_back(instruction(BPF_JMP | BPF_JNE | BPF_K, checks[i].first, 0, skip, checks[i].second));
  }
  out.insert(out.end(), body.begin(), body.end());
}

long bpf(int command, bpf_attr& attributes) { return ::syscall(SYS_bpf, command, &attributes, sizeof(attributes)); }

__u64 address(const void* pointer) { return reinterpret_cast<__u64>(pointer); }

Result<std::vector<Fd>> attached_programs(int cgroup) {
  std::array<__u32, 64> ids{};
  bpf_attr query{};
  query.query.target_fd = static_cast<__u32>(cgroup);
  query.query.attach_type = BPF_CGROUP_DEVICE;
  query.query.prog_ids = address(ids.data());
  query.query.prog_cnt = ids.size();
  if (bpf(BPF_PROG_QUERY, query) != 0) return fail_errno("query device programs of the cgroup");
  std::vector<Fd> out;
  for (__u32 i = 0; i < query.query.prog_cnt; ++i) {
    bpf_attr get{};
    get.prog_id = ids[i];
    Fd program(static_cast<int>(bpf(BPF_PROG_GET_FD_BY_ID, get)));
    if (program) out.push_back(std::move(program));
  }
  return out;
}

}  // namespace

std::vector<bpf_insn> device_program(const DevicePolicy& policy) {
  auto out = load_context();
  for (auto entry = policy.rules.rbegin(); entry != policy.rules.rend(); ++entry) append_rule(out, *entry);
  append_return(out, policy.allow_all);
  return out;
}

Result<> attach_device_program(int cgroup, const std::vector<bpf_insn>& program, bool replace) {
  bpf_attr load{};
  load.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE;
  load.insns = address(program.data());
  load.insn_cnt = static_cast<__u32>(program.size());
  load.license = address("Apache-2.0");
  const Fd loaded(static_cast<int>(bpf(BPF_PROG_LOAD, load)));
  if (!loaded) return fail_errno("load device program");
  std::vector<Fd> old;
  if (replace) {
    TRY_ASSIGN(old, attached_programs(cgroup));
  }
  bpf_attr attach{};
  attach.target_fd = static_cast<__u32>(cgroup);
  attach.attach_bpf_fd = static_cast<__u32>(loaded.get());
  attach.attach_type = BPF_CGROUP_DEVICE;
  attach.attach_flags = BPF_F_ALLOW_MULTI;
  if (bpf(BPF_PROG_ATTACH, attach) != 0) return fail_errno("attach device program");
  for (const auto& entry : old) {
    bpf_attr detach{};
    detach.target_fd = static_cast<__u32>(cgroup);
    detach.attach_bpf_fd = static_cast<__u32>(entry.get());
    detach.attach_type = BPF_CGROUP_DEVICE;
    if (bpf(BPF_PROG_DETACH, detach) != 0) return fail_errno("detach the earlier device program");
  }
  return {};
}

}  // namespace berth::cgroup
