// SPDX-License-Identifier: Apache-2.0
// One container's (or pod's) control group on v1, hybrid and v2 hosts: make, enter, limit, freeze, kill, remove.
//
// Order on the create path: detect() → Cgroup::locate() → the caller persists paths() → create() → apply() → the
// process enters (v2: clone_fd() with CLONE_INTO_CGROUP; v1: the child writes "0" to each of open_join_files()).
// Directories are held open; every later read and write goes through them. Not thread-safe, except that const calls may
// run in parallel.
#pragma once

#include <sys/types.h>

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/base/fd.h"
#include "runtime/base/result.h"

namespace berth::oci {
struct Resources;
}

namespace berth::cgroup {

// One mounted hierarchy, as /proc/self/mountinfo and /proc/self/cgroup tell.
struct Hierarchy {
  std::vector<std::string> controllers;  // v1: "cpu", "cpuacct", "name=systemd"…; v2: empty
  std::string mount_point;               // "/sys/fs/cgroup/memory"
  std::string mount_root;                // the hierarchy's directory that is mounted there, mostly "/"
  std::string own;                       // the caller's own cgroup in it, "/…"
};

// The host's hierarchies. A hybrid host (v1 controllers, v2 mounted aside) counts as v1: only its v1 hierarchies are
// kept.
struct Layout {
  bool v2 = false;
  std::vector<Hierarchy> hierarchies;  // v2: exactly one
};

// Reads the two proc files. kUnavailable when no cgroup file system is mounted. Parsing alone, for tests: parse_layout.
Result<Layout> detect();
Result<Layout> parse_layout(std::string_view mountinfo, std::string_view self_cgroup);

class Cgroup {
 public:
  Cgroup() = default;

  // Names the directories, makes nothing. `cgroups_path` is linux.cgroupsPath: absolute from the hierarchy's root,
  // relative to the caller's own cgroup, empty for "/<id>". kInvalidArgument for ".." and for "slice:prefix:name".
  static Result<Cgroup> locate(const Layout& layout, std::string_view cgroups_path, std::string_view id);
  // Takes up existing directories again, by a map as paths() gave it. Directories that are gone are left out silently
  // (so that a half made or half removed cgroup can be removed); empty() when none is left.
  static Result<Cgroup> open(const std::map<std::string, std::string>& paths);

  // {"" → directory} on v2, {controller → directory} on v1: what a state record keeps. Absolute.
  const std::map<std::string, std::string>& paths() const { return paths_; }
  bool v2() const { return v2_; }
  bool empty() const { return dirs_.empty(); }

  // Makes missing directories (parents too; v2: controllers enabled in every parent's subtree_control; v1: cpuset.cpus
  // and cpuset.mems copied down) and opens them. kFailedPrecondition when the cgroup holds processes already
  // ("container's cgroup is not empty: N process(es) found") or is frozen (§3 trap 17).
  Result<> create();

  // Directory for clone_args.cgroup on v2, -1 on v1. Borrowed.
  int clone_fd() const;
  // v1: descriptors of every hierarchy's `tasks`, open for writing: a single-threaded child joins by writing "0" to
  // each, which spares the kernel's global thread-group lock that a foreign pid costs. v2: its cgroup.procs.
  Result<std::vector<Fd>> open_join_files() const;
  // Moves a process from outside (exec fallback). EINVAL is retried (trap 58).
  Result<> add(pid_t pid) const;
  // The existing child directory `relative` in every hierarchy (exec --cgroup, trap 57: no "..", no links).
  Result<Cgroup> child(std::string_view relative) const;

  // Writes the limits that are set; device rules too. `update` leaves devices alone (trap 61). A controller the host
  // lacks is an error only if a limit needs it, naming the limit.
  Result<> apply(const oci::Resources& resources, bool update = false) const;

  // Waits (bounded) until all tasks are frozen. thaw of a running cgroup is success.
  Result<> freeze() const;
  Result<> thaw() const;
  bool frozen() const;  // false when it cannot be told

  // Pids in the cgroup, with `recursive` in its children too.
  Result<std::vector<pid_t>> processes(bool recursive = true) const;
  // Sends `signal` to every process, recursively. SIGKILL uses cgroup.kill on v2, else signals until none is left,
  // thawing first. Returns as soon as the signals are sent (SIGKILL on v1: when the lists are empty, bounded to ten
  // seconds).
  Result<> signal_all(int signal) const;
  // Removes the directories and those below them, waiting for the last exiting tasks with short growing pauses (at most
  // about five seconds in all). Absent is success.
  Result<> remove();

  // The held directory of a controller (v2: any name gives the one directory), or -1. Borrowed; stats.h reads by it.
  int dir(std::string_view controller) const;

 private:
  struct Directory {
    std::string path;
    std::string mount_point;  // create() makes the directories below it
    std::vector<std::string> controllers;
    Fd fd;
  };
  Result<> make_v1(Directory& directory, bool& existed);
  Result<> make_v2(Directory& directory, bool& existed);
  const Directory* find(std::string_view controller) const;
  Result<> apply_devices(const oci::Resources& resources) const;
  Result<> check_limit_fits(const oci::Resources& resources) const;

  bool v2_ = false;
  bool reused_ = false;  // create() found directories of an earlier run
  std::map<std::string, std::string> paths_;
  std::vector<Directory> dirs_;  // one per hierarchy: co-mounted controllers share
};

}  // namespace berth::cgroup
