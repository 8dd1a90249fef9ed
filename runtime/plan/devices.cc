// SPDX-License-Identifier: Apache-2.0
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "runtime/base/strings.h"
#include "runtime/plan/mounts.h"
#include "runtime/sys/mount.h"

namespace berth::plan {
namespace {

using child::OpCode;

const std::vector<oci::Device>& default_devices() {
  static const std::vector<oci::Device> devices = {
      {"/dev/null", "c", 1, 3, 0666, {}, {}},   {"/dev/random", "c", 1, 8, 0666, {}, {}},
      {"/dev/full", "c", 1, 7, 0666, {}, {}},   {"/dev/tty", "c", 5, 0, 0666, {}, {}},
      {"/dev/zero", "c", 1, 5, 0666, {}, {}},   {"/dev/urandom", "c", 1, 9, 0666, {}, {}},
  };
  return devices;
}

// In a user namespace mknod is forbidden: the host's node is bound instead.
Result<> add_bound_node(MountContext& context, const oci::Device& device) {
  TRY_ASSIGN(Fd tree, sys::clone_mount(device.path, false), concat("bind device ", quote(device.path)));
  TRY(sys::set_mount_attributes(tree.get(), 0, 0, 1u << 18 /* MS_PRIVATE */, false));
  auto& op = context.builder.add(OpCode::kAttach, concat("bind device ", quote(device.path)));
  op.fd = context.builder.keep(std::move(tree));
  op.path = context.builder.text(clean_path(device.path));
  op.flags |= child::kFile;
  return {};
}

Result<> add_node(MountContext& context, const oci::Device& device) {
  const std::string path = clean_path(device.path);
  if (context.user_namespace && device.type != "p") return add_bound_node(context, device);
  mode_t kind = S_IFCHR;
  if (device.type == "b") kind = S_IFBLK;
  if (device.type == "p") kind = S_IFIFO;
  auto& op = context.builder.add(OpCode::kMknod, concat("make device ", quote(path)));
  op.path = context.builder.text(path);
  op.args[0] = kind | (device.file_mode.value_or(0666) & 07777);
  op.args[1] = kind == S_IFIFO ? 0 : makedev(static_cast<unsigned>(device.major), static_cast<unsigned>(device.minor));
  op.args[2] = device.uid.value_or(0);
  op.args[3] = device.gid.value_or(0);
  return {};
}

void add_link(MountContext& context, const char* path, const char* target, uint32_t flags) {
  auto& op = context.builder.add(OpCode::kSymlink, concat("link ", quote(path)));
  op.path = context.builder.text(path);
  op.text = context.builder.text(target);
  op.flags = flags;
}

}  // namespace

Result<> add_devices(MountContext& context) {
  if (context.dev_is_bind) return {};
  const auto& wanted = context.spec.linux_.devices;
  for (const auto& device : default_devices()) {
    bool replaced = false;
    for (const auto& other : wanted) replaced = replaced || clean_path(other.path) == device.path;
    if (!replaced) TRY(add_node(context, device));
  }
  for (const auto& device : wanted) {
    // The terminal's own names are made by the devpts mount and the console.
    const std::string path = clean_path(device.path);
    if (path == "/dev/ptmx" || path == "/dev/console" || path.starts_with("/dev/pts/")) continue;
    TRY(add_node(context, device));
  }
  add_link(context, "/dev/fd", "/proc/self/fd", 0);
  add_link(context, "/dev/stdin", "/proc/self/fd/0", 0);
  add_link(context, "/dev/stdout", "/proc/self/fd/1", 0);
  add_link(context, "/dev/stderr", "/proc/self/fd/2", 0);
  add_link(context, "/dev/core", "/proc/kcore", child::kOnlyIfMissing);
  if (context.devpts_slot >= 0) add_link(context, "/dev/ptmx", "pts/ptmx", 0);
  return {};
}

}  // namespace berth::plan
