// SPDX-License-Identifier: Apache-2.0
#include "agent/pods/host_sources.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <array>
#include <climits>
#include <cstdlib>
#include <memory>

#include "runtime/base/strings.h"
#include "runtime/sys/file.h"

namespace berth::pods {
namespace {

constexpr std::array<std::string_view, 8> kMountOptions = {"nosuid",     "nodev",    "noexec", "noatime",
                                                           "nodiratime", "relatime", "suid",   "dev"};

Result<std::string> resolve_source(const std::string& host_path) {
  if (!host_path.starts_with('/'))
    return fail(Code::kInvalidArgument, concat("mount host_path ", quote(host_path), " is not absolute"));
  std::array<char, PATH_MAX> resolved{};
  if (::realpath(host_path.c_str(), resolved.data()) != nullptr) return std::string(resolved.data());
  if (errno != ENOENT) return fail_errno(concat("mount host_path ", quote(host_path)));
  TRY(sys::make_directories(host_path, 0755), "mount host_path");
  if (::realpath(host_path.c_str(), resolved.data()) == nullptr)
    return fail_errno(concat("mount host_path ", quote(host_path)));
  return std::string(resolved.data());
}

// "\040" and the like, as the kernel writes blanks.
std::string unescape(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 3 < text.size()) {
      out += char((text[i + 1] - '0') * 64 + (text[i + 2] - '0') * 8 + (text[i + 3] - '0'));
      i += 3;
    } else {
      out += text[i];
    }
  }
  return out;
}

Result<> apply_propagation(const v1::Mount& mount, const std::string& source, std::vector<std::string>& options,
                           std::string& rootfs_propagation) {
  if (mount.propagation() == v1::PROPAGATION_PRIVATE) {
    options.emplace_back("rprivate");
    return {};
  }
  TRY_ASSIGN(const std::string table, sys::read_file("/proc/self/mountinfo"));
  const MountPropagationState state = propagation_of(source, table);
  if (mount.propagation() == v1::PROPAGATION_BIDIRECTIONAL) {
    if (!state.shared)
      return fail(Code::kInvalidArgument,
                  concat("path ", quote(source), " is mounted on the host but is not a shared mount"));
    options.emplace_back("rshared");
    rootfs_propagation = "rshared";
    return {};
  }
  if (!state.shared && !state.slave) {
    return fail(Code::kInvalidArgument,
                concat("path ", quote(source), " is mounted on the host but is neither a shared nor a slave mount"));
  }
  options.emplace_back("rslave");
  if (rootfs_propagation.empty()) rootfs_propagation = "rslave";
  return {};
}

Result<oci::Mount> resolve_mount(const v1::Mount& mount, std::string& rootfs_propagation) {
  if (mount.has_image() && !mount.image().image().empty()) {
    return fail(Code::kUnimplemented, concat("ImageVolumeMountFailed: mount ", quote(mount.container_path()),
                                             ": image volumes are not supported"));
  }
  oci::Mount bind;
  bind.destination = mount.container_path();
  bind.type = "bind";
  TRY_ASSIGN(bind.source, resolve_source(mount.host_path()));
  bind.options.emplace_back("rbind");
  TRY(apply_propagation(mount, bind.source, bind.options, rootfs_propagation));
  if (mount.recursive_read_only()) {
    bind.options.emplace_back("rro");
  } else {
    bind.options.emplace_back(mount.readonly() ? "ro" : "rw");
  }
  for (const std::string& option : mount.mount_options()) {
    if (std::find(kMountOptions.begin(), kMountOptions.end(), option) == kMountOptions.end()) {
      return fail(Code::kInvalidArgument,
                  concat("mount ", quote(mount.container_path()), ": option ", quote(option), " is not allowed"));
    }
    bind.options.push_back(option);
  }
  return bind;
}

bool device_from_stat(const std::string& path, const struct stat& st, oci::Device& device) {
  if (!S_ISCHR(st.st_mode) && !S_ISBLK(st.st_mode)) return false;
  device.path = path;
  device.type = S_ISCHR(st.st_mode) ? "c" : "b";
  device.major = int64_t(gnu_dev_major(st.st_rdev));
  device.minor = int64_t(gnu_dev_minor(st.st_rdev));
  device.file_mode = st.st_mode & 07777;
  device.uid = st.st_uid;
  device.gid = st.st_gid;
  return true;
}

// Every device node below `directory`, named below `container_directory`. pts, shm, mqueue and console are the
// container's own.
Result<> collect_devices(const std::string& directory, const std::string& container_directory,
                         std::vector<oci::Device>& nodes) {
  constexpr std::array<std::string_view, 9> kSkipped = {"pts",  "shm",  "mqueue", "console", "fd",
                                                        "core", "ptmx", ".lxc",   ".udev"};
  TRY_ASSIGN(const auto names, sys::list_directory(directory));
  for (const std::string& name : names) {
    if (std::find(kSkipped.begin(), kSkipped.end(), name) != kSkipped.end()) continue;
    const std::string path = concat(directory, "/", name);
    struct stat st{};
    if (::lstat(path.c_str(), &st) != 0) continue;
    oci::Device device;
    if (S_ISDIR(st.st_mode)) {
      TRY(collect_devices(path, concat(container_directory, "/", name), nodes));
    } else if (device_from_stat(concat(container_directory, "/", name), st, device)) {
      nodes.push_back(std::move(device));
    }
  }
  return {};
}

Result<std::string> device_access(const v1::Device& device) {
  if (device.permissions().empty()) return std::string("rwm");
  if (device.permissions().find_first_not_of("rwm") != std::string::npos) {
    return fail(Code::kInvalidArgument, concat("device ", quote(device.host_path()), ": permissions ",
                                               quote(device.permissions()), " are not of \"rwm\""));
  }
  return device.permissions();
}

Result<> add_device(const v1::Device& request, HostDevices& devices) {
  TRY_ASSIGN(const std::string access, device_access(request));
  std::array<char, PATH_MAX> resolved{};
  if (::realpath(request.host_path().c_str(), resolved.data()) == nullptr)
    return fail_errno(concat("device ", quote(request.host_path())));
  const std::string container_path = request.container_path().empty() ? request.host_path() : request.container_path();
  struct stat st{};
  if (::stat(resolved.data(), &st) != 0) return fail_errno(concat("device ", quote(request.host_path())));
  std::vector<oci::Device> nodes;
  if (S_ISDIR(st.st_mode)) {
    TRY(collect_devices(resolved.data(), container_path, nodes));
  } else {
    oci::Device device;
    if (!device_from_stat(container_path, st, device)) {
      return fail(Code::kInvalidArgument, concat("device ", quote(request.host_path()), " is no device node"));
    }
    nodes.push_back(std::move(device));
  }
  for (oci::Device& node : nodes) {
    devices.rules.push_back({true, node.type, node.major, node.minor, access});
    devices.nodes.push_back(std::move(node));
  }
  return {};
}

}  // namespace

MountPropagationState propagation_of(const std::string& path, std::string_view mountinfo) {
  MountPropagationState best;
  size_t best_length = 0;
  for (const std::string_view line : split(mountinfo, '\n')) {
    const auto fields = split(line, ' ');
    if (fields.size() < 7) continue;
    const std::string point = unescape(fields[4]);
    const bool inside = point == "/" || path == point || (path.starts_with(point) && path[point.size()] == '/');
    // Of mounts on one point the last line is the visible one.
    if (!inside || point.size() < best_length) continue;
    best_length = point.size();
    best = {};
    for (size_t i = 6; i < fields.size() && fields[i] != "-"; ++i) {
      if (fields[i].starts_with("shared:")) best.shared = true;
      if (fields[i].starts_with("master:")) best.slave = true;
    }
  }
  return best;
}

Result<std::vector<oci::Mount>> resolve_mounts(const v1::ContainerConfig& config, std::string& rootfs_propagation) {
  std::vector<oci::Mount> mounts;
  for (const v1::Mount& mount : config.mounts()) {
    TRY_ASSIGN(oci::Mount bind, resolve_mount(mount, rootfs_propagation));
    mounts.push_back(std::move(bind));
  }
  // Parents before what lies in them; equal depth keeps the request's order.
  std::stable_sort(mounts.begin(), mounts.end(), [](const oci::Mount& a, const oci::Mount& b) {
    const auto depth = [](const std::string& path) { return std::count(path.begin(), path.end(), '/'); };
    return depth(a.destination) < depth(b.destination);
  });
  return mounts;
}

Result<HostDevices> resolve_devices(const v1::ContainerConfig& config, bool privileged) {
  HostDevices devices;
  if (privileged) {
    TRY(collect_devices("/dev", "/dev", devices.nodes));
    devices.rules.push_back({true, "", std::nullopt, std::nullopt, "rwm"});
  }
  for (const v1::Device& device : config.devices()) TRY(add_device(device, devices));
  return devices;
}

}  // namespace berth::pods
