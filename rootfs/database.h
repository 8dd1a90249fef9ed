// SPDX-License-Identifier: Apache-2.0
// Records of images, names, layers and snapshots. A row never names what is not whole on disk.
#pragma once

#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "rootfs/images.h"
#include "rootfs/sqlite.h"
#include "runtime/base/result.h"

namespace berth::rootfs {

struct ImageRecord {
  std::string id;
  std::string manifest_digest;
  std::string config_json;
  int64_t size = 0;
  int64_t created_at = 0;
  std::vector<std::string> chain;  // lowest first
  std::vector<std::string> blobs;
};

struct LayerRecord {
  std::string chain_id;
  std::string diff_id;
  std::string parent;
  int64_t bytes = 0;   // of the unpacked directory
  int64_t inodes = 0;
};

struct StoredName {
  std::string name;
  bool is_digest = false;
};

// Thread-safe: one connection, calls serialised; other processes are kept apart by SQLite.
class Database {
 public:
  static Result<std::unique_ptr<Database>> open(const std::string& path);

  // The image and its name in one step; a tag that named another image moves. The same image again keeps its other names.
  Result<> add_image(const ImageRecord& image, const std::vector<StoredName>& names);
  Result<std::optional<Image>> image(const std::string& id);
  Result<std::optional<std::string>> image_of_name(const std::string& name);
  // At most two ids that start with "sha256:" + prefix.
  Result<std::vector<std::string>> ids_with_prefix(const std::string& hex_prefix);
  Result<std::vector<std::string>> image_ids();
  Result<> set_name(const StoredName& name, const std::string& image_id);
  Result<> remove_name(const std::string& name);
  Result<> remove_image(const std::string& id);

  Result<bool> has_layer(const std::string& chain_id);
  Result<> add_layer(const LayerRecord& layer);
  Result<std::vector<std::string>> chain_of_image(const std::string& id);
  // Forgets the layers that neither an image nor a snapshot needs.
  Result<> remove_unused_layers();
  Result<std::set<std::string>> layers();
  Result<std::set<std::string>> blobs_in_use();
  Result<LayerRecord> layer_totals();

  // The image of an existing snapshot, or nothing.
  Result<std::optional<std::string>> snapshot_image(const std::string& key);
  Result<> add_snapshot(const std::string& key, const std::string& image_id);
  Result<std::vector<std::string>> snapshot_chain(const std::string& key);
  Result<> remove_snapshot(const std::string& key);
  Result<std::vector<std::string>> snapshots();

 private:
  explicit Database(Sqlite sqlite) : sqlite_(std::move(sqlite)) {}
  Result<std::vector<std::string>> column(std::string_view sql, std::string_view parameter = {});
  Result<> run(std::string_view sql, std::string_view parameter);

  std::recursive_mutex mutex_;
  Sqlite sqlite_;
};

}  // namespace berth::rootfs
