// SPDX-License-Identifier: Apache-2.0
// What nothing refers to goes: layers, blobs, half-written files. Under the exclusive lock, which nobody holds while a
// pull runs; deleting trees happens after the lock was given back.
#include <set>

#include "rootfs/image_store.h"
#include "rootfs/lock.h"
#include "runtime/base/log.h"
#include "runtime/base/strings.h"

namespace berth::rootfs {

Result<> ImageStore::collect_garbage() {
  {
    TRY_ASSIGN(const Fd lock, try_lock_exclusive(lock_path()), "collect garbage");
    if (!lock) {
      garbage_ = true;
      return {};
    }
    TRY(database_->remove_unused_layers(), "collect garbage");
    TRY_ASSIGN(const auto layers, database_->layers(), "collect garbage");
    TRY(layout_.hide_layers_except(layers), "collect garbage");
    TRY_ASSIGN(const auto used, database_->blobs_in_use(), "collect garbage");
    TRY_ASSIGN(const auto blobs, store_.list(), "collect garbage");
    for (const auto& blob : blobs) {
      if (!used.contains(blob.str())) TRY(store_.remove(blob), "collect garbage");
    }
    TRY(store_.clear_ingest(), "collect garbage");
    // Directories of containers whose record went first: a killed remove_snapshot.
    TRY_ASSIGN(const auto keys, database_->snapshots(), "collect garbage");
    const std::set<std::string> known(keys.begin(), keys.end());
    TRY_ASSIGN(const auto directories, layout_.containers(), "collect garbage");
    for (const auto& name : directories) {
      if (!known.contains(name)) TRY(layout_.remove_container(name), "collect garbage");
    }
  }
  TRY(layout_.empty_trash(), "collect garbage");
  return {};
}

void ImageStore::collect_soon() {
  if (auto collected = collect_garbage(); !collected) {
    log_warn("garbage of images stays for now", {{"error", collected.error().message()}});
  }
}

}  // namespace berth::rootfs
