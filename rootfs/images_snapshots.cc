// SPDX-License-Identifier: Apache-2.0
// Snapshots of containers and the figures of ImageFsInfo.
#include <sys/stat.h>

#include "rootfs/image_store.h"
#include "rootfs/lock.h"
#include "rootfs/snapshot/tree.h"
#include "runtime/base/log.h"
#include "runtime/base/strings.h"

namespace berth::rootfs {
namespace {

constexpr long long kUsageLifetimeNanos = 10'000'000'000;

}  // namespace

// The record first: from then on the layers stay, and a directory without record is known to be a leftover.
Result<OverlayDirs> ImageStore::prepare_snapshot(const std::string& key, const std::string& image_id) {
  const std::string what = concat("prepare snapshot ", quote(key.substr(0, 200)));
  TRY(check_snapshot_key(key), what);
  TRY_ASSIGN(const Fd lock, lock_shared(lock_path(), {}), what);
  TRY_ASSIGN(const auto existing, database_->snapshot_image(key), what);
  if (existing && *existing != image_id) {
    return fail(Code::kAlreadyExists, concat(what, ": it exists over another image, ", *existing));
  }
  if (!existing) TRY(database_->add_snapshot(key, image_id), what);
  TRY_ASSIGN(const auto chain, database_->snapshot_chain(key), what);
  auto dirs = layout_.add_container(key, chain);
  if (!dirs && !existing) {
    if (auto undone = database_->remove_snapshot(key); !undone) log_warn("snapshot record stays", {{"key", key}, {"error", undone.error().message()}});
  }
  TRY(dirs, what);
  return dirs;
}

Result<> ImageStore::remove_snapshot(const std::string& key) {
  const std::string what = concat("remove snapshot ", quote(key.substr(0, 200)));
  TRY(check_snapshot_key(key), what);
  TRY_ASSIGN(const auto image_id, database_->snapshot_image(key), what);
  TRY(layout_.remove_container(key), what);
  if (!image_id) return {};
  TRY(database_->remove_snapshot(key), what);
  // The last user of an image that was removed before: its layers go now.
  TRY_ASSIGN(const auto image, database_->image(*image_id), what);
  if (!image) collect_soon();
  return {};
}

Result<std::vector<std::string>> ImageStore::snapshots() { return database_->snapshots(); }

Result<FsUsage> ImageStore::snapshot_usage(const std::string& key) {
  TRY(check_snapshot_key(key));
  const std::string path = layout_.container(key) + "/fs";
  TRY_ASSIGN(const TreeSize size, measure_tree(path), concat("usage of snapshot ", quote(key)));
  return FsUsage{path, size.bytes, size.inodes};
}

Result<FsUsage> ImageStore::usage() {
  const std::lock_guard lock(usage_mutex_);
  if (usage_at_ != 0 && monotonic_nanos() - usage_at_ < kUsageLifetimeNanos) return usage_;
  TRY_ASSIGN(const LayerRecord layers, database_->layer_totals(), "usage of images");
  FsUsage usage{config_.root, static_cast<uint64_t>(layers.bytes), static_cast<uint64_t>(layers.inodes)};
  // Layers do not change once unpacked, so their size is a record; blobs and writable directories are counted.
  for (const char* part : {"/content", "/snapshots/containers"}) {
    TRY_ASSIGN(const TreeSize size, measure_tree(config_.root + part), "usage of images");
    usage.used_bytes += size.bytes;
    usage.inodes_used += size.inodes;
  }
  usage_ = usage;
  usage_at_ = monotonic_nanos();
  return usage;
}

}  // namespace berth::rootfs
