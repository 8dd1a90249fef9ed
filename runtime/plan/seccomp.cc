// SPDX-License-Identifier: Apache-2.0
#include "runtime/plan/seccomp.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <memory>
#include <optional>
#include <seccomp.h>
#include <set>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "runtime/base/fd.h"
#include "runtime/base/strings.h"
#include "runtime/sys/file.h"

#ifndef SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
#define SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV (1UL << 5)
#endif

namespace berth::plan {
namespace {

constexpr uint32_t kX32Bit = 0x40000000;

struct Release {
  void operator()(void* context) const { seccomp_release(context); }
};
using Context = std::unique_ptr<void, Release>;

struct NamedFlag {
  const char* name;
  unsigned value;
};
constexpr NamedFlag kFlags[] = {
    {"SECCOMP_FILTER_FLAG_TSYNC", 0},  // one thread in the child: accepted, nothing to do
    {"SECCOMP_FILTER_FLAG_LOG", SECCOMP_FILTER_FLAG_LOG},
    {"SECCOMP_FILTER_FLAG_SPEC_ALLOW", SECCOMP_FILTER_FLAG_SPEC_ALLOW},
    {"SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV", SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV},
};

Result<uint32_t> action_of(const std::string& name, std::optional<uint32_t> errno_ret) {
  const uint32_t data = errno_ret.value_or(EPERM) & 0xffff;
  if (name == "SCMP_ACT_ALLOW") return SCMP_ACT_ALLOW;
  if (name == "SCMP_ACT_ERRNO") return SCMP_ACT_ERRNO(data);
  if (name == "SCMP_ACT_KILL" || name == "SCMP_ACT_KILL_THREAD") return SCMP_ACT_KILL_THREAD;
  if (name == "SCMP_ACT_KILL_PROCESS") return SCMP_ACT_KILL_PROCESS;
  if (name == "SCMP_ACT_TRAP") return SCMP_ACT_TRAP;
  if (name == "SCMP_ACT_TRACE") return SCMP_ACT_TRACE(data);
  if (name == "SCMP_ACT_LOG") return SCMP_ACT_LOG;
  if (name == "SCMP_ACT_NOTIFY") return SCMP_ACT_NOTIFY;
  return fail(Code::kInvalidArgument, concat("seccomp action ", quote(name), ": unknown"));
}

Result<scmp_compare> operator_of(const std::string& name) {
  constexpr std::pair<const char*, scmp_compare> kOperators[] = {
      {"SCMP_CMP_NE", SCMP_CMP_NE}, {"SCMP_CMP_LT", SCMP_CMP_LT}, {"SCMP_CMP_LE", SCMP_CMP_LE}, {"SCMP_CMP_EQ", SCMP_CMP_EQ},
      {"SCMP_CMP_GE", SCMP_CMP_GE}, {"SCMP_CMP_GT", SCMP_CMP_GT}, {"SCMP_CMP_MASKED_EQ", SCMP_CMP_MASKED_EQ}};
  for (const auto& [text, value] : kOperators) {
    if (name == text) return value;
  }
  return fail(Code::kInvalidArgument, concat("seccomp operator ", quote(name), ": unknown"));
}

Result<> add_architectures(const Context& context, const std::vector<std::string>& names) {
  for (const auto& name : names) {
    constexpr std::string_view kPrefix = "SCMP_ARCH_";
    std::string lower = name.starts_with(kPrefix) ? name.substr(kPrefix.size()) : std::string();
    std::transform(lower.begin(), lower.end(), lower.begin(), [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c; });
    const uint32_t token = lower.empty() ? 0 : seccomp_arch_resolve_name(lower.c_str());
    if (token == 0) return fail(Code::kInvalidArgument, concat("seccomp architecture ", quote(name), ": unknown"));
    const int error = seccomp_arch_add(context.get(), token);
    if (error != 0 && error != -EEXIST) return fail_errno(concat("seccomp architecture ", quote(name)), -error);
  }
  return {};
}

Result<> add_rule(const Context& context, uint32_t action, int number, const std::string& name, const std::vector<scmp_arg_cmp>& args) {
  const int error = seccomp_rule_add_array(context.get(), action, number, static_cast<unsigned>(args.size()), args.data());
  // EDOM: the call does not exist on an architecture of the filter; EEXIST: the same rule again.
  if (error != 0 && error != -EDOM && error != -EEXIST) return fail_errno(concat("seccomp rule ", quote(name)), -error);
  return {};
}

Result<std::vector<scmp_arg_cmp>> arguments_of(const oci::SeccompRule& rule) {
  std::vector<scmp_arg_cmp> args;
  for (const auto& arg : rule.args) {
    if (arg.index > 5) return fail(Code::kInvalidArgument, concat("seccomp argument index ", arg.index, ": must be 0 to 5"));
    TRY_ASSIGN(const auto compare, operator_of(arg.op));
    args.push_back(scmp_arg_cmp{arg.index, compare, arg.value, arg.value_two});
  }
  return args;
}

// libseccomp allows one condition per argument and rule; the profile format means alternatives then.
bool repeats_an_index(const std::vector<scmp_arg_cmp>& args) {
  std::set<unsigned> seen;
  return std::any_of(args.begin(), args.end(), [&](const scmp_arg_cmp& arg) { return !seen.insert(arg.arg).second; });
}

Result<> add_syscalls(const Context& context, const oci::Seccomp& profile, uint32_t default_action, bool& notifies, int& highest) {
  for (const auto& rule : profile.syscalls) {
    TRY_ASSIGN(const uint32_t action, action_of(rule.action, rule.errno_ret));
    TRY_ASSIGN(const auto args, arguments_of(rule));
    for (const auto& name : rule.names) {
      const int number = seccomp_syscall_resolve_name(name.c_str());
      if (number == __NR_SCMP_ERROR) continue;
      highest = std::max(highest, number);
      if (action == default_action) continue;
      if (action == SCMP_ACT_NOTIFY) {
        // The descriptor of the listener is handed over by write(2): it would wait for itself.
        if (name == "write") return fail(Code::kInvalidArgument, "SCMP_ACT_NOTIFY cannot be used for the write syscall");
        notifies = true;
      }
      if (!repeats_an_index(args)) {
        TRY(add_rule(context, action, number, name, args));
        continue;
      }
      for (const auto& arg : args) TRY(add_rule(context, action, number, name, {arg}));
    }
  }
  return {};
}

Result<std::vector<uint64_t>> export_filter(const Context& context) {
  const Fd memory(::memfd_create("seccomp", MFD_CLOEXEC));
  if (!memory) return fail_errno("create seccomp filter");
  if (const int error = seccomp_export_bpf(context.get(), memory.get()); error != 0) return fail_errno("compile seccomp filter", -error);
  if (::lseek(memory.get(), 0, SEEK_SET) != 0) return fail_errno("read seccomp filter");
  TRY_ASSIGN(const auto bytes, sys::read_all(memory.get()));
  std::vector<uint64_t> instructions(bytes.size() / sizeof(uint64_t));
  ::memcpy(instructions.data(), bytes.data(), instructions.size() * sizeof(uint64_t));
  return instructions;
}

#ifdef __x86_64__
uint64_t pack(sock_filter instruction) {
  uint64_t word = 0;
  static_assert(sizeof instruction == sizeof word);
  ::memcpy(&word, &instruction, sizeof word);
  return word;
}

// Prepends: on the native ABI, a number above `highest` is answered with ENOSYS (runc's libcontainer/seccomp/patchbpf).
void answer_newer_calls(std::vector<uint64_t>& instructions, int highest) {
  const sock_filter stub[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, arch)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 0, 4),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, kX32Bit, 2, 0),
      BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, static_cast<uint32_t>(highest), 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
  };
  std::vector<uint64_t> front;
  for (const auto& instruction : stub) front.push_back(pack(instruction));
  instructions.insert(instructions.begin(), front.begin(), front.end());
}
#else
void answer_newer_calls(std::vector<uint64_t>&, int) {}
#endif

Result<unsigned> flags_of(const oci::Seccomp& profile) {
  if (!profile.flags) return static_cast<unsigned>(SECCOMP_FILTER_FLAG_SPEC_ALLOW);
  unsigned flags = 0;
  for (const auto& name : *profile.flags) {
    const auto* flag = std::find_if(std::begin(kFlags), std::end(kFlags), [&](const NamedFlag& f) { return name == f.name; });
    if (flag == std::end(kFlags)) return fail(Code::kInvalidArgument, concat("seccomp flag ", quote(name), ": unknown"));
    flags |= flag->value;
  }
  return flags;
}

}  // namespace

Result<SeccompFilter> compile_seccomp(const oci::Seccomp& profile) {
  TRY_ASSIGN(const uint32_t default_action, action_of(profile.default_action, profile.default_errno_ret));
  if (default_action == SCMP_ACT_NOTIFY) return fail(Code::kInvalidArgument, "SCMP_ACT_NOTIFY cannot be used as default action");
  const Context context(seccomp_init(default_action));
  if (!context) return fail(Code::kResourceExhausted, "create seccomp filter: out of memory");
  // A rule for a call that one of the architectures lacks must not fail the whole profile.
  seccomp_attr_set(context.get(), SCMP_FLTATR_CTL_NNP, 0);
  seccomp_attr_set(context.get(), SCMP_FLTATR_CTL_OPTIMIZE, 2);  // binary tree: shorter walks for hundreds of rules
  TRY(add_architectures(context, profile.architectures));
  SeccompFilter filter;
  int highest = 0;
  TRY(add_syscalls(context, profile, default_action, filter.notifies, highest));
  TRY_ASSIGN(filter.instructions, export_filter(context));
  if (profile.default_action == "SCMP_ACT_ERRNO" && highest > 0) answer_newer_calls(filter.instructions, highest);
  TRY_ASSIGN(filter.flags, flags_of(profile));
  if (filter.notifies) filter.flags |= SECCOMP_FILTER_FLAG_NEW_LISTENER;
  if (filter.instructions.size() > BPF_MAXINSNS) return fail(Code::kInvalidArgument, "seccomp filter: too many instructions");
  return filter;
}

std::vector<std::string> supported_seccomp_flags() {
  std::vector<std::string> names;
  for (const auto& flag : kFlags) {
    // With a null filter the kernel answers EFAULT for flags that it knows and EINVAL for others.
    ::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flag.value, nullptr);
    if (errno == EFAULT) names.emplace_back(flag.name);
  }
  return names;
}

}  // namespace berth::plan
