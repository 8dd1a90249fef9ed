// SPDX-License-Identifier: Apache-2.0
// kill, remove, pause, resume, update, processes: what is done to a container from outside.
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>

#include "runtime/base/log.h"
#include "runtime/base/strings.h"
#include "runtime/cgroup/cgroup.h"
#include "runtime/container/hooks.h"
#include "runtime/container/layout.h"
#include "runtime/container/status.h"
#include "runtime/oci/spec_json.h"
#include "runtime/sys/file.h"

namespace berth::container {
namespace {

constexpr std::chrono::milliseconds kKillWait{10'000};

// A pidfd that is certainly init's: opened first, the start time compared afterwards.
Result<Fd> open_init(const StateRecord& record) {
  if (record.pid <= 0) return fail(Code::kFailedPrecondition, "container not running");
  auto pidfd = sys::open_pidfd(record.pid);
  if (!pidfd || !sys::process_is_alive(record.pid, record.pid_start_time)) {
    return fail(Code::kFailedPrecondition, "container not running");
  }
  return pidfd;
}

Result<> signal_init(const StateRecord& record, int signal) {
  TRY_ASSIGN(const Fd pidfd, open_init(record));
  auto sent = sys::send_signal(pidfd, signal);
  if (!sent && sent.error().sys_errno() == ESRCH) return fail(Code::kFailedPrecondition, "container not running");
  if (!sent) return std::unexpected(std::move(sent).error().wrap("signal container init"));
  return {};
}

// flock of the state directory's lock file: start, the end of create and removals exclude one another.
Result<Fd> take_lock(int dirfd) {
  TRY_ASSIGN(Fd lock, sys::open_at(dirfd, kLockFile, O_RDWR | O_CREAT, 0600));
  while (::flock(lock.get(), LOCK_EX) != 0) {
    if (errno != EINTR) return fail_errno("lock container");
  }
  return lock;
}

// Ends init and whatever else lives in the cgroup. On return none of them runs any more.
Result<> end_processes(const StateRecord& record, const cgroup::Cgroup& group) {
  auto pidfd = open_init(record);
  if (pidfd) {
    TRY(sys::send_signal(*pidfd, SIGKILL), "kill container init");
    // v1: a frozen process does not even die of SIGKILL.
    TRY(group.thaw());
    TRY(sys::wait_ended(*pidfd, kKillWait), "kill container init");
  }
  // The end of a pid namespace's init has already taken the rest of it along.
  const bool all_gone = pidfd && record.private_pid_namespace && record.phase == Phase::kCreated;
  if (all_gone) return {};
  return group.signal_all(SIGKILL);
}

Result<oci::Spec> read_config(const StateRecord& record) {
  TRY_ASSIGN(const auto text, sys::read_file(record.config_path));
  return oci::parse_spec(text);
}

// The container is gone whatever they say: a failure is logged, and the next one runs all the same.
void run_poststop_hooks(const std::vector<oci::Hook>& hooks, const StateRecord& record) {
  const HookState state{record.oci_version, record.id, "stopped", 0, record.bundle, record.annotations};
  for (const auto& hook : hooks) {
    if (auto ran = run_hooks({hook}, "poststop", state); !ran) {
      log_warn("poststop hook failed", {{"container", record.id}, {"error", ran.error().message()}});
    }
  }
}

// Everything but the directory itself; each step may already have been done by an earlier, killed removal.
Result<> remove_effects(const StateRecord& record) {
  TRY_ASSIGN(auto group, cgroup::Cgroup::open(record.cgroups));
  TRY(end_processes(record, group));
  TRY(group.remove());
  if (!record.rdt_group.empty() && ::rmdir(record.rdt_group.c_str()) != 0 && errno != ENOENT) {
    return fail_errno(concat("remove resctrl group ", quote(record.rdt_group)));
  }
  return {};
}

Result<cgroup::Cgroup> open_cgroup(const StateRecord& record) {
  if (record.cgroup_driver == CgroupDriver::kDisabled || record.cgroups.empty()) {
    return fail(Code::kFailedPrecondition, "container has no cgroup");
  }
  return cgroup::Cgroup::open(record.cgroups);
}

bool is_live(Status status) { return status != Status::kStopped && status != Status::kCreating; }

}  // namespace

Result<> kill(const std::string& root, const std::string& id, int signal, bool all) {
  TRY_ASSIGN(const auto loaded, load(root, id));
  const auto& record = loaded.record;
  const bool every = all || (signal == SIGKILL && !record.private_pid_namespace);
  if (every && !record.cgroups.empty()) {
    TRY_ASSIGN(const auto group, cgroup::Cgroup::open(record.cgroups));
    if (!all && !is_live(loaded.status)) {
      TRY_ASSIGN(const auto left, group.processes());
      if (left.empty()) return fail(Code::kFailedPrecondition, "container not running");
    }
    return group.signal_all(signal);
  }
  auto sent = signal_init(record, signal);
  if (!sent) return all ? Result<>{} : sent;
  if (signal == SIGKILL && loaded.status == Status::kPaused) {
    TRY_ASSIGN(const auto group, open_cgroup(record));
    return group.thaw();
  }
  return {};
}

Result<> remove(const std::string& root, const std::string& id, bool force) {
  auto dir = open_state_dir(root, id);
  if (!dir)
    return force && dir.error().code() == Code::kNotFound ? Result<>{} : std::unexpected(std::move(dir).error());
  auto lock = take_lock(dir->get());
  struct stat info{};
  // Another removal was faster, and the name may belong to a new container by now.
  if (::fstat(dir->get(), &info) == 0 && info.st_nlink == 0) {
    return force ? Result<>{} : fail(Code::kNotFound, "container does not exist");
  }
  auto record = read_state_file(dir->get());
  if (!record) {
    // A create that was killed before its first record: nothing but the directory exists yet.
    if (force) return sys::remove_tree(state_dir(root, id));
    if (record.error().code() == Code::kNotFound) return fail(Code::kNotFound, "container does not exist");
    return std::unexpected(std::move(record).error().wrap(concat("container ", quote(id))));
  }
  const Status status = status_of(dir->get(), *record);
  if (!force && status != Status::kStopped && status != Status::kCreated) {
    return fail(Code::kFailedPrecondition,
                concat("cannot delete container ", id, " that is not stopped: ", status_name(status)));
  }
  std::optional<oci::Spec> spec;
  if (record->has_poststop_hooks) {
    if (auto config = read_config(*record)) spec = std::move(*config);
  }
  TRY(remove_effects(*record), concat("delete container ", quote(id)));
  TRY(sys::remove_tree(state_dir(root, id)));
  if (spec && spec->hooks) run_poststop_hooks(spec->hooks->poststop, *record);
  return {};
}

Result<> pause(const std::string& root, const std::string& id) {
  TRY_ASSIGN(const auto loaded, load(root, id));
  if (loaded.status != Status::kRunning && loaded.status != Status::kCreated) {
    return fail(Code::kFailedPrecondition, "container not running");
  }
  TRY_ASSIGN(const auto group, open_cgroup(loaded.record), "pause container");
  return group.freeze();
}

Result<> resume(const std::string& root, const std::string& id) {
  TRY_ASSIGN(const auto loaded, load(root, id));
  if (loaded.status != Status::kPaused) return fail(Code::kFailedPrecondition, "container not paused");
  TRY_ASSIGN(const auto group, open_cgroup(loaded.record), "resume container");
  return group.thaw();
}

Result<> update(const std::string& root, const std::string& id, const oci::Resources& resources) {
  TRY_ASSIGN(const auto loaded, load(root, id));
  if (!is_live(loaded.status)) return fail(Code::kFailedPrecondition, "container not running");
  TRY_ASSIGN(const auto group, open_cgroup(loaded.record), "update container");
  return group.apply(resources, true);
}

Result<std::vector<pid_t>> processes(const std::string& root, const std::string& id) {
  TRY_ASSIGN(const auto loaded, load(root, id));
  if (loaded.record.cgroups.empty()) {
    return is_live(loaded.status) ? std::vector<pid_t>{loaded.record.pid} : std::vector<pid_t>{};
  }
  TRY_ASSIGN(const auto group, cgroup::Cgroup::open(loaded.record.cgroups));
  return group.processes();
}

}  // namespace berth::container
