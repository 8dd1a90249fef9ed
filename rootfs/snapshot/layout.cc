// SPDX-License-Identifier: Apache-2.0
#include "rootfs/snapshot/layout.h"

#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "rootfs/snapshot/tree.h"
#include "runtime/base/log.h"
#include "runtime/base/strings.h"
#include "runtime/sys/file.h"

namespace berth::rootfs {
namespace {

constexpr const char* kEmptyLayer = "empty";  // the lower directory of an image without layers: overlayfs wants one
constexpr std::string_view kTemporary = ".tmp";

std::string hex_of(std::string_view chain_id) { return std::string(chain_id.substr(chain_id.find(':') + 1)); }

// mkdir with the mode regardless of the umask.
Result<> make_directory(const std::string& path, unsigned mode) {
  if (::mkdir(path.c_str(), mode) != 0) {
    return errno == EEXIST ? Result<>{} : fail_errno(concat("create directory ", quote(path)));
  }
  if (::chmod(path.c_str(), mode) != 0) return fail_errno(concat("change mode of ", quote(path)));
  return {};
}

}  // namespace

Result<> check_snapshot_key(const std::string& key) {
  const auto allowed = [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '.' || c == '-';
  };
  if (key.empty() || key.size() > 200 || key.front() == '.' || !std::ranges::all_of(key, allowed)) {
    return fail(Code::kInvalidArgument, concat("invalid snapshot key ", quote(key.substr(0, 200))));
  }
  return {};
}

Result<> SnapshotLayout::create() const {
  for (const char* folder : {"/snapshots/layers", "/snapshots/containers", "/snapshots/trash"}) TRY(sys::make_directories(concat(root_, folder)));
  TRY(make_directory(concat(root_, "/snapshots/layers/", kEmptyLayer), 0700));
  return make_directory(concat(root_, "/snapshots/layers/", kEmptyLayer, "/fs"), 0755);
}

std::string SnapshotLayout::layer_fs(std::string_view chain_id) const { return concat(root_, "/snapshots/layers/", hex_of(chain_id), "/fs"); }
std::string SnapshotLayout::container(const std::string& key) const { return concat(root_, "/snapshots/containers/", key); }

Result<> SnapshotLayout::publish(const std::string& temporary, const std::string& chain_id, const LayerRecords& records) const {
  const std::string folder = concat(root_, "/snapshots/layers");
  TRY_ASSIGN(const TreeSize size, measure_tree(concat(temporary, "/fs")));
  TRY_ASSIGN(const Fd lock, sys::open_path(folder, O_RDONLY | O_DIRECTORY));
  while (::flock(lock.get(), LOCK_EX) != 0) {
    if (errno != EINTR) return fail_errno("lock layers");
  }
  TRY_ASSIGN(const bool exists, records.exists());
  if (exists) return remove_tree(temporary);  // another process was faster
  const std::string place = concat(folder, "/", hex_of(chain_id));
  if (::rename(temporary.c_str(), place.c_str()) != 0) {
    if (errno != ENOTEMPTY && errno != EEXIST) return fail_errno("publish layer");
    // A killed process renamed it and wrote no record.
    const std::string old = concat(root_, "/snapshots/trash/", random_hex(16));
    if (::rename(place.c_str(), old.c_str()) != 0 && errno != ENOENT) return fail_errno("replace layer");
    if (::rename(temporary.c_str(), place.c_str()) != 0) return fail_errno("publish layer");
  }
  if (::fsync(lock.get()) != 0) return fail_errno("sync layers");
  return records.add(size);
}

Result<UnpackReport> SnapshotLayout::add_layer(const std::string& chain_id, ByteSource& blob, const std::vector<std::string>& lower, UnpackOptions options,
                                              const LayerRecords& records) const {
  const std::string folder = concat(root_, "/snapshots/layers");
  const std::string temporary = concat(folder, "/", random_hex(16), kTemporary);
  const auto unpack = [&]() -> Result<UnpackReport> {
    TRY(make_directory(temporary, 0700));
    TRY(make_directory(concat(temporary, "/fs"), 0755));
    TRY_ASSIGN(const Fd target, sys::open_path(concat(temporary, "/fs"), O_RDONLY | O_DIRECTORY));
    std::vector<Fd> below;
    for (auto chain = lower.rbegin(); chain != lower.rend(); ++chain) {
      TRY_ASSIGN(Fd fd, sys::open_path(layer_fs(*chain), O_RDONLY | O_DIRECTORY));
      options.lower.push_back(fd.get());
      below.push_back(std::move(fd));
    }
    TRY_ASSIGN(const UnpackReport report, unpack_layer(blob, target.get(), options));
    if (::syncfs(target.get()) != 0) return fail_errno("sync layer");
    TRY(publish(temporary, chain_id, records));
    return report;
  };
  auto report = unpack();
  if (!report) {
    if (auto removed = remove_tree(temporary); !removed) log_warn("layer leftover stays until the next start", {{"path", temporary}, {"error", removed.error().message()}});
  }
  return report;
}

Result<OverlayDirs> SnapshotLayout::add_container(const std::string& key, const std::vector<std::string>& chain) const {
  const std::string folder = container(key);
  TRY(make_directory(folder, 0700));
  TRY(make_directory(concat(folder, "/fs"), 0755));
  TRY(make_directory(concat(folder, "/work"), 0700));
  OverlayDirs dirs;
  dirs.upper = concat(folder, "/fs");
  dirs.work = concat(folder, "/work");
  for (auto chain_id = chain.rbegin(); chain_id != chain.rend(); ++chain_id) dirs.lower.push_back(layer_fs(*chain_id));
  if (dirs.lower.empty()) dirs.lower.push_back(layer_fs(kEmptyLayer));
  return dirs;
}

Result<> SnapshotLayout::remove_container(const std::string& key) const {
  const std::string hidden = concat(root_, "/snapshots/trash/", random_hex(16));
  if (::rename(container(key).c_str(), hidden.c_str()) != 0) {
    return errno == ENOENT ? Result<>{} : fail_errno(concat("remove snapshot ", quote(key)));
  }
  return remove_tree(hidden);
}

Result<std::vector<std::string>> SnapshotLayout::containers() const { return sys::list_directory(concat(root_, "/snapshots/containers")); }

Result<> SnapshotLayout::hide_layers_except(const std::set<std::string>& keep) const {
  const std::string folder = concat(root_, "/snapshots/layers");
  TRY_ASSIGN(const auto names, sys::list_directory(folder));
  for (const auto& name : names) {
    if (name == kEmptyLayer || keep.contains(concat("sha256:", name))) continue;
    const std::string hidden = concat(root_, "/snapshots/trash/", random_hex(16));
    if (::rename(concat(folder, "/", name).c_str(), hidden.c_str()) != 0 && errno != ENOENT) return fail_errno(concat("remove layer ", quote(name)));
  }
  return {};
}

Result<> SnapshotLayout::empty_trash() const {
  const std::string folder = concat(root_, "/snapshots/trash");
  TRY_ASSIGN(const auto names, sys::list_directory(folder));
  for (const auto& name : names) TRY(remove_tree(concat(folder, "/", name)));
  return {};
}

}  // namespace berth::rootfs
