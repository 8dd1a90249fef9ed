// SPDX-License-Identifier: Apache-2.0
// exec: a second process in a container's namespaces, cgroup and confinement.
#include <fcntl.h>
#include <linux/sched.h>
#include <sys/resource.h>

#include "runtime/base/strings.h"
#include "runtime/cgroup/cgroup.h"
#include "runtime/container/container.h"
#include "runtime/container/hooks.h"
#include "runtime/container/launch.h"
#include "runtime/container/layout.h"
#include "runtime/container/status.h"
#include "runtime/oci/spec_json.h"
#include "runtime/oci/validate.h"
#include "runtime/plan/container.h"
#include "runtime/sys/file.h"
#include "runtime/sys/socket.h"

namespace berth::container {
namespace {

struct Execution {
  ExecRequest& request;
  Loaded container;
  oci::Spec spec;
  Fd init;
  Fd root;
  cgroup::Cgroup group;
  std::vector<Fd> join_files;
  plan::SeccompFilter filter;
  std::vector<Fd> streams;
  plan::Builder builder;
};

Result<> check_running(const Execution& execution) {
  switch (execution.container.status) {
    case Status::kStopped: return fail(Code::kFailedPrecondition, "cannot exec in a stopped container");
    case Status::kCreating: return fail(Code::kFailedPrecondition, "cannot exec in a container that is still being created");
    case Status::kPaused:
      if (execution.request.ignore_paused) return {};
      return fail(Code::kFailedPrecondition, "cannot exec in a paused container (use --ignore-paused to override)");
    default: return {};
  }
}

// init by pidfd, and its root directory: valid only if the process is still the recorded one after both were opened.
Result<> open_init(Execution& execution) {
  const StateRecord& record = execution.container.record;
  auto gone = [] { return fail(Code::kFailedPrecondition, "cannot exec in a stopped container"); };
  auto pidfd = sys::open_pidfd(record.pid);
  if (!pidfd) return gone();
  auto root = sys::open_path(concat("/proc/", record.pid, "/root"), O_PATH | O_DIRECTORY);
  if (!root || !sys::process_is_alive(record.pid, record.pid_start_time)) return gone();
  execution.init = std::move(*pidfd);
  execution.root = std::move(*root);
  return {};
}

// What the process does not say comes from the container's own.
void complete_process(oci::Process& process, const oci::Spec& spec) {
  if (!spec.process) return;
  if (!process.capabilities) process.capabilities = spec.process->capabilities;
  if (process.apparmor_profile.empty()) process.apparmor_profile = spec.process->apparmor_profile;
  if (process.selinux_label.empty()) process.selinux_label = spec.process->selinux_label;
  if (!process.oom_score_adj) process.oom_score_adj = spec.process->oom_score_adj;
}

// All of init's namespaces, inherited ones too: the caller may live in others. User and pid only where they are the
// container's: the first may not be re-entered, the second would cost a clone.
uint64_t namespaces_of(const oci::Spec& spec) {
  uint64_t flags = CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP;
  for (const char* type : {"pid", "user", "time"}) {
    if (spec.linux_.find_namespace(type) != nullptr) flags |= plan::namespace_flag(type);
  }
  return flags;
}

Result<> open_cgroup(Execution& execution) {
  if (execution.container.record.cgroups.empty()) return {};
  TRY_ASSIGN(execution.group, cgroup::Cgroup::open(execution.container.record.cgroups));
  if (!execution.request.sub_cgroup.empty()) {
    TRY_ASSIGN(execution.group, execution.group.child(execution.request.sub_cgroup), "bad sub cgroup path");
  }
  if (execution.group.clone_fd() >= 0) return {};
  TRY_ASSIGN(execution.join_files, execution.group.open_join_files());
  return {};
}

Result<> build_plan(Execution& execution, int sync) {
  ExecRequest& request = execution.request;
  plan::ExecPlanRequest plan{request.process, execution.spec};
  plan.id = request.id;
  plan.pidfd = execution.init.get();
  plan.namespaces = namespaces_of(execution.spec);
  const int wanted[3] = {request.stdio.in, request.stdio.out, request.stdio.err};
  for (int i = 0; i < 3; ++i) {
    if (wanted[i] < 0) continue;
    TRY_ASSIGN(Fd copy, copy_above(wanted[i], static_cast<int>(3 + request.preserve_fds)));
    plan.stdio[i] = copy.get();
    execution.streams.push_back(std::move(copy));
  }
  for (const auto& file : execution.join_files) plan.cgroup_join_files.push_back(file.get());
  if (execution.spec.linux_.seccomp) plan.filter = &execution.filter;
  plan.home = plan::home_of(execution.root.get(), request.process.user.uid);
  plan.sync = sync;
  plan.preserve_fds = request.preserve_fds;
  return plan::plan_exec(plan, execution.builder);
}

Result<> set_limits(const oci::Process& process, const Launched& child) {
  for (const auto& limit : process.rlimits) {
    const rlimit value{limit.soft, limit.hard};
    const auto number = static_cast<__rlimit_resource>(plan::rlimit_number(limit.type));
    if (::prlimit(child.pid, number, &value, nullptr) != 0) return fail_errno(concat("set rlimit ", limit.type));
  }
  return {};
}

Result<> at_sync(const Execution& execution, int point, int detail, const Launched& child) {
  if (point == plan::kSyncLimits) return set_limits(execution.request.process, child);
  if (point != plan::kSyncSeccomp) return fail(Code::kInternal, "the child waits at an unknown point");
  const auto& record = execution.container.record;
  const std::string state =
      hook_state_json({record.oci_version, record.id, "running", record.pid, record.bundle, record.annotations});
  const auto& profile = *execution.spec.linux_.seccomp;
  return hand_over_listener(child, detail, profile.listener_path,
                            concat("{\"ociVersion\":\"1.2.0\",\"fds\":[\"seccompFd\"],\"pid\":", child.pid,
                                   ",\"metadata\":", quote(profile.listener_metadata), ",\"state\":", state, "}"));
}

Result<Launched> launch_process(Execution& execution) {
  TRY_ASSIGN(auto sockets, sys::seqpacket_pair());
  auto& [ours, theirs] = sockets;
  TRY_ASSIGN(Fd child_sync, copy_above(theirs.get(), static_cast<int>(3 + execution.request.preserve_fds)));
  theirs.reset();
  TRY(build_plan(execution, child_sync.get()));
  LaunchRequest launching{execution.builder};
  launching.sync = ours.get();
  launching.root = execution.root.get();
  launching.cgroup = execution.group.empty() ? -1 : execution.group.clone_fd();
  launching.until_exec = true;
  launching.at_sync = [&](int point, int detail, const Launched& child) { return at_sync(execution, point, detail, child); };
  return launch(launching, std::move(child_sync));
}

}  // namespace

Result<Created> exec(ExecRequest request) {
  TRY(oci::validate_process(request.process));
  Execution execution{request, {}, {}, {}, {}, {}, {}, {}, {}, {}};
  TRY_ASSIGN(execution.container, load(request.root, request.id));
  TRY(check_running(execution));
  TRY_ASSIGN(const std::string config, sys::read_file_at(execution.container.dir.get(), kConfigFile));
  TRY_ASSIGN(execution.spec, oci::parse_spec(config));
  TRY(open_init(execution));
  complete_process(request.process, execution.spec);
  if (execution.spec.linux_.seccomp) {
    TRY_ASSIGN(execution.filter, plan::compile_seccomp(*execution.spec.linux_.seccomp));
  }
  TRY(open_cgroup(execution));
  auto child = launch_process(execution);
  if (!child) return std::unexpected(std::move(child).error().wrap("unable to start container process"));
  sys::ChildGuard guard(std::move(child->pidfd));
  TRY(deliver_console(child->console, request.console_socket));
  if (!request.pidfd_socket.empty()) TRY(send_descriptor(request.pidfd_socket, guard.pidfd().get(), "pidfd"), "send pidfd");
  TRY(write_pid_file(request.pid_file, child->pid), "write pid file");
  Created out;
  out.pid = child->pid;
  out.console = std::move(child->console);
  out.pidfd = guard.commit();
  return out;
}

}  // namespace berth::container
