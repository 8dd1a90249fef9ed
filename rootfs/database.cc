// SPDX-License-Identifier: Apache-2.0
#include "rootfs/database.h"

#include "rootfs/oci/image_config.h"
#include "runtime/base/strings.h"

namespace berth::rootfs {
namespace {

constexpr int64_t kSchemaVersion = 1;

constexpr const char* kSchema = R"(
CREATE TABLE IF NOT EXISTS images(id TEXT PRIMARY KEY, manifest_digest TEXT NOT NULL, config_json TEXT NOT NULL,
  size INTEGER NOT NULL, created_at INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS names(name TEXT PRIMARY KEY, image_id TEXT NOT NULL REFERENCES images(id) ON DELETE CASCADE,
  is_digest INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS names_of_image ON names(image_id);
CREATE TABLE IF NOT EXISTS layers(chain_id TEXT PRIMARY KEY, diff_id TEXT NOT NULL, parent TEXT NOT NULL,
  bytes INTEGER NOT NULL, inodes INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS image_layers(image_id TEXT NOT NULL REFERENCES images(id) ON DELETE CASCADE,
  position INTEGER NOT NULL, chain_id TEXT NOT NULL, PRIMARY KEY(image_id, position)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS image_blobs(image_id TEXT NOT NULL REFERENCES images(id) ON DELETE CASCADE,
  digest TEXT NOT NULL, PRIMARY KEY(image_id, digest)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS snapshots(key TEXT PRIMARY KEY, image_id TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS snapshot_layers(key TEXT NOT NULL REFERENCES snapshots(key) ON DELETE CASCADE,
  position INTEGER NOT NULL, chain_id TEXT NOT NULL, PRIMARY KEY(key, position)) WITHOUT ROWID;
)";

}  // namespace

Result<std::unique_ptr<Database>> Database::open(const std::string& path) {
  TRY_ASSIGN(Sqlite sqlite, Sqlite::open(path));
  int64_t version = 0;
  {
    TRY_ASSIGN(Statement query, sqlite.prepare("PRAGMA user_version"));
    TRY(query.step());
    version = query.number(0);
  }
  if (version > kSchemaVersion) {
    return fail(Code::kFailedPrecondition, concat("open ", quote(path), ": it was written by a newer version (", version, ")"));
  }
  const auto create = [&]() -> Result<> {
    TRY(sqlite.execute(kSchema));
    return sqlite.execute(concat("PRAGMA user_version=", kSchemaVersion));
  };
  TRY(sqlite.transaction(create), concat("open ", quote(path)));
  return std::unique_ptr<Database>(new Database(std::move(sqlite)));
}

Result<std::vector<std::string>> Database::column(std::string_view sql, std::string_view parameter) {
  const std::lock_guard lock(mutex_);
  TRY_ASSIGN(Statement query, sqlite_.prepare(sql));
  if (sql.find('?') != std::string_view::npos) query.bind(parameter);
  std::vector<std::string> values;
  while (true) {
    TRY_ASSIGN(const bool more, query.step());
    if (!more) return values;
    values.push_back(query.text(0));
  }
}

Result<> Database::run(std::string_view sql, std::string_view parameter) {
  const std::lock_guard lock(mutex_);
  TRY_ASSIGN(Statement statement, sqlite_.prepare(sql));
  return statement.bind(parameter).run();
}

Result<> Database::add_image(const ImageRecord& image, const std::vector<StoredName>& names) {
  const std::lock_guard lock(mutex_);
  return sqlite_.transaction([&]() -> Result<> {
    TRY_ASSIGN(Statement insert, sqlite_.prepare("INSERT INTO images VALUES(?,?,?,?,?) ON CONFLICT(id) DO UPDATE SET created_at=excluded.created_at"));
    TRY(insert.bind(image.id).bind(image.manifest_digest).bind(image.config_json).bind(image.size).bind(image.created_at).run());
    int64_t position = 0;
    for (const auto& chain_id : image.chain) {
      TRY_ASSIGN(Statement layer, sqlite_.prepare("INSERT OR REPLACE INTO image_layers VALUES(?,?,?)"));
      TRY(layer.bind(image.id).bind(position++).bind(chain_id).run());
    }
    for (const auto& blob : image.blobs) {
      TRY_ASSIGN(Statement row, sqlite_.prepare("INSERT OR IGNORE INTO image_blobs VALUES(?,?)"));
      TRY(row.bind(image.id).bind(blob).run());
    }
    for (const auto& name : names) TRY(set_name(name, image.id));
    return {};
  });
}

Result<> Database::set_name(const StoredName& name, const std::string& image_id) {
  const std::lock_guard lock(mutex_);
  TRY_ASSIGN(Statement row, sqlite_.prepare("INSERT OR REPLACE INTO names VALUES(?,?,?)"));
  return row.bind(name.name).bind(image_id).bind(int64_t{name.is_digest}).run();
}

Result<std::optional<Image>> Database::image(const std::string& id) {
  const std::lock_guard lock(mutex_);
  TRY_ASSIGN(Statement query, sqlite_.prepare("SELECT manifest_digest, config_json, size, created_at FROM images WHERE id=?"));
  TRY_ASSIGN(const bool found, query.bind(id).step());
  if (!found) return std::nullopt;
  Image image;
  image.id = id;
  image.manifest_digest = query.text(0);
  image.config_json = query.text(1);
  image.size = query.number(2);
  image.created_at = query.number(3);
  TRY_ASSIGN(ParsedConfig parsed, parse_image_config(image.config_json), concat("image ", id));
  image.config = std::move(parsed.config);
  for (const auto& diff_id : parsed.diff_ids) image.diff_ids.push_back(diff_id.str());
  TRY_ASSIGN(image.repo_tags, column("SELECT name FROM names WHERE image_id=? AND is_digest=0 ORDER BY name", id));
  TRY_ASSIGN(image.repo_digests, column("SELECT name FROM names WHERE image_id=? AND is_digest=1 ORDER BY name", id));
  return image;
}

Result<std::optional<std::string>> Database::image_of_name(const std::string& name) {
  TRY_ASSIGN(auto ids, column("SELECT image_id FROM names WHERE name=?", name));
  if (ids.empty()) return std::nullopt;
  return std::move(ids.front());
}

Result<std::vector<std::string>> Database::ids_with_prefix(const std::string& hex_prefix) {
  return column("SELECT id FROM images WHERE id GLOB ? LIMIT 2", concat("sha256:", hex_prefix, "*"));
}

Result<std::vector<std::string>> Database::image_ids() { return column("SELECT id FROM images ORDER BY created_at DESC, id"); }
Result<> Database::remove_name(const std::string& name) { return run("DELETE FROM names WHERE name=?", name); }
Result<> Database::remove_image(const std::string& id) { return run("DELETE FROM images WHERE id=?", id); }

Result<bool> Database::has_layer(const std::string& chain_id) {
  TRY_ASSIGN(const auto found, column("SELECT 1 FROM layers WHERE chain_id=?", chain_id));
  return !found.empty();
}

Result<> Database::add_layer(const LayerRecord& layer) {
  const std::lock_guard lock(mutex_);
  TRY_ASSIGN(Statement insert, sqlite_.prepare("INSERT OR REPLACE INTO layers VALUES(?,?,?,?,?)"));
  return insert.bind(layer.chain_id).bind(layer.diff_id).bind(layer.parent).bind(layer.bytes).bind(layer.inodes).run();
}

Result<std::vector<std::string>> Database::chain_of_image(const std::string& id) {
  return column("SELECT chain_id FROM image_layers WHERE image_id=? ORDER BY position", id);
}

Result<> Database::remove_unused_layers() {
  const std::lock_guard lock(mutex_);
  return sqlite_.execute(
      "DELETE FROM layers WHERE chain_id NOT IN (SELECT chain_id FROM image_layers UNION SELECT chain_id FROM snapshot_layers)");
}

Result<std::set<std::string>> Database::layers() {
  TRY_ASSIGN(const auto ids, column("SELECT chain_id FROM layers"));
  return std::set<std::string>(ids.begin(), ids.end());
}

Result<std::set<std::string>> Database::blobs_in_use() {
  TRY_ASSIGN(const auto digests, column("SELECT DISTINCT digest FROM image_blobs"));
  return std::set<std::string>(digests.begin(), digests.end());
}

Result<LayerRecord> Database::layer_totals() {
  const std::lock_guard lock(mutex_);
  TRY_ASSIGN(Statement query, sqlite_.prepare("SELECT sum(bytes), sum(inodes) FROM layers"));
  TRY(query.step());
  LayerRecord totals;
  totals.bytes = query.number(0);
  totals.inodes = query.number(1);
  return totals;
}

Result<std::optional<std::string>> Database::snapshot_image(const std::string& key) {
  TRY_ASSIGN(auto ids, column("SELECT image_id FROM snapshots WHERE key=?", key));
  if (ids.empty()) return std::nullopt;
  return std::move(ids.front());
}

Result<> Database::add_snapshot(const std::string& key, const std::string& image_id) {
  const std::lock_guard lock(mutex_);
  return sqlite_.transaction([&]() -> Result<> {
    TRY_ASSIGN(Statement image, sqlite_.prepare("SELECT 1 FROM images WHERE id=?"));
    TRY_ASSIGN(const bool found, image.bind(image_id).step());
    if (!found) return fail(Code::kNotFound, concat("image ", quote(image_id), " does not exist"));
    TRY_ASSIGN(Statement insert, sqlite_.prepare("INSERT INTO snapshots VALUES(?,?)"));
    TRY(insert.bind(key).bind(image_id).run());
    TRY_ASSIGN(Statement copy, sqlite_.prepare("INSERT INTO snapshot_layers SELECT ?, position, chain_id FROM image_layers WHERE image_id=?"));
    return copy.bind(key).bind(image_id).run();
  });
}

Result<std::vector<std::string>> Database::snapshot_chain(const std::string& key) {
  return column("SELECT chain_id FROM snapshot_layers WHERE key=? ORDER BY position", key);
}

Result<> Database::remove_snapshot(const std::string& key) { return run("DELETE FROM snapshots WHERE key=?", key); }
Result<std::vector<std::string>> Database::snapshots() { return column("SELECT key FROM snapshots ORDER BY key"); }

}  // namespace berth::rootfs
