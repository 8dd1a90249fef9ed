// SPDX-License-Identifier: Apache-2.0
// Where directories stand below the root of the image store, and how a layer becomes one: unpacked beside its place,
// made durable, renamed. Directories above trees of images are 0700: nobody else reaches setuid files in them (security I07).
#pragma once

#include <functional>
#include <set>
#include <string>
#include <vector>

#include "rootfs/content/digest.h"
#include "rootfs/images.h"
#include "rootfs/snapshot/tree.h"
#include "rootfs/unpack/unpack.h"
#include "runtime/base/result.h"

namespace berth::rootfs {

class SnapshotLayout {
 public:
  explicit SnapshotLayout(std::string root) : root_(std::move(root)) {}
  // Creates what is missing.
  Result<> create() const;

  std::string layer_fs(std::string_view chain_id) const;
  std::string container(const std::string& key) const;

  // What add_layer asks its caller for, under the lock that makes directory and record one step for other processes.
  struct LayerRecords {
    std::function<Result<bool>()> exists;
    std::function<Result<>(const TreeSize&)> add;
  };
  // Unpacks `blob` as `chain_id` and records it; replaces a directory that has no record, keeps one that has (containers
  // may run on it). On failure nothing stays.
  Result<UnpackReport> add_layer(const std::string& chain_id, ByteSource& blob, const std::vector<std::string>& lower, UnpackOptions options,
                                 const LayerRecords& records) const;
  // Makes upper and work; existing ones stay.
  Result<OverlayDirs> add_container(const std::string& key, const std::vector<std::string>& chain) const;
  Result<> remove_container(const std::string& key) const;
  Result<std::vector<std::string>> containers() const;

  // Moves every layer directory not in `keep`, and every leftover, out of sight. Only under the exclusive lock. Fast.
  Result<> hide_layers_except(const std::set<std::string>& keep) const;
  // Deletes what was hidden. Needs no lock.
  Result<> empty_trash() const;

 private:
  Result<> publish(const std::string& temporary, const std::string& chain_id, const LayerRecords& records) const;

  std::string root_;
};

// What a snapshot's key may be: 1 to 200 letters, digits, "_", ".", "-", not starting with ".".
Result<> check_snapshot_key(const std::string& key);

}  // namespace berth::rootfs
