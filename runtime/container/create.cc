// SPDX-License-Identifier: Apache-2.0
// create: records what will be made, makes it, and has init wait at the gate.
#include <cerrno>
#include <fcntl.h>
#include <linux/sched.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/base/log.h"
#include "runtime/base/strings.h"
#include "runtime/base/undo.h"
#include "runtime/cgroup/cgroup.h"
#include "runtime/container/container.h"
#include "runtime/container/hooks.h"
#include "runtime/container/launch.h"
#include "runtime/container/layout.h"
#include "runtime/container/state_file.h"
#include "runtime/oci/spec_json.h"
#include "runtime/oci/validate.h"
#include "runtime/plan/container.h"
#include "runtime/plan/idmap.h"
#include "runtime/plan/process_attributes.h"
#include "runtime/sys/file.h"
#include "runtime/sys/mount.h"
#include "runtime/sys/socket.h"

namespace berth::container {
namespace {

// Everything one create() holds while it runs.
struct Creation {
  CreateRequest& request;
  StateRecord record;
  Fd dir;
  cgroup::Layout layout;
  cgroup::Cgroup group;
  bool has_cgroups = false;
  bool foreign_cgroup = false;
  std::vector<Fd> join_files;
  plan::NamespacePlan namespaces;
  plan::SeccompFilter filter;
  Fd root;
  std::string root_target;
  Fd gate;
  Fd hook_state;
  std::vector<Fd> streams;
  plan::Builder builder;
};

std::string absolute_root(const CreateRequest& request) {
  const std::string& path = request.spec.root->path;
  return path.starts_with('/') ? path : concat(request.bundle, '/', path);
}

bool is_directory(const std::string& path) {
  struct stat info {};
  return ::stat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode);
}

HookState hook_state(const Creation& creation, std::string_view status, pid_t pid) {
  return {creation.record.oci_version, creation.record.id, status, pid, creation.record.bundle, creation.record.annotations};
}

Result<> fill_record(Creation& creation) {
  const CreateRequest& request = creation.request;
  StateRecord& record = creation.record;
  record.id = request.id;
  record.oci_version = request.spec.oci_version;
  record.bundle = request.bundle;
  record.rootfs = absolute_root(request);
  record.created = rfc3339_now();
  record.annotations = request.spec.annotations;
  record.creator_pid = ::getpid();
  TRY_ASSIGN(record.creator_start_time, sys::process_start_time(record.creator_pid));
  record.cgroup_driver = request.cgroup_driver;
  record.config_path = config_path(request.root, request.id);
  record.private_pid_namespace = (creation.namespaces.fresh & CLONE_NEWPID) != 0;
  record.has_poststop_hooks = request.spec.hooks && !request.spec.hooks->poststop.empty();
  record.no_pivot = request.no_pivot;
  return {};
}

// Names the cgroup, writes the record that tells of it, and only then makes it.
Result<> record_and_make_cgroup(Creation& creation) {
  const CreateRequest& request = creation.request;
  if (request.cgroup_driver == CgroupDriver::kSystemd) {
    return fail(Code::kUnimplemented, "cgroup driver systemd is not supported");
  }
  creation.has_cgroups = request.cgroup_driver != CgroupDriver::kDisabled;
  if (creation.has_cgroups) {
    TRY_ASSIGN(creation.layout, cgroup::detect());
    TRY_ASSIGN(creation.group, cgroup::Cgroup::locate(creation.layout, request.spec.linux_.cgroups_path, request.id));
    creation.record.cgroups = creation.group.paths();
  }
  TRY(write_state_file(creation.dir.get(), creation.record));
  TRY(sys::replace_file_at(creation.dir.get(), kConfigFile, oci::to_json(request.spec), 0600, false));
  if (!creation.has_cgroups) return {};
  auto made = creation.group.create();
  if (!made) {
    creation.foreign_cgroup = made.error().code() == Code::kFailedPrecondition;  // occupied: not ours to remove
    return std::unexpected(std::move(made).error().wrap("unable to apply cgroup configuration"));
  }
  if (request.spec.linux_.resources) TRY(creation.group.apply(*request.spec.linux_.resources), "unable to apply cgroup configuration");
  if (creation.group.clone_fd() >= 0) return {};
  TRY_ASSIGN(creation.join_files, creation.group.open_join_files());
  return {};
}

// The gate is opened for reading and writing: the child's read then waits until `start` writes, and `start` finds no
// reader (ENXIO) when the child is dead.
Result<> make_gate(Creation& creation) {
  if (::mkfifoat(creation.dir.get(), kExecFifo, 0600) != 0) return fail_errno("make exec.fifo");
  TRY_ASSIGN(creation.gate, sys::open_at(creation.dir.get(), kExecFifo, O_RDWR | O_NOFOLLOW));
  return {};
}

// The root as a detached mount: what the caller gives, or a clone of root.path.
Result<> open_root(Creation& creation) {
  const std::string path = absolute_root(creation.request);
  creation.root = std::move(creation.request.rootfs_mount);
  const bool given = creation.root.valid();
  if (!given) {
    if (!is_directory(path)) return fail(Code::kInvalidArgument, concat("invalid rootfs: ", quote(path), " is no directory"));
    TRY_ASSIGN(creation.root, sys::clone_mount(path, true), "invalid rootfs");
  }
  const std::string& wanted = creation.request.spec.linux_.rootfs_propagation;
  const bool slave = wanted == "slave" || wanted == "rslave" || wanted == "shared" || wanted == "rshared";
  TRY(sys::set_mount_attributes(creation.root.get(), 0, 0, slave ? MS_SLAVE : MS_PRIVATE, true), "invalid rootfs");
  creation.root_target = is_directory(path) ? path : state_dir(creation.request.root, creation.request.id);
  return {};
}

Result<> take_streams(Creation& creation, plan::InitRequest& out) {
  const int floor = static_cast<int>(3 + creation.request.preserve_fds);
  const int wanted[3] = {creation.request.stdio.in, creation.request.stdio.out, creation.request.stdio.err};
  for (int i = 0; i < 3; ++i) {
    if (wanted[i] < 0) continue;
    TRY_ASSIGN(Fd copy, copy_above(wanted[i], floor));
    out.stdio[i] = copy.get();
    creation.streams.push_back(std::move(copy));
  }
  return {};
}

Result<> write_maps(const Creation& creation, const Launched& child) {
  const auto& config = creation.request.spec.linux_;
  const std::string proc = concat("/proc/", child.pid, '/');
  TRY(sys::write_file_at(AT_FDCWD, proc + "uid_map", plan::map_lines(config.uid_mappings)), "write uid_map");
  TRY(sys::write_file_at(AT_FDCWD, proc + "gid_map", plan::map_lines(config.gid_mappings)), "write gid_map");
  const auto& process = *creation.request.spec.process;
  if (process.oom_score_adj && !creation.namespaces.two_stages) {
    TRY(sys::write_file_at(AT_FDCWD, proc + "oom_score_adj", std::to_string(*process.oom_score_adj)), "write oom_score_adj");
  }
  return {};
}

Result<> set_limits(const Creation& creation, const Launched& child) {
  for (const auto& limit : creation.request.spec.process->rlimits) {
    const int number = plan::rlimit_number(limit.type);
    const rlimit value{limit.soft, limit.hard};
    if (::prlimit(child.pid, static_cast<__rlimit_resource>(number), &value, nullptr) != 0) {
      return fail_errno(concat("set rlimit ", limit.type));
    }
  }
  return {};
}

Result<> write_hook_state(const Creation& creation, std::string_view status, const Launched& child) {
  const std::string text = hook_state_json(hook_state(creation, status, child.pid));
  if (::ftruncate(creation.hook_state.get(), 0) != 0 || ::lseek(creation.hook_state.get(), 0, SEEK_SET) != 0) {
    return fail_errno("rewind the state for hooks");
  }
  return sys::write_all(creation.hook_state.get(), text);
}

Result<> run_creation_hooks(const Creation& creation, const Launched& child) {
  const auto& hooks = *creation.request.spec.hooks;
  TRY(run_hooks(hooks.prestart, "prestart", hook_state(creation, "creating", child.pid)));
  return run_hooks(hooks.create_runtime, "createRuntime", hook_state(creation, "creating", child.pid));
}

// ContainerProcessState of the runtime-spec, for the seccomp agent.
std::string listener_state(const Creation& creation, const Launched& child) {
  std::string state = hook_state_json(hook_state(creation, "creating", child.pid));
  return concat("{\"ociVersion\":\"1.2.0\",\"fds\":[\"seccompFd\"],\"pid\":", child.pid, ",\"metadata\":",
                quote(creation.request.spec.linux_.seccomp->listener_metadata), ",\"state\":", state, "}");
}

Result<> at_sync(const Creation& creation, int point, int detail, const Launched& child) {
  switch (point) {
    case plan::kSyncMaps: return write_maps(creation, child);
    case plan::kSyncHooks: return run_creation_hooks(creation, child);
    case plan::kSyncHookState: return write_hook_state(creation, "creating", child);
    case plan::kSyncStartState: return write_hook_state(creation, "created", child);
    case plan::kSyncLimits: return set_limits(creation, child);
    case plan::kSyncSeccomp:
      return hand_over_listener(child, detail, creation.request.spec.linux_.seccomp->listener_path, listener_state(creation, child));
    default: return fail(Code::kInternal, "the child waits at an unknown point");
  }
}

Result<> build_plan(Creation& creation, int child_sync) {
  const CreateRequest& request = creation.request;
  plan::InitRequest init{request.spec, creation.namespaces};
  init.id = request.id;
  init.bundle = request.bundle;
  init.root = creation.root.get();
  init.root_target = creation.root_target;
  TRY(take_streams(creation, init));
  if (creation.has_cgroups) init.cgroups = &creation.layout;
  init.cgroup_paths = creation.record.cgroups;
  for (const auto& file : creation.join_files) init.cgroup_join_files.push_back(file.get());
  if (request.spec.linux_.seccomp) init.filter = &creation.filter;
  init.home = plan::home_of(creation.root.get(), request.spec.process->user.uid);
  init.gate = creation.gate.get();
  init.hook_state = creation.hook_state.get();
  init.sync = child_sync;
  init.preserve_fds = request.preserve_fds;
  init.no_pivot = request.no_pivot;
  init.new_keyring = !request.no_new_keyring;
  return plan::plan_init(init, creation.builder);
}

Result<Launched> launch_init(Creation& creation) {
  const auto& hooks = creation.request.spec.hooks;
  if (hooks && (!hooks->create_container.empty() || !hooks->start_container.empty())) {
    creation.hook_state = Fd(::memfd_create("state", MFD_CLOEXEC));
    if (!creation.hook_state) return fail_errno("make the state for hooks");
  }
  TRY_ASSIGN(auto sockets, sys::seqpacket_pair());
  auto& [ours, theirs] = sockets;
  // Out of the way of the preserved descriptors.
  TRY_ASSIGN(Fd child_sync, copy_above(theirs.get(), static_cast<int>(3 + creation.request.preserve_fds)));
  theirs.reset();
  TRY(build_plan(creation, child_sync.get()));
  LaunchRequest launching{creation.builder};
  launching.sync = ours.get();
  launching.root = creation.root.get();
  launching.flags = creation.namespaces.two_stages ? 0 : creation.namespaces.fresh;
  launching.cgroup = creation.has_cgroups ? creation.group.clone_fd() : -1;
  launching.at_sync = [&](int point, int detail, const Launched& child) { return at_sync(creation, point, detail, child); };
  return launch(launching, std::move(child_sync));
}

Result<> record_created(Creation& creation, const Launched& child) {
  creation.record.pid = child.pid;
  TRY_ASSIGN(creation.record.pid_start_time, sys::process_start_time(child.pid));
  creation.record.phase = Phase::kCreated;
  return write_state_file(creation.dir.get(), creation.record);
}

Result<Created> hand_out(Creation& creation, Launched child) {
  const CreateRequest& request = creation.request;
  sys::ChildGuard guard(std::move(child.pidfd));
  TRY(deliver_console(child.console, request.console_socket));
  if (!request.pidfd_socket.empty()) TRY(send_descriptor(request.pidfd_socket, guard.pidfd().get(), "pidfd"), "send pidfd");
  TRY(record_created(creation, child));
  TRY(write_pid_file(request.pid_file, child.pid), "write pid file");
  Created out;
  out.pid = child.pid;
  out.pidfd = guard.commit();
  out.console = std::move(child.console);
  return out;
}

}  // namespace

Result<Created> create(CreateRequest request) {
  TRY(check_id(request.id));
  TRY(oci::validate(request.spec));
  Creation creation{request, {}, {}, {}, {}, false, false, {}, {}, {}, {}, {}, {}, {}, {}, {}};
  TRY_ASSIGN(creation.namespaces, plan::plan_namespaces(request.spec.linux_));
  if (request.spec.linux_.seccomp) {
    TRY_ASSIGN(creation.filter, plan::compile_seccomp(*request.spec.linux_.seccomp));
  }
  TRY_ASSIGN(creation.dir, make_state_dir(request.root, request.id));
  UndoStack undo;
  undo.push("remove state directory", [&] { return sys::remove_tree(state_dir(request.root, request.id)); });
  TRY(fill_record(creation));
  undo.push("remove cgroup", [&] { return creation.foreign_cgroup ? Result<>() : creation.group.remove(); });
  TRY(record_and_make_cgroup(creation));
  TRY(make_gate(creation));
  TRY(open_root(creation));
  auto child = launch_init(creation);
  if (!child) {
    return std::unexpected(std::move(child).error().wrap("unable to start container process: error during container init"));
  }
  TRY_ASSIGN(auto created, hand_out(creation, std::move(*child)));
  undo.commit();
  return created;
}

}  // namespace berth::container
