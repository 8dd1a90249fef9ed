// SPDX-License-Identifier: Apache-2.0
#include "runtime/shim/overlay.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <unistd.h>

#include <cerrno>

#include "runtime/base/strings.h"
#include "runtime/sys/file.h"
#include "runtime/sys/path.h"

namespace berth::shim {
namespace {

constexpr size_t kMaxOption = 255;  // fsconfig(2) copies at most 256 bytes of a string

// What the kernel says about the last failure on a file system context, if anything.
std::string context_message(int context) {
  char text[512];
  const ssize_t got = ::read(context, text, sizeof text);
  return got > 2 ? concat(" (", trim(std::string_view(text + 2, static_cast<size_t>(got) - 2)), ")") : std::string();
}

Result<> set_option(int context, const char* key, const std::string& value) {
  if (::fsconfig(context, FSCONFIG_SET_STRING, key, value.c_str(), 0) == 0) return {};
  const int error = errno;
  return fail_errno(concat("overlay option ", key, " ", quote(value), context_message(context)), error);
}

Result<std::vector<Fd>> open_layers(const OverlayLayers& layers) {
  std::vector<Fd> fds;
  for (const auto& layer : layers.lower) {
    TRY_ASSIGN(auto fd, sys::open_path(layer, O_PATH | O_DIRECTORY), "open layer");
    fds.push_back(std::move(fd));
  }
  return fds;
}

std::string joined_layers(const std::vector<Fd>& fds) {
  std::string joined;
  for (const auto& fd : fds) joined += concat(joined.empty() ? "" : ":", sys::fd_path(fd.get()));
  return joined;
}

// Kernels before 6.5 with many layers: the old call takes a page of options.
Result<Fd> mount_classic(const std::vector<Fd>& fds, const std::string& upper, const std::string& work,
                         const std::string& scratch) {
  TRY(sys::make_directories(scratch, 0700));
  std::string options = concat("lowerdir=", joined_layers(fds));
  if (!upper.empty()) options += concat(",upperdir=", upper, ",workdir=", work);
  if (::mount("overlay", scratch.c_str(), "overlay", 0, options.c_str()) != 0) return fail_errno("mount overlay");
  Fd mount(::open_tree(AT_FDCWD, scratch.c_str(), OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC));
  const int error = errno;
  ::umount2(scratch.c_str(), MNT_DETACH);
  ::rmdir(scratch.c_str());
  if (!mount) return fail_errno("detach overlay", error);
  return mount;
}

}  // namespace

Result<Fd> make_overlay(const OverlayLayers& layers, const std::string& scratch) {
  TRY_ASSIGN(const auto fds, open_layers(layers));
  Fd upper, work;
  std::string upper_path, work_path;
  if (!layers.upper.empty()) {
    TRY_ASSIGN(upper, sys::open_path(layers.upper, O_PATH | O_DIRECTORY), "open upper layer");
    TRY_ASSIGN(work, sys::open_path(layers.work, O_PATH | O_DIRECTORY), "open work directory");
    upper_path = layers.upper.size() <= kMaxOption ? layers.upper : sys::fd_path(upper.get());
    work_path = layers.work.size() <= kMaxOption ? layers.work : sys::fd_path(work.get());
  }
  Fd context(::fsopen("overlay", FSOPEN_CLOEXEC));
  if (!context) return fail_errno("open overlay file system");
  for (size_t i = 0; i < fds.size(); ++i) {
    const auto& path = layers.lower[i];
    const auto value = path.size() <= kMaxOption ? path : sys::fd_path(fds[i].get());
    if (auto set = set_option(context.get(), "lowerdir+", value); !set) {
      if (i != 0 || set.error().sys_errno() != EINVAL) return std::unexpected(std::move(set).error());
      const auto joined = joined_layers(fds);
      if (joined.size() > kMaxOption) return mount_classic(fds, upper_path, work_path, scratch);
      TRY(set_option(context.get(), "lowerdir", joined));
      break;
    }
  }
  if (!upper_path.empty()) {
    TRY(set_option(context.get(), "upperdir", upper_path));
    TRY(set_option(context.get(), "workdir", work_path));
  }
  if (::fsconfig(context.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) != 0) {
    const int error = errno;
    return fail_errno(concat("create overlay", context_message(context.get())), error);
  }
  Fd mount(::fsmount(context.get(), FSMOUNT_CLOEXEC, 0));
  if (!mount) return fail_errno("mount overlay");
  return mount;
}

}  // namespace berth::shim
