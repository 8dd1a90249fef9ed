// SPDX-License-Identifier: Apache-2.0
#include "runtime/plan/container.h"

#include <csignal>
#include <fcntl.h>
#include <linux/mount.h>
#include <linux/sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "runtime/base/strings.h"
#include "runtime/plan/mounts.h"
#include "runtime/sys/file.h"
#include "runtime/sys/path.h"

namespace berth::plan {
namespace {

using child::OpCode;

uint64_t address(const char* text) { return reinterpret_cast<uint64_t>(text); }

child::Op& add_write(Builder& builder, std::string doing, int fd, int slot, std::string path, std::string text) {
  auto& op = builder.add(OpCode::kWriteFile, std::move(doing));
  op.fd = fd;
  op.slot = slot;
  op.path = builder.text(std::move(path));
  op.count = static_cast<uint32_t>(text.size());
  op.text = builder.text(std::move(text));
  return op;
}

// The creator's death takes the child along until everything is recorded; then its cgroup, before it makes anything.
void add_beginning(Builder& builder, const std::vector<int>& join_files) {
  builder.call("set parent death signal", SYS_prctl, PR_SET_PDEATHSIG, SIGKILL);
  for (const int fd : join_files) builder.call("unable to apply cgroup configuration: join cgroup", SYS_write, static_cast<uint64_t>(fd), address("0"), 1);
}

void add_oom_score(Builder& builder, const oci::Process& process) {
  if (!process.oom_score_adj) return;
  add_write(builder, concat("write oom_score_adj ", *process.oom_score_adj), AT_FDCWD, -1, "/proc/self/oom_score_adj",
            std::to_string(*process.oom_score_adj));
}

void add_become_root(Builder& builder) {
  builder.call("become root of the user namespace", SYS_setresgid, 0, 0, 0);
  builder.call("become root of the user namespace", SYS_setresuid, 0, 0, 0);
}

void add_namespaces(const InitRequest& request, Builder& builder) {
  const NamespacePlan& names = request.namespaces;
  if (!names.joined.empty()) {
    builder.call("set undumpable", SYS_prctl, PR_SET_DUMPABLE, 0);
    auto& op = builder.add(OpCode::kJoin, "join namespaces");
    op.count = static_cast<uint32_t>(names.joined.size());
    op.joins = builder.joins(names.joined);
  }
  if (names.fresh_time) {
    builder.call("unshare time namespace", SYS_unshare, CLONE_NEWTIME);
    for (const auto& [clock, offset] : request.spec.linux_.time_offsets) {
      add_write(builder, concat("set time offset of ", clock), AT_FDCWD, -1, "/proc/self/timens_offsets",
                concat(clock, ' ', offset.secs, ' ', offset.nanosecs, '\n'));
    }
  }
  if (names.two_stages) builder.add(OpCode::kFork, "clone into namespaces").args[0] = names.fresh;
  if (names.new_user()) {
    builder.add(OpCode::kSync, "wait for id mappings").value = kSyncMaps;
    add_become_root(builder);
  }
  builder.call("set undumpable", SYS_prctl, PR_SET_DUMPABLE, 0);
  if (names.fresh_cgroup) builder.call("unshare cgroup namespace", SYS_unshare, CLONE_NEWCGROUP);
}

void add_names(const oci::Spec& spec, Builder& builder) {
  if (!spec.hostname.empty()) {
    builder.call("set hostname", SYS_sethostname, address(builder.text(spec.hostname)), spec.hostname.size());
  }
  if (!spec.domainname.empty()) {
    builder.call("set domainname", SYS_setdomainname, address(builder.text(spec.domainname)), spec.domainname.size());
  }
}

uint64_t propagation_flags(const std::string& name) {
  if (name == "private" || name == "rprivate") return MS_PRIVATE | MS_REC;
  if (name == "unbindable" || name == "runbindable") return MS_PRIVATE | MS_REC;
  return MS_SLAVE | MS_REC;  // "shared" too: made shared after pivot_root
}

void add_root(const InitRequest& request, Builder& builder) {
  builder.call("set propagation of \"/\"", SYS_mount, address(""), address("/"), address(""),
               propagation_flags(request.spec.linux_.rootfs_propagation), 0);
  auto& op = builder.add(OpCode::kAttach, concat("attach root file system at ", quote(request.root_target)));
  op.fd = request.root;
  op.path = builder.text(request.root_target);
  op.flags = child::kAtRoot;
}

// A procfs of our own for sysctls and LSM attributes: nothing the container mounted can stand in its way
// (CVE-2019-16884, CVE-2025-52881).
int add_private_proc(const oci::Spec& spec, Builder& builder) {
  const bool labels = spec.process && (!spec.process->apparmor_profile.empty() || !spec.process->selinux_label.empty());
  if (spec.linux_.sysctl.empty() && !labels) return -1;
  const int slot = builder.new_slot();
  auto& op = builder.add(OpCode::kNewMount, "open a private procfs");
  op.slot = slot;
  op.text = "proc";
  op.attr_set = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;
  return slot;
}

void add_sysctls(const oci::Spec& spec, Builder& builder, int proc) {
  for (const auto& [key, value] : spec.linux_.sysctl) {
    std::string path = concat("sys/", key);
    // "net.ipv4.ip_forward" and "net/ipv4/conf/eth0.1/…": dots separate unless a slash does first.
    if (key.find('/') == std::string::npos || key.find('.') < key.find('/')) {
      for (char& c : path) c = c == '.' ? '/' : (c == '/' ? '.' : c);
      path[3] = '/';
    }
    add_write(builder, concat("write sysctl ", quote(key)), -1, proc, path, value);
  }
}

void add_console(const oci::Process& process, Builder& builder, int devpts_slot, bool bind) {
  auto& op = builder.add(OpCode::kConsole, "set up the terminal");
  op.slot = devpts_slot;
  op.value = bind ? 1 : 0;
  if (process.console_size) {
    op.args[0] = process.console_size->height;
    op.args[1] = process.console_size->width;
  }
  op.args[2] = process.user.uid;
}

void add_streams(Builder& builder, const int (&stdio)[3], bool terminal) {
  if (!terminal) {
    auto& op = builder.add(OpCode::kStdio, "set standard streams");
    for (int i = 0; i < 3; ++i) op.args[i] = static_cast<uint64_t>(static_cast<int64_t>(stdio[i]));
  }
  builder.add(OpCode::kNullStdio, "reopen /dev/null");
}

void add_container_hooks(const InitRequest& request, Builder& builder) {
  if (!request.spec.hooks) return;
  const auto& hooks = *request.spec.hooks;
  if (!hooks.prestart.empty() || !hooks.create_runtime.empty()) {
    builder.add(OpCode::kSync, "run hooks").value = kSyncHooks;
  }
  if (hooks.create_container.empty()) return;
  builder.add(OpCode::kSync, "prepare hooks").value = kSyncHookState;
  builder.call("chdir to the bundle", SYS_chdir, address(builder.text(request.bundle)));
  size_t index = 0;
  for (const auto& hook : hooks.create_container) {
    auto& op = builder.add(OpCode::kHook, concat("error running createContainer hook #", index++));
    op.fd = request.hook_state;
    op.path = builder.text(hook.path);
    op.list = builder.list(hook.args.empty() ? std::vector<std::string>{hook.path} : hook.args);
    op.env = builder.list(hook.env.value_or(std::vector<std::string>{}));
    op.args[0] = hook.timeout ? static_cast<uint64_t>(*hook.timeout) * 1000 : 0;
  }
}

void add_pivot(const InitRequest& request, Builder& builder) {
  if (request.spec.root && request.spec.root->readonly) {
    auto& op = builder.add(OpCode::kSetAttr, "make the root file system read-only");
    op.fd = request.root;
    op.attr_set = MOUNT_ATTR_RDONLY;
  }
  auto& op = builder.add(OpCode::kPivot, "pivot_root");
  if (request.no_pivot) op.flags |= child::kNoPivot;
  const std::string& propagation = request.spec.linux_.rootfs_propagation;
  uint64_t flags = 0;
  if (propagation == "shared" || propagation == "rshared") flags = MS_SHARED;
  if (propagation == "unbindable" || propagation == "runbindable") flags = MS_UNBINDABLE;
  if (flags != 0) builder.call("set propagation of \"/\"", SYS_mount, address(""), address("/"), address(""), flags, 0);
}

Result<int> add_file_systems(const InitRequest& request, Builder& builder) {
  const NamespacePlan& names = request.namespaces;
  MountContext context{request.spec, builder};
  context.cgroups = request.cgroups;
  context.cgroup_paths = request.cgroup_paths;
  context.user_namespace = names.has(CLONE_NEWUSER);
  context.cgroup_namespace = names.has(CLONE_NEWCGROUP);
  context.network_namespace = names.has(CLONE_NEWNET);
  const int proc = add_private_proc(request.spec, builder);
  TRY(add_mounts(context));
  TRY(add_devices(context));
  if (request.spec.process->terminal) add_console(*request.spec.process, builder, context.devpts_slot, true);
  add_sysctls(request.spec, builder, proc);
  add_path_protection(context);
  return proc;
}

}  // namespace

Result<> plan_init(const InitRequest& request, Builder& builder) {
  const oci::Spec& spec = request.spec;
  const oci::Process& process = *spec.process;
  const bool one_clone_user = request.namespaces.new_user() && !request.namespaces.two_stages;
  add_beginning(builder, request.cgroup_join_files);
  if (!one_clone_user) add_oom_score(builder, process);
  add_namespaces(request, builder);
  auto& session = builder.call("start a new terminal group", SYS_setsid);
  session.tolerated[0] = EPERM;
  builder.call("set umask", SYS_umask, 0);
  add_names(spec, builder);
  add_root(request, builder);
  TRY_ASSIGN(const int proc, add_file_systems(request, builder));
  add_container_hooks(request, builder);
  add_pivot(request, builder);
  add_streams(builder, request.stdio, process.terminal);
  ProcessContext context{process, builder};
  context.filter = request.filter;
  context.user_namespace = request.namespaces.has(CLONE_NEWUSER);
  if (request.new_keyring) context.keyring = concat("_ses.", request.id);
  context.proc_slot = proc;
  context.home = request.home;
  context.preserve_fds = request.preserve_fds;
  context.gate = request.gate;
  context.hook_state = request.hook_state;
  if (spec.hooks && !spec.hooks->start_container.empty()) {
    builder.add(OpCode::kSync, "prepare hooks").value = kSyncStartState;
    context.start_hooks = &spec.hooks->start_container;
  }
  if (spec.linux_.personality) context.personality = &*spec.linux_.personality;
  context.sync = request.sync;
  return add_process(context);
}

Result<> plan_exec(const ExecPlanRequest& request, Builder& builder) {
  add_beginning(builder, request.cgroup_join_files);
  add_oom_score(builder, request.process);
  // Before the first namespace is entered: nothing in there may look at us (CVE-2016-9962).
  builder.call("set undumpable", SYS_prctl, PR_SET_DUMPABLE, 0);
  builder.call("join namespaces", SYS_setns, static_cast<uint64_t>(request.pidfd), request.namespaces);
  if ((request.namespaces & CLONE_NEWUSER) != 0) add_become_root(builder);
  if ((request.namespaces & CLONE_NEWPID) != 0) builder.add(OpCode::kFork, "clone into namespaces");
  builder.call("set undumpable", SYS_prctl, PR_SET_DUMPABLE, 0);
  builder.call("start a new terminal group", SYS_setsid).tolerated[0] = EPERM;
  builder.call("set umask", SYS_umask, 0);
  oci::Spec labels;
  labels.process = request.process;
  const int proc = add_private_proc(labels, builder);
  if (request.process.terminal) add_console(request.process, builder, -1, false);
  add_streams(builder, request.stdio, request.process.terminal);
  ProcessContext context{request.process, builder};
  context.filter = request.filter;
  context.user_namespace = (request.namespaces & CLONE_NEWUSER) != 0;
  if (request.keyring) context.keyring = concat("_ses.", request.id);
  context.proc_slot = proc;
  context.home = request.home;
  context.preserve_fds = request.preserve_fds;
  context.exec = true;
  if (request.spec.linux_.personality) context.personality = &*request.spec.linux_.personality;
  context.sync = request.sync;
  return add_process(context);
}

std::string home_of(int root, uint32_t uid) {
  const auto file = sys::open_in_root(root, "/etc/passwd", O_RDONLY | O_NONBLOCK);
  if (!file) return "/";
  const auto text = sys::read_all(file->get(), 1u << 20);
  if (!text) return "/";
  for (const auto line : split(*text, '\n')) {
    const auto parts = split(line, ':');
    if (parts.size() >= 6 && parse_uint32(parts[2]) == uid && !parts[5].empty()) return std::string(parts[5]);
  }
  return "/";
}

}  // namespace berth::plan
