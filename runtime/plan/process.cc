// SPDX-License-Identifier: Apache-2.0
#include "runtime/plan/process.h"

#include <algorithm>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/keyctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "runtime/base/strings.h"
#include "runtime/plan/process_attributes.h"

namespace berth::plan {
namespace {

using child::OpCode;

constexpr const char* kDefaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

std::string_view value_of(const std::vector<std::string>& env, std::string_view name) {
  std::string_view value;
  for (const auto& entry : env) {
    if (entry.size() > name.size() && entry.starts_with(name) && entry[name.size()] == '=') value = std::string_view(entry).substr(name.size() + 1);
  }
  return value;
}

template <typename T>
uint64_t stored(Builder& builder, const T* values, size_t count) {
  return reinterpret_cast<uint64_t>(builder.bytes(std::string(reinterpret_cast<const char*>(values), sizeof(T) * count)));
}

void add_seccomp(const ProcessContext& context) {
  if (context.filter == nullptr) return;
  Builder& builder = context.builder;
  auto& op = builder.add(OpCode::kSeccomp, "load seccomp filter");
  op.args[0] = context.filter->program.size() / sizeof(sock_filter);
  op.args[1] = reinterpret_cast<uint64_t>(builder.bytes(context.filter->program));
  op.args[2] = context.filter->flags;
  op.value = kSyncSeccomp;
}

void add_lsm(const ProcessContext& context) {
  Builder& builder = context.builder;
  const auto write = [&](const char* path, std::string text, std::string doing) {
    auto& op = builder.add(OpCode::kWriteFile, std::move(doing));
    op.slot = context.proc_slot;
    op.path = path;
    op.count = static_cast<uint32_t>(text.size());
    op.text = builder.text(std::move(text));
  };
  const auto& process = context.process;
  if (!process.apparmor_profile.empty() && process.apparmor_profile != "unconfined") {
    write("thread-self/attr/apparmor/exec", concat("exec ", process.apparmor_profile), concat("set apparmor profile ", quote(process.apparmor_profile)));
  }
  if (!process.selinux_label.empty()) {
    write("thread-self/attr/exec", process.selinux_label, concat("set selinux label ", quote(process.selinux_label)));
  }
}

// The sets as they can be given: without a user namespace nothing beyond what we have ourselves.
CapabilityMasks effective_masks(const ProcessContext& context) {
  std::vector<std::string> unknown;
  CapabilityMasks masks = capability_masks(context.process.capabilities.value_or(oci::Capabilities{}), unknown);
  const uint64_t own = context.user_namespace ? ~0ULL : own_capabilities();
  masks.permitted &= own;
  masks.effective &= masks.permitted;
  masks.inheritable &= own;
  masks.ambient &= masks.permitted & masks.inheritable;
  return masks;
}

void drop_bounding(Builder& builder, uint64_t kept) {
  for (uint64_t cap = 0; cap < capability_names().size(); ++cap) {
    if ((kept >> cap & 1) != 0) continue;
    auto& op = builder.call(concat("drop capability ", cap, " from the bounding set"), SYS_prctl, PR_CAPBSET_DROP, cap);
    op.tolerated[0] = EINVAL;  // newer than the kernel
  }
}

void set_capabilities(Builder& builder, const CapabilityMasks& masks) {
  const __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  const auto low = [](uint64_t value) { return static_cast<uint32_t>(value); };
  const auto high = [](uint64_t value) { return static_cast<uint32_t>(value >> 32); };
  const __user_cap_data_struct data[2] = {{low(masks.effective), low(masks.permitted), low(masks.inheritable)},
                                          {high(masks.effective), high(masks.permitted), high(masks.inheritable)}};
  builder.call("set capabilities", SYS_capset, stored(builder, &header, 1), stored(builder, data, 2));
  builder.call("clear ambient capabilities", SYS_prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL).tolerated[0] = EINVAL;
  for (uint64_t cap = 0; cap < 64; ++cap) {
    if ((masks.ambient >> cap & 1) == 0) continue;
    auto& op = builder.call(concat("raise ambient capability ", cap), SYS_prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, cap);
    op.tolerated[0] = EPERM;
  }
}

// setgroups always holds exactly the spec's list: nothing of the caller's groups stays (R11).
void add_ids(const ProcessContext& context) {
  Builder& builder = context.builder;
  const auto& user = context.process.user;
  if (!context.setgroups_denied) {
    const auto& gids = user.additional_gids;
    builder.call("set supplementary groups", SYS_setgroups, gids.size(), gids.empty() ? 0 : stored(builder, gids.data(), gids.size()));
  }
  builder.call(concat("set gid ", user.gid), SYS_setresgid, user.gid, user.gid, user.gid);
  builder.call(concat("set uid ", user.uid), SYS_setresuid, user.uid, user.uid, user.uid);
}

void add_chdir(const ProcessContext& context, uint32_t flags) {
  const std::string cwd = context.process.cwd.empty() ? "/" : context.process.cwd;
  auto& op = context.builder.add(OpCode::kChdir, concat("chdir to cwd (", quote(cwd), ") set in config.json"));
  op.path = context.builder.text(cwd);
  op.flags = flags;
}

void add_lookup(const ProcessContext& context) {
  const auto candidates = lookup_candidates(context.process);
  auto& op = context.builder.add(OpCode::kLookup, context.process.args[0]);
  op.list = context.builder.list(candidates);
  op.count = static_cast<uint32_t>(candidates.size());
  if (context.process.args[0].find('/') == std::string::npos) op.flags |= child::kSearched;
}

void add_start_hooks(const ProcessContext& context) {
  if (context.start_hooks == nullptr) return;
  size_t index = 0;
  for (const auto& hook : *context.start_hooks) {
    auto& op = context.builder.add(OpCode::kHook, concat("error running startContainer hook #", index));
    op.fd = context.hook_state;
    op.path = context.builder.text(hook.path);
    op.list = context.builder.list(hook.args.empty() ? std::vector<std::string>{hook.path} : hook.args);
    op.env = context.builder.list(hook.env ? *hook.env : final_environment(context.process, context.home));
    op.args[0] = hook.timeout ? static_cast<uint64_t>(*hook.timeout) * 1000 : 0;
    op.flags |= child::kToStderr;
    op.text = context.builder.text(concat("error running startContainer hook #", index++, ": "));
  }
}

// Before the working directory is entered: /proc/self/fd/N must name nothing of the host (CVE-2024-21626).
void add_close(const ProcessContext& context) {
  Builder& builder = context.builder;
  std::vector<int> keep = {context.sync};
  if (context.gate >= 0) keep.push_back(context.gate);
  if (context.start_hooks != nullptr) keep.push_back(context.hook_state);
  for (unsigned i = 0; i < context.preserve_fds; ++i) keep.push_back(static_cast<int>(3 + i));
  std::sort(keep.begin(), keep.end());
  auto& close = builder.add(OpCode::kCloseFds, "close descriptors");
  close.count = static_cast<uint32_t>(keep.size());
  close.keep = builder.numbers(std::move(keep));
}

// From here on nothing is opened: the gate, hooks, execve.
void add_tail(const ProcessContext& context) {
  Builder& builder = context.builder;
  builder.call("clear parent death signal", SYS_prctl, PR_SET_PDEATHSIG, 0);
  if (context.process.no_new_privileges) add_seccomp(context);
  if (context.gate >= 0) {
    builder.add(OpCode::kReady, "report readiness");
    builder.add(OpCode::kGate, "wait for start").fd = context.gate;
    add_start_hooks(context);
  }
  auto& exec = builder.add(OpCode::kExec, concat("exec ", context.process.args[0]));
  exec.list = builder.list(context.process.args);
  exec.env = builder.list(final_environment(context.process, context.home));
  exec.value = static_cast<int>(3 + context.preserve_fds);
  exec.text = builder.text(concat("exec ", context.process.args[0], ": "));
  if (context.gate >= 0) exec.flags |= child::kToStderr;
}

Result<> add_attributes(const ProcessContext& context) {
  Builder& builder = context.builder;
  const auto& process = context.process;
  if (!context.keyring.empty()) {
    auto& op = builder.call("join session keyring", SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING,
                            reinterpret_cast<uint64_t>(builder.text(context.keyring)));
    op.tolerated[0] = ENOSYS;
    op.tolerated[1] = EPERM;  // a seccomp profile around us
  }
  if (process.no_new_privileges) builder.call("set no_new_privs", SYS_prctl, PR_SET_NO_NEW_PRIVS, 1);
  if (process.scheduler) TRY(add_scheduler(builder, *process.scheduler));
  if (process.io_priority) TRY(add_io_priority(builder, *process.io_priority));
  if (context.personality != nullptr) TRY(add_personality(builder, *context.personality));
  if (process.exec_cpu_affinity && context.exec && !process.exec_cpu_affinity->final.empty()) {
    TRY(add_affinity(builder, process.exec_cpu_affinity->final));
  }
  return {};
}

}  // namespace

std::vector<std::string> final_environment(const oci::Process& process, const std::optional<std::string>& home) {
  std::vector<std::string> out;
  std::map<std::string, size_t, std::less<>> places;
  for (const auto& entry : process.env) {
    const size_t equals = entry.find('=');
    if (equals == std::string::npos || equals == 0) continue;
    const auto [place, added] = places.try_emplace(entry.substr(0, equals), out.size());
    if (added) {
      out.push_back(entry);
    } else {
      out[place->second] = entry;
    }
  }
  if (!places.contains("HOME") && home) out.push_back(concat("HOME=", *home));
  return out;
}

std::vector<std::string> lookup_candidates(const oci::Process& process) {
  const std::string& name = process.args[0];
  if (name.find('/') != std::string::npos) return {name};
  std::string_view path = value_of(process.env, "PATH");
  if (path.empty()) path = kDefaultPath;
  std::vector<std::string> out;
  for (const auto part : split(path, ':')) out.push_back(part.empty() ? concat("./", name) : concat(part, '/', name));
  return out;
}

Result<> add_process(const ProcessContext& context) {
  Builder& builder = context.builder;
  const auto& process = context.process;
  TRY(add_attributes(context));
  add_lsm(context);
  if (!process.no_new_privileges) add_seccomp(context);
  const CapabilityMasks masks = effective_masks(context);
  auto& own = builder.add(OpCode::kOwnStdio, "change owner of standard streams");
  own.args[0] = process.user.uid;
  add_chdir(context, child::kMakeMissing);
  add_close(context);
  add_chdir(context, child::kRetryLater);
  if (context.user_namespace && !process.rlimits.empty()) {
    builder.add(OpCode::kSync, "set limits").value = kSyncLimits;
  } else {
    TRY(add_rlimits(builder, process.rlimits));
  }
  drop_bounding(builder, masks.bounding);
  builder.call("keep capabilities", SYS_prctl, PR_SET_KEEPCAPS, 1);
  add_ids(context);
  set_capabilities(builder, masks);
  builder.call("drop keepcaps", SYS_prctl, PR_SET_KEEPCAPS, 0);
  builder.call("set umask", SYS_umask, process.user.umask.value_or(022));
  add_chdir(context, 0);
  add_lookup(context);
  add_tail(context);
  return {};
}

}  // namespace berth::plan
