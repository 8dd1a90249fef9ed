// SPDX-License-Identifier: Apache-2.0
#include "runtime/plan/idmap.h"

#include <csignal>
#include <fcntl.h>
#include <linux/sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "runtime/base/strings.h"
#include "runtime/sys/file.h"
#include "runtime/sys/mount.h"
#include "runtime/sys/process.h"

namespace berth::plan {

std::string map_lines(const std::vector<oci::IdMapping>& mappings) {
  std::string lines;
  for (const auto& map : mappings) lines += concat(map.container_id, ' ', map.host_id, ' ', map.size, '\n');
  return lines;
}

Result<Fd> make_user_namespace(const std::vector<oci::IdMapping>& uids, const std::vector<oci::IdMapping>& gids) {
  int pidfd = -1;
  clone_args args{};
  args.flags = CLONE_NEWUSER | CLONE_PIDFD;
  args.pidfd = reinterpret_cast<uint64_t>(&pidfd);
  args.exit_signal = SIGCHLD;
  const long pid = ::syscall(SYS_clone3, &args, sizeof args);
  if (pid < 0) return fail_errno("make user namespace");
  if (pid == 0) {
    while (true) ::syscall(SYS_pause);  // killed as soon as the namespace is held by a descriptor
  }
  const sys::ChildGuard guard{Fd(pidfd)};
  const std::string proc = concat("/proc/", pid, '/');
  TRY(sys::write_file_at(AT_FDCWD, proc + "uid_map", map_lines(uids)), "write uid_map");
  TRY(sys::write_file_at(AT_FDCWD, proc + "gid_map", map_lines(gids)), "write gid_map");
  return sys::open_path(proc + "ns/user", O_RDONLY);
}

Result<> apply_idmap(int mount, const oci::Mount& spec, const MountOptions& options, int fallback) {
  if (spec.uid_mappings.empty() && fallback < 0) {
    return fail(Code::kInvalidArgument, "idmap needs mappings or a user namespace");
  }
  if (spec.uid_mappings.empty()) return sys::map_mount_ids(mount, fallback, options.idmap_recursive);
  TRY_ASSIGN(const Fd user, make_user_namespace(spec.uid_mappings, spec.gid_mappings));
  return sys::map_mount_ids(mount, user.get(), options.idmap_recursive);
}

}  // namespace berth::plan
