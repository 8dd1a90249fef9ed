// SPDX-License-Identifier: Apache-2.0
#include "rootfs/unpack/apply.h"

#include <cerrno>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "rootfs/snapshot/tree.h"
#include "rootfs/unpack/attributes.h"
#include "runtime/base/strings.h"
#include "runtime/sys/file.h"
#include "runtime/sys/path.h"

namespace berth::rootfs {
namespace {

constexpr std::string_view kWhiteout = ".wh.";
constexpr std::string_view kWhiteoutMeta = ".wh..wh.";
constexpr std::string_view kOpaque = ".wh..wh..opq";

std::string join_path(const std::vector<std::string>& parts, size_t count) {
  std::string path;
  for (size_t i = 0; i < count; ++i) path += (i == 0 ? "" : "/") + parts[i];
  return path;
}

std::string child_path(const std::string& folder, const std::string& name) { return folder.empty() ? name : concat(folder, "/", name); }

bool is_whiteout(const struct stat& info) { return S_ISCHR(info.st_mode) && info.st_rdev == 0; }

// AUFS bookkeeping in old images: not part of the tree.
bool is_ignored(const std::vector<std::string>& parts) {
  for (size_t i = 0; i < parts.size(); ++i) {
    if (parts[i].starts_with(kWhiteoutMeta) && !(i + 1 == parts.size() && parts[i] == kOpaque)) return true;
  }
  return false;
}

}  // namespace

// Components without "." and empty ones. ".." is refused rather than resolved: no writer of layers emits it.
Result<std::vector<std::string>> LayerWriter::clean_path(const std::string& path) const {
  const auto refuse = [](std::string_view why) { return fail(Code::kInvalidArgument, std::string(why)); };
  if (path.find('\0') != std::string::npos) return refuse("the path contains NUL");
  if (path.size() > limits_.path_bytes) return fail(Code::kResourceExhausted, concat("the path is longer than ", limits_.path_bytes, " bytes"));
  std::vector<std::string> parts;
  for (const auto part : split(path, '/')) {
    if (part.empty() || part == ".") continue;
    if (part == "..") return refuse("the path contains \"..\"");
    parts.emplace_back(part);
  }
  if (parts.size() > limits_.depth) return fail(Code::kResourceExhausted, concat("the path is deeper than ", limits_.depth));
  return parts;
}

// A directory that no entry named: it looks like the one in the layers below, which it would otherwise hide.
Result<> LayerWriter::make_implicit(int parent, const std::string& folder, const std::string& name) {
  if (::mkdirat(parent, name.c_str(), 0755) != 0) return fail_errno(concat("create directory ", quote(name)));
  Attributes attributes;
  const std::string path = child_path(folder, name);
  for (const int lower : lower_) {
    auto below = sys::open_beneath(lower, path, O_RDONLY | O_DIRECTORY);
    if (!below) continue;
    struct stat info{};
    if (::fstat(below->get(), &info) != 0) break;
    attributes = {info.st_mode & 07777, info.st_uid, info.st_gid, info.st_mtim.tv_sec, static_cast<uint32_t>(info.st_mtim.tv_nsec), {}};
    break;
  }
  directories_[path] = std::move(attributes);
  return {};
}

Result<Fd> LayerWriter::open_folder(const std::vector<std::string>& parts, size_t count) {
  const std::string path = join_path(parts, count);
  auto whole = sys::open_beneath(root_, path, O_RDONLY | O_DIRECTORY);
  if (whole || whole.error().sys_errno() != ENOENT) {
    if (!whole && (whole.error().sys_errno() == ELOOP || whole.error().sys_errno() == ENOTDIR)) {
      return fail(Code::kInvalidArgument, concat("the parent ", quote(path), " is not a directory"));
    }
    return whole;
  }
  TRY_ASSIGN(Fd here, sys::open_beneath(root_, "", O_RDONLY | O_DIRECTORY));
  for (size_t i = 0; i < count; ++i) {
    Fd next(::openat(here.get(), parts[i].c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!next && errno == ENOENT) {
      TRY(make_implicit(here.get(), join_path(parts, i), parts[i]));
      next = Fd(::openat(here.get(), parts[i].c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    }
    if (!next && (errno == ENOTDIR || errno == ELOOP)) {
      return fail(Code::kInvalidArgument, concat("the parent ", quote(join_path(parts, i + 1)), " is not a directory"));
    }
    if (!next) return fail_errno(concat("open ", quote(join_path(parts, i + 1))));
    here = std::move(next);
  }
  return here;
}

Result<LayerWriter::Place> LayerWriter::locate(const std::vector<std::string>& parts) {
  const std::string folder = join_path(parts, parts.size() - 1);
  if (!cached_ || cached_path_ != folder) {
    TRY_ASSIGN(cached_, open_folder(parts, parts.size() - 1));
    cached_path_ = folder;
  }
  return Place{cached_.get(), folder, parts.back()};
}

// Makes room for an entry. A directory stays when a directory comes.
Result<> LayerWriter::clear_name(const Place& place, bool for_directory, bool& was_whiteout, bool& exists) {
  struct stat info{};
  was_whiteout = exists = false;
  if (::fstatat(place.parent, place.name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) {
    return errno == ENOENT ? Result<>{} : fail_errno(concat("stat ", quote(place.name)));
  }
  was_whiteout = is_whiteout(info);
  if (!S_ISDIR(info.st_mode)) {
    if (::unlinkat(place.parent, place.name.c_str(), 0) != 0) return fail_errno(concat("replace ", quote(place.name)));
    return {};
  }
  exists = for_directory;
  if (for_directory) return {};
  const std::string path = child_path(place.folder, place.name);
  directories_.erase(path);
  const std::string below = path + "/";
  for (auto entry = directories_.lower_bound(below); entry != directories_.end() && entry->first.starts_with(below);) {
    entry = directories_.erase(entry);
  }
  return remove_tree_at(place.parent, place.name);
}

Result<> LayerWriter::set_opaque(const std::string& folder, const std::string& name) {
  const std::string path = name.empty() ? folder : child_path(folder, name);
  TRY_ASSIGN(const Fd fd, sys::open_beneath(root_, path, O_RDONLY | O_DIRECTORY));
  if (::fsetxattr(fd.get(), "trusted.overlay.opaque", "y", 1, 0) != 0) return fail_errno(concat("make ", quote(path), " opaque"));
  return {};
}

Result<> LayerWriter::add_directory(const TarEntry& entry, const Place& place) {
  bool was_whiteout = false;
  bool exists = false;
  TRY(clear_name(place, true, was_whiteout, exists));
  if (!exists && ::mkdirat(place.parent, place.name.c_str(), 0700) != 0) return fail_errno("create directory");
  if (was_whiteout) TRY(set_opaque(place.folder, place.name));
  directories_[child_path(place.folder, place.name)] = {entry.mode, entry.uid, entry.gid, entry.mtime_seconds, entry.mtime_nanos, entry.xattrs};
  return {};
}

Result<> LayerWriter::add_file(const TarEntry& entry, const Place& place, TarReader& data) {
  TRY_ASSIGN(const Fd file, sys::open_at(place.parent, place.name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600));
  std::vector<char> buffer(static_cast<size_t>(std::min<int64_t>(std::max<int64_t>(entry.size, 512), 1 << 20)));
  const auto copy = [&](int64_t size) -> Result<> {
    while (size > 0) {
      const auto want = static_cast<size_t>(std::min<int64_t>(size, static_cast<int64_t>(buffer.size())));
      TRY_ASSIGN(const size_t got, data.read_data({buffer.data(), want}));
      if (got == 0) return fail(Code::kDataLoss, "the data is cut short");
      TRY(sys::write_all(file.get(), {buffer.data(), got}));
      size -= static_cast<int64_t>(got);
    }
    return {};
  };
  if (!entry.sparse) {
    TRY(copy(entry.size));
  } else {
    if (::ftruncate(file.get(), entry.size) != 0) return fail_errno("set size");
    for (const auto& segment : *entry.sparse) {
      if (::lseek(file.get(), segment.offset, SEEK_SET) < 0) return fail_errno("seek");
      TRY(copy(segment.size));
    }
  }
  TRY(set_owner_and_mode(file.get(), entry.uid, entry.gid, entry.mode));
  TRY(set_xattrs(file.get(), entry.xattrs));
  return set_mtime(file.get(), entry.mtime_seconds, entry.mtime_nanos);
}

Result<> LayerWriter::add_symlink(const TarEntry& entry, const Place& place) {
  if (entry.target.empty() || entry.target.find('\0') != std::string::npos) return fail(Code::kInvalidArgument, "the link has no valid target");
  if (entry.target.size() >= limits_.path_bytes) return fail(Code::kResourceExhausted, "the target of the link is too long");
  if (::symlinkat(entry.target.c_str(), place.parent, place.name.c_str()) != 0) return fail_errno("create symbolic link");
  if (::fchownat(place.parent, place.name.c_str(), entry.uid, entry.gid, AT_SYMLINK_NOFOLLOW) != 0) return fail_errno("change owner");
  const timespec when{entry.mtime_seconds, static_cast<long>(entry.mtime_nanos)};
  const timespec times[2] = {when, when};
  if (::utimensat(place.parent, place.name.c_str(), times, AT_SYMLINK_NOFOLLOW) != 0) return fail_errno("set time");
  return {};
}

Result<> LayerWriter::add_node(const TarEntry& entry, const Place& place) {
  const mode_t type = entry.kind == TarKind::kFifo ? S_IFIFO : entry.kind == TarKind::kCharDevice ? S_IFCHR : S_IFBLK;
  if (entry.kind == TarKind::kCharDevice && entry.device_major == 0 && entry.device_minor == 0) {
    return fail(Code::kInvalidArgument, "a character device 0:0 would be a whiteout");
  }
  const dev_t device = type == S_IFIFO ? 0 : ::makedev(entry.device_major, entry.device_minor);
  if (::mknodat(place.parent, place.name.c_str(), type | 0600, device) != 0) return fail_errno("create node");
  // A node cannot be opened without side effects: by name, which O_EXCL semantics of mknod just made ours.
  if (::fchownat(place.parent, place.name.c_str(), entry.uid, entry.gid, AT_SYMLINK_NOFOLLOW) != 0) return fail_errno("change owner");
  TRY_ASSIGN(const Fd fd, sys::open_at(place.parent, place.name, O_PATH | O_NOFOLLOW));
  if (::chmod(sys::fd_path(fd.get()).c_str(), entry.mode) != 0) return fail_errno("change mode");
  const timespec when{entry.mtime_seconds, static_cast<long>(entry.mtime_nanos)};
  const timespec times[2] = {when, when};
  if (::utimensat(place.parent, place.name.c_str(), times, AT_SYMLINK_NOFOLLOW) != 0) return fail_errno("set time");
  return {};
}

// The target lies in a layer below: the link would cross file systems' layers, so the file is copied, as overlayfs does.
Result<> LayerWriter::copy_up(const std::string& target, const Place& place) {
  for (const int lower : lower_) {
    auto below = sys::open_beneath(lower, target, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
    if (!below) continue;
    struct stat info{};
    if (::fstat(below->get(), &info) != 0 || !S_ISREG(info.st_mode)) break;
    TRY_ASSIGN(const Fd file, sys::open_at(place.parent, place.name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600));
    std::vector<char> buffer(256u << 10);
    while (true) {
      const ssize_t got = ::read(below->get(), buffer.data(), buffer.size());
      if (got < 0) return fail_errno("read the target of the hard link");
      if (got == 0) break;
      TRY(sys::write_all(file.get(), {buffer.data(), static_cast<size_t>(got)}));
    }
    return copy_attributes(below->get(), file.get());
  }
  return fail(Code::kInvalidArgument, concat("the target ", quote(target.substr(0, 256)), " of the hard link does not exist"));
}

Result<> LayerWriter::add_hard_link(const TarEntry& entry, const Place& place, const std::vector<std::string>& parts) {
  TRY_ASSIGN(const auto target, clean_path(entry.target), "target of the hard link");
  if (target.empty()) return fail(Code::kInvalidArgument, "the hard link has no target");
  if (target == parts) return {};
  const std::string path = join_path(target, target.size());
  bool was_whiteout = false;
  bool exists = false;
  const auto folder = sys::open_beneath(root_, join_path(target, target.size() - 1), O_PATH | O_DIRECTORY);
  if (!folder && folder.error().sys_errno() != ENOENT) return fail(Code::kInvalidArgument, "the hard link leads through something that is no directory");
  struct stat info{};
  if (!folder || ::fstatat(folder->get(), target.back().c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) {
    TRY(clear_name(place, false, was_whiteout, exists));
    return copy_up(path, place);
  }
  if (S_ISDIR(info.st_mode) || is_whiteout(info)) return fail(Code::kInvalidArgument, "the target of the hard link is not a file");
  if (const std::string below = child_path(place.folder, place.name) + "/"; path.starts_with(below)) {
    return fail(Code::kInvalidArgument, "the hard link would replace its own target");
  }
  TRY(clear_name(place, false, was_whiteout, exists));
  if (::linkat(folder->get(), target.back().c_str(), place.parent, place.name.c_str(), 0) != 0) return fail_errno("create hard link");
  return {};
}

Result<> LayerWriter::add_whiteout(const Place& place) {
  const std::string hidden = place.name.substr(kWhiteout.size());
  if (hidden.empty() || hidden == "." || hidden == "..") return fail(Code::kInvalidArgument, "the whiteout names nothing");
  struct stat info{};
  if (::fstatat(place.parent, hidden.c_str(), &info, AT_SYMLINK_NOFOLLOW) == 0) {
    // It hides what lies below, never what this layer brings.
    return S_ISDIR(info.st_mode) ? set_opaque(place.folder, hidden) : Result<>{};
  }
  if (::mknodat(place.parent, hidden.c_str(), S_IFCHR, 0) != 0) return fail_errno("create whiteout");
  return {};
}

Result<> LayerWriter::apply(const TarEntry& entry, TarReader& data) {
  if (++entries_ > limits_.entries) return fail(Code::kResourceExhausted, concat("the layer has more than ", limits_.entries, " entries"));
  TRY_ASSIGN(const auto parts, clean_path(entry.path));
  if (parts.empty()) {
    if (entry.kind != TarKind::kDirectory) return fail(Code::kInvalidArgument, "the root of the layer must be a directory");
    directories_[""] = {entry.mode, entry.uid, entry.gid, entry.mtime_seconds, entry.mtime_nanos, entry.xattrs};
    return {};
  }
  if (is_ignored(parts)) return {};
  for (size_t i = 0; i + 1 < parts.size(); ++i) {
    if (parts[i].starts_with(kWhiteout)) return fail(Code::kInvalidArgument, "an entry below a whiteout");
  }
  TRY_ASSIGN(const Place place, locate(parts));
  if (place.name == kOpaque) return set_opaque(place.folder, "");
  if (place.name.starts_with(kWhiteout)) return add_whiteout(place);
  if (entry.kind == TarKind::kHardLink) return add_hard_link(entry, place, parts);
  if (entry.kind == TarKind::kDirectory) return add_directory(entry, place);
  bool was_whiteout = false;
  bool exists = false;
  TRY(clear_name(place, false, was_whiteout, exists));
  switch (entry.kind) {
    case TarKind::kFile: return add_file(entry, place, data);
    case TarKind::kSymlink: return add_symlink(entry, place);
    default: return add_node(entry, place);
  }
}

Result<> LayerWriter::finish() {
  forget_folder();
  for (const auto& [path, attributes] : directories_) {
    auto fd = sys::open_beneath(root_, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    if (!fd) return std::unexpected(std::move(fd).error());
    TRY(set_owner_and_mode(fd->get(), attributes.uid, attributes.gid, attributes.mode), quote(path));
    TRY(set_xattrs(fd->get(), attributes.xattrs), quote(path));
    TRY(set_mtime(fd->get(), attributes.mtime_seconds, attributes.mtime_nanos), quote(path));
  }
  return {};
}

}  // namespace berth::rootfs
