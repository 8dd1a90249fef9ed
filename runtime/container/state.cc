// SPDX-License-Identifier: Apache-2.0
// What a container's state is: derived from its record, its processes and its files each time it is asked.
#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>

#include "runtime/base/strings.h"
#include "runtime/cgroup/cgroup.h"
#include "runtime/container/layout.h"
#include "runtime/container/status.h"
#include "runtime/sys/file.h"
#include "runtime/sys/process.h"

namespace berth::container {
namespace {

// Only what tells "paused": opening every hierarchy would cost more than the rest of `state`.
bool is_frozen(const StateRecord& record) {
  for (const char* key : {"freezer", ""}) {
    const auto found = record.cgroups.find(key);
    if (found == record.cgroups.end()) continue;
    const auto group = cgroup::Cgroup::open({*found});
    return group && group->frozen();
  }
  return false;
}

State make_state(StateRecord record, Status status) {
  State out;
  out.status = status;
  if (status != Status::kStopped) {
    out.pid = record.pid;
    out.pid_start_time = record.pid_start_time;
  }
  out.id = std::move(record.id);
  out.oci_version = std::move(record.oci_version);
  out.bundle = std::move(record.bundle);
  out.rootfs = std::move(record.rootfs);
  out.created = std::move(record.created);
  out.annotations = std::move(record.annotations);
  out.owner = std::move(record.owner);
  out.cgroups = std::move(record.cgroups);
  return out;
}

}  // namespace

std::string_view status_name(Status status) {
  switch (status) {
    case Status::kCreating:
      return "creating";
    case Status::kCreated:
      return "created";
    case Status::kRunning:
      return "running";
    case Status::kPaused:
      return "paused";
    case Status::kStopped:
      break;
  }
  return "stopped";
}

Status status_of(int dirfd, const StateRecord& record) {
  const bool creating =
      record.phase == Phase::kCreating && sys::process_is_alive(record.creator_pid, record.creator_start_time);
  if (!sys::process_is_alive(record.pid, record.pid_start_time)) {
    return creating && record.pid == 0 ? Status::kCreating : Status::kStopped;
  }
  if (creating) return Status::kCreating;
  if (is_frozen(record)) return Status::kPaused;
  struct stat info{};
  return ::fstatat(dirfd, kExecFifo, &info, AT_SYMLINK_NOFOLLOW) == 0 ? Status::kCreated : Status::kRunning;
}

Result<Loaded> load(const std::string& root, const std::string& id) {
  Loaded out;
  TRY_ASSIGN(out.dir, open_state_dir(root, id));
  auto record = read_state_file(out.dir.get());
  if (!record && record.error().code() == Code::kNotFound) return fail(Code::kNotFound, "container does not exist");
  if (!record) return std::unexpected(std::move(record).error().wrap(concat("container ", quote(id))));
  out.record = std::move(*record);
  out.status = status_of(out.dir.get(), out.record);
  return out;
}

Result<State> state(const std::string& root, const std::string& id) {
  TRY_ASSIGN(auto loaded, load(root, id));
  return make_state(std::move(loaded.record), loaded.status);
}

Result<std::vector<State>> list(const std::string& root) {
  TRY_ASSIGN(auto names, sys::list_directory(root));
  std::ranges::sort(names);
  std::vector<State> out;
  for (const auto& name : names) {
    if (!check_id(name)) continue;
    // Half made, half removed or unreadable: not a container that anybody could use.
    if (auto found = state(root, name)) out.push_back(std::move(*found));
  }
  return out;
}

}  // namespace berth::container
