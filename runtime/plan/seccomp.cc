// SPDX-License-Identifier: Apache-2.0
#include "runtime/plan/seccomp.h"

#include <algorithm>
#include <cstddef>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <memory>
#include <optional>
#include <seccomp.h>
#include <sys/mman.h>
#include <unistd.h>

#include "runtime/base/fd.h"
#include "runtime/base/strings.h"
#include "runtime/sys/file.h"

namespace berth::plan {
namespace {

struct Release {
  void operator()(void* context) const { ::seccomp_release(context); }
};
using Context = std::unique_ptr<void, Release>;

std::optional<uint32_t> action_value(const std::string& name, std::optional<uint32_t> errno_ret) {
  const uint32_t data = errno_ret.value_or(EPERM);
  if (name == "SCMP_ACT_ERRNO") return SCMP_ACT_ERRNO(data);
  if (name == "SCMP_ACT_ALLOW") return SCMP_ACT_ALLOW;
  if (name == "SCMP_ACT_KILL" || name == "SCMP_ACT_KILL_THREAD") return SCMP_ACT_KILL_THREAD;
  if (name == "SCMP_ACT_KILL_PROCESS") return SCMP_ACT_KILL_PROCESS;
  if (name == "SCMP_ACT_TRAP") return SCMP_ACT_TRAP;
  if (name == "SCMP_ACT_TRACE") return SCMP_ACT_TRACE(data);
  if (name == "SCMP_ACT_LOG") return SCMP_ACT_LOG;
  if (name == "SCMP_ACT_NOTIFY") return SCMP_ACT_NOTIFY;
  return std::nullopt;
}

std::optional<scmp_compare> operator_value(const std::string& name) {
  if (name == "SCMP_CMP_NE") return SCMP_CMP_NE;
  if (name == "SCMP_CMP_LT") return SCMP_CMP_LT;
  if (name == "SCMP_CMP_LE") return SCMP_CMP_LE;
  if (name == "SCMP_CMP_EQ") return SCMP_CMP_EQ;
  if (name == "SCMP_CMP_GE") return SCMP_CMP_GE;
  if (name == "SCMP_CMP_GT") return SCMP_CMP_GT;
  if (name == "SCMP_CMP_MASKED_EQ") return SCMP_CMP_MASKED_EQ;
  return std::nullopt;
}

// "SCMP_ARCH_X86_64" → libseccomp's "x86_64".
uint32_t architecture(std::string_view name) {
  constexpr std::string_view prefix = "SCMP_ARCH_";
  if (!name.starts_with(prefix)) return 0;
  std::string lower(name.substr(prefix.size()));
  for (char& c : lower) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return ::seccomp_arch_resolve_name(lower.c_str());
}

Result<> add_architectures(scmp_filter_ctx context, const oci::Seccomp& profile) {
  for (const auto& name : profile.architectures) {
    const uint32_t token = architecture(name);
    if (token == 0) return fail(Code::kInvalidArgument, concat("seccomp: unknown architecture ", quote(name)));
    const int added = ::seccomp_arch_add(context, token);
    if (added != 0 && added != -EEXIST) return fail_errno(concat("seccomp: add architecture ", quote(name)), -added);
  }
  return {};
}

Result<> add_rule(scmp_filter_ctx context, uint32_t action, const std::string& name, const std::vector<scmp_arg_cmp>& args) {
  const int number = ::seccomp_syscall_resolve_name(name.c_str());
  if (number == __NR_SCMP_ERROR) return {};
  const int added = ::seccomp_rule_add_array(context, action, number, static_cast<unsigned>(args.size()), args.data());
  // -EDOM and -EINVAL on a pseudo number: the call does not exist on one of the architectures.
  if (added == 0 || added == -EEXIST || (number < 0 && (added == -EDOM || added == -EINVAL))) return {};
  return fail_errno(concat("seccomp: add rule for ", quote(name)), -added);
}

Result<std::vector<scmp_arg_cmp>> convert_args(const oci::SeccompRule& rule, bool& repeated) {
  std::vector<scmp_arg_cmp> out;
  unsigned seen = 0;
  for (const auto& arg : rule.args) {
    const auto op = operator_value(arg.op);
    if (!op) return fail(Code::kInvalidArgument, concat("seccomp: unknown operator ", quote(arg.op)));
    if (arg.index > 5) return fail(Code::kInvalidArgument, concat("seccomp: argument index ", arg.index, " is out of range"));
    repeated = repeated || (seen & 1u << arg.index) != 0;
    seen |= 1u << arg.index;
    out.push_back({arg.index, *op, arg.value, arg.value_two});
  }
  return out;
}

Result<> add_rules(scmp_filter_ctx context, const oci::SeccompRule& rule, uint32_t action) {
  bool repeated = false;
  TRY_ASSIGN(const auto args, convert_args(rule, repeated));
  for (const auto& name : rule.names) {
    if (!repeated) {
      TRY(add_rule(context, action, name, args));
      continue;
    }
    // Several conditions on one argument cannot hold in one rule: each becomes a rule of its own (OR).
    for (const auto& arg : args) TRY(add_rule(context, action, name, {arg}));
  }
  return {};
}

Result<unsigned long> filter_flags(const oci::Seccomp& profile) {
  if (!profile.flags) return SECCOMP_FILTER_FLAG_SPEC_ALLOW;
  unsigned long flags = 0;
  for (const auto& name : *profile.flags) {
    const unsigned long flag = seccomp_flag(name);
    if (flag == 0) return fail(Code::kInvalidArgument, concat("seccomp: unknown flag ", quote(name)));
    flags |= flag;
  }
  return flags & ~static_cast<unsigned long>(SECCOMP_FILTER_FLAG_TSYNC);  // one thread: nothing to synchronise
}

Result<std::string> export_program(scmp_filter_ctx context) {
  const Fd file(::memfd_create("seccomp", MFD_CLOEXEC));
  if (!file) return fail_errno("seccomp: make memfd");
  const int exported = ::seccomp_export_bpf(context, file.get());
  if (exported != 0) return fail_errno("seccomp: export program", -exported);
  if (::lseek(file.get(), 0, SEEK_SET) != 0) return fail_errno("seccomp: rewind");
  return sys::read_all(file.get(), 1u << 20);
}

#ifdef __x86_64__
// Prepends: on the native ABI, a number above every one that the profile names is answered with ENOSYS, so that libc falls
// back to an older call instead of failing (runc's libcontainer/seccomp/patchbpf; §3 trap 52).
void answer_newer_calls(std::string& program, int highest) {
  constexpr uint32_t kX32Bit = 0x40000000;
  const sock_filter stub[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, arch)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 0, 4),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, kX32Bit, 2, 0),
      BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, static_cast<uint32_t>(highest), 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
  };
  program.insert(0, reinterpret_cast<const char*>(stub), sizeof stub);
}
#else
void answer_newer_calls(std::string&, int) {}
#endif

int highest_call(const oci::Seccomp& profile) {
  int highest = 0;
  for (const auto& rule : profile.syscalls) {
    for (const auto& name : rule.names) highest = std::max(highest, ::seccomp_syscall_resolve_name(name.c_str()));
  }
  return highest;
}

}  // namespace

unsigned long seccomp_flag(std::string_view name) {
  if (name == "SECCOMP_FILTER_FLAG_TSYNC") return SECCOMP_FILTER_FLAG_TSYNC;
  if (name == "SECCOMP_FILTER_FLAG_LOG") return SECCOMP_FILTER_FLAG_LOG;
  if (name == "SECCOMP_FILTER_FLAG_SPEC_ALLOW") return SECCOMP_FILTER_FLAG_SPEC_ALLOW;
  if (name == "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV") return 1UL << 5;
  return 0;
}

Result<SeccompFilter> compile_seccomp(const oci::Seccomp& profile) {
  const auto fallback = action_value(profile.default_action, profile.default_errno_ret);
  if (!fallback || *fallback == SCMP_ACT_NOTIFY) {
    return fail(Code::kInvalidArgument, concat("seccomp: bad default action ", quote(profile.default_action)));
  }
  const Context context(::seccomp_init(*fallback));
  if (!context) return fail(Code::kInvalidArgument, concat("seccomp: default action ", quote(profile.default_action), " is not supported"));
  ::seccomp_attr_set(context.get(), SCMP_FLTATR_CTL_OPTIMIZE, 2);
  ::seccomp_attr_set(context.get(), SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
  TRY(add_architectures(context.get(), profile));
  SeccompFilter filter;
  for (const auto& rule : profile.syscalls) {
    const auto action = action_value(rule.action, rule.errno_ret);
    if (!action) return fail(Code::kInvalidArgument, concat("seccomp: unknown action ", quote(rule.action)));
    if (*action == SCMP_ACT_NOTIFY) {
      filter.notify = true;
      for (const auto& name : rule.names) {
        if (name == "write") return fail(Code::kInvalidArgument, "SCMP_ACT_NOTIFY cannot be used for the write syscall");
      }
    }
    if (*action == *fallback) continue;
    TRY(add_rules(context.get(), rule, *action));
  }
  TRY_ASSIGN(filter.flags, filter_flags(profile));
  if (filter.notify) filter.flags |= SECCOMP_FILTER_FLAG_NEW_LISTENER;
  TRY_ASSIGN(filter.program, export_program(context.get()));
  const int highest = highest_call(profile);
  if (profile.default_action == "SCMP_ACT_ERRNO" && highest > 0) answer_newer_calls(filter.program, highest);
  return filter;
}

}  // namespace berth::plan
