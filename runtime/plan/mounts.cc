// SPDX-License-Identifier: Apache-2.0
#include "runtime/plan/mounts.h"

#include <fcntl.h>
#include <linux/mount.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "runtime/base/strings.h"
#include "runtime/plan/idmap.h"
#include "runtime/plan/mount_options.h"
#include "runtime/sys/file.h"
#include "runtime/sys/mount.h"

namespace berth::plan {
namespace {

using child::OpCode;

// The only names below /proc that a mount may cover (§3 trap 26).
constexpr const char* kProcAllowed[] = {
    "/proc/cpuinfo", "/proc/diskstats", "/proc/meminfo", "/proc/stat", "/proc/swaps", "/proc/uptime",
    "/proc/loadavg", "/proc/slabinfo", "/proc/sys/kernel/ns_last_pid", "/proc/sys/crypto/fips_enabled",
};

bool proc_allowed(std::string_view destination) {
  for (const char* name : kProcAllowed) {
    if (destination == name) return true;
  }
  return false;
}

std::string doing(const oci::Mount& mount) {
  return concat("mount ", quote(mount.source.empty() ? mount.type : mount.source), " to ", quote(mount.destination));
}

uint64_t initial_attributes(const MountOptions& options) { return options.set; }

void add_propagation(Builder& builder, const oci::Mount& mount, const MountOptions& options, int slot, int fd) {
  if (options.propagation == 0) return;
  auto& op = builder.add(OpCode::kSetAttr, concat(doing(mount), ": set propagation"));
  op.slot = slot;
  op.fd = fd;
  op.propagation = options.propagation;
  if (options.propagation_recursive) op.flags |= child::kRecursive;
}

void add_recursive_attributes(Builder& builder, const oci::Mount& mount, const MountOptions& options, int slot, int fd) {
  if (options.recursive_set == 0 && options.recursive_clear == 0) return;
  auto& op = builder.add(OpCode::kSetAttr, concat(doing(mount), ": set recursive attributes"));
  op.slot = slot;
  op.fd = fd;
  op.flags |= child::kRecursive;
  op.attr_set = options.recursive_set;
  op.attr_clear = options.recursive_clear;
}

child::Op& add_attach(Builder& builder, const oci::Mount& mount, const std::string& destination, int slot, int fd, bool file) {
  auto& op = builder.add(OpCode::kAttach, doing(mount));
  op.slot = slot;
  op.fd = fd;
  op.path = builder.text(destination);
  if (file) op.flags |= child::kFile;
  if (proc_allowed(destination)) op.flags |= child::kMayBeProc;
  return op;
}

// A clone of the source's mount as a detached tree, with its attributes and its identity mapping.
Result<> add_bind(MountContext& context, const oci::Mount& mount, const MountOptions& options, const std::string& destination) {
  Builder& builder = context.builder;
  std::string source = mount.source;
  if (!source.starts_with('/')) return fail(Code::kInvalidArgument, concat(doing(mount), ": the source must be absolute"));
  TRY_ASSIGN(Fd tree, sys::clone_mount(source, options.recursive), doing(mount));
  struct stat info {};
  if (::fstat(tree.get(), &info) != 0) return fail_errno(doing(mount));
  // What is mounted on the host later may reach the container, never the other way round, unless asked for.
  if (options.propagation == 0) TRY(sys::set_mount_attributes(tree.get(), 0, 0, MS_SLAVE, true), doing(mount));
  if (options.set != 0 || options.clear != 0) {
    TRY(sys::set_mount_attributes(tree.get(), options.set, options.clear, 0, false), doing(mount));
  }
  if (options.idmap) TRY(apply_idmap(tree.get(), mount, options, context.user_namespace_fd), doing(mount));
  const int fd = builder.keep(std::move(tree));
  if (destination == "/proc") {
    TRY_ASSIGN(const bool proc, sys::is_procfs(fd));
    if (!proc) return fail(Code::kInvalidArgument, concat(doing(mount), ": only a procfs may be bound onto \"/proc\""));
  }
  add_attach(builder, mount, destination, -1, fd, !S_ISDIR(info.st_mode));
  add_propagation(builder, mount, options, -1, fd);
  add_recursive_attributes(builder, mount, options, -1, fd);
  return {};
}

// A file system of its own. Read-only tmpfs stay writable until the nodes below them exist (trap 24).
Result<int> add_filesystem(MountContext& context, const oci::Mount& mount, const MountOptions& options, const std::string& destination) {
  Builder& builder = context.builder;
  const int slot = builder.new_slot();
  if (slot < 0) return fail(Code::kResourceExhausted, "too many mounts");
  auto data = options.data;
  if (!mount.source.empty()) data.insert(data.begin(), {"source", mount.source, false});
  const bool late_readonly = mount.type == "tmpfs" && (options.set & MOUNT_ATTR_RDONLY) != 0;
  auto& op = builder.add(OpCode::kNewMount, doing(mount));
  op.slot = slot;
  op.text = builder.text(mount.type);
  op.list = builder.pairs(data);
  op.count = static_cast<uint32_t>(data.size() * 2);
  op.attr_set = initial_attributes(options) & ~(late_readonly ? static_cast<uint64_t>(MOUNT_ATTR_RDONLY) : 0);
  auto& attach = add_attach(builder, mount, destination, slot, -1, false);
  if (mount.type == "proc" || mount.type == "sysfs") attach.flags |= child::kNoSymlinks;
  if (destination == "/proc" && mount.type == "proc") attach.flags |= child::kMayBeProc;
  if (mount.type == "tmpfs" && !options.has_mode) attach.flags |= child::kCopyMode;
  add_propagation(builder, mount, options, slot, -1);
  add_recursive_attributes(builder, mount, options, slot, -1);
  return slot;
}

std::string base_name(const std::string& path) { return path.substr(path.rfind('/') + 1); }

// v1: a tmpfs with the container's own directory of every hierarchy, and links for controllers that share one.
Result<> add_cgroup_v1(MountContext& context, const oci::Mount& mount, const MountOptions& options, const std::string& destination) {
  oci::Mount tmpfs = mount;
  tmpfs.type = "tmpfs";
  tmpfs.source = "tmpfs";
  MountOptions tmpfs_options = options;
  tmpfs_options.data = {{"mode", "755", false}, {"size", "64k", false}};
  tmpfs_options.has_mode = true;
  TRY_ASSIGN(const int slot, add_filesystem(context, tmpfs, tmpfs_options, destination));
  for (const auto& hierarchy : context.cgroups->hierarchies) {
    const std::string name = base_name(hierarchy.mount_point);
    const std::string* path = nullptr;
    for (const auto& controller : hierarchy.controllers) {
      const auto found = context.cgroup_paths.find(controller);
      if (found != context.cgroup_paths.end()) path = &found->second;
    }
    if (path == nullptr) continue;
    oci::Mount bind = mount;
    bind.source = *path;
    MountOptions bind_options = options;
    bind_options.data.clear();
    TRY(add_bind(context, bind, bind_options, concat(destination, '/', name)));
    for (const auto& controller : hierarchy.controllers) {
      if (controller == name || controller.starts_with("name=")) continue;
      auto& link = context.builder.add(OpCode::kSymlink, concat("link ", quote(controller)));
      link.path = context.builder.text(concat(destination, '/', controller));
      link.text = context.builder.text(name);
    }
  }
  if ((options.set & MOUNT_ATTR_RDONLY) != 0) {
    auto& op = context.builder.add(OpCode::kSetAttr, doing(mount));
    op.slot = slot;
    op.attr_set = MOUNT_ATTR_RDONLY;
  }
  return {};
}

// v2: the container's own directory, bound: a second cgroup2 mount would reset the host's options (trap 31). Without a
// cgroup namespace the whole hierarchy is what the path names in /proc/self/cgroup refer to.
Result<> add_cgroup(MountContext& context, const oci::Mount& mount, MountOptions options, const std::string& destination) {
  if (context.cgroups == nullptr) return {};
  if (!context.cgroups->v2) return add_cgroup_v1(context, mount, options, destination);
  const auto own = context.cgroup_paths.find("");
  oci::Mount bind = mount;
  const bool whole = !context.cgroup_namespace || own == context.cgroup_paths.end();
  bind.source = whole ? context.cgroups->hierarchies.front().mount_point : own->second;
  options.data.clear();
  // Never writable outside the own subtree (CVE-2023-25809), unless the spec asks for the host's view and writing.
  return add_bind(context, bind, options, destination);
}

Result<> add_mount(MountContext& context, const oci::Mount& mount) {
  TRY_ASSIGN(const MountOptions options, parse_mount_options(mount));
  const std::string destination = clean_path(mount.destination);
  if (destination == "/") return fail(Code::kInvalidArgument, concat(doing(mount), ": nothing may be mounted on the root"));
  if (destination.starts_with("/proc/") && !proc_allowed(destination)) {
    return fail(Code::kInvalidArgument,
                concat(doing(mount), ": ", quote(destination), " cannot be mounted because it is inside /proc"));
  }
  if (options.copy_up) return fail(Code::kUnimplemented, concat(doing(mount), ": option \"tmpcopyup\" is not supported"));
  if (destination == "/dev" && options.bind) context.dev_is_bind = true;
  if (options.bind) return add_bind(context, mount, options, destination);
  if (mount.type == "cgroup" || mount.type == "cgroup2") return add_cgroup(context, mount, options, destination);
  if (mount.type == "sysfs" && context.user_namespace && !context.network_namespace) {
    oci::Mount bind = mount;  // sysfs belongs to the network namespace's owner: the caller's is bound, still read-only if asked
    bind.source = "/sys";
    MountOptions bind_options = options;
    bind_options.recursive = true;
    bind_options.recursive_set |= options.set & MOUNT_ATTR_RDONLY;
    return add_bind(context, bind, bind_options, destination);
  }
  TRY_ASSIGN(const int slot, add_filesystem(context, mount, options, destination));
  if (mount.type == "devpts" && destination == "/dev/pts") context.devpts_slot = slot;
  return {};
}

}  // namespace

std::string clean_path(std::string_view path) {
  std::vector<std::string> parts;
  for (const auto part : split(path, '/')) {
    if (part.empty() || part == ".") continue;
    if (part == "..") {
      if (!parts.empty()) parts.pop_back();
    } else {
      parts.emplace_back(part);
    }
  }
  return concat('/', join(parts, "/"));
}

Result<> add_mounts(MountContext& context) {
  for (const auto& mount : context.spec.mounts) TRY(add_mount(context, mount));
  return {};
}

void add_path_protection(MountContext& context) {
  Builder& builder = context.builder;
  // tmpfs mounts with "ro", in the order of their slots, now that their content exists.
  const auto ops = builder.ops();
  for (const auto& mount : context.spec.mounts) {
    const auto options = parse_mount_options(mount);
    if (!options || mount.type != "tmpfs" || (options->set & MOUNT_ATTR_RDONLY) == 0) continue;
    const std::string destination = clean_path(mount.destination);
    for (const auto& op : ops) {
      if (op.code != OpCode::kAttach || op.slot < 0 || destination != op.path) continue;
      auto& late = builder.add(OpCode::kSetAttr, doing(mount));
      late.slot = op.slot;
      late.attr_set = MOUNT_ATTR_RDONLY;
    }
  }
  for (const auto& path : context.spec.linux_.readonly_paths) {
    auto& op = builder.add(OpCode::kReadonly, concat("make ", quote(path), " read-only"));
    op.path = builder.text(path);
  }
  for (const auto& path : context.spec.linux_.masked_paths) {
    auto& op = builder.add(OpCode::kMask, concat("mask ", quote(path)));
    op.path = builder.text(path);
  }
}

}  // namespace berth::plan
