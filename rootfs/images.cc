// SPDX-License-Identifier: Apache-2.0
#include "rootfs/images.h"

#include <algorithm>
#include <sys/stat.h>

#include "rootfs/image_store.h"
#include "rootfs/lock.h"
#include "runtime/base/log.h"
#include "runtime/base/strings.h"
#include "runtime/sys/file.h"

namespace berth::rootfs {
namespace {

constexpr size_t kIdHexSize = 64;
constexpr size_t kShortestPrefix = 3;

bool is_hex(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

}  // namespace

Result<std::unique_ptr<Images>> Images::open(ImagesConfig config) {
  while (config.root.size() > 1 && config.root.ends_with('/')) config.root.pop_back();
  const std::string where = concat("open image store ", quote(config.root));
  TRY(sys::make_directories(config.root), where);
  TRY_ASSIGN(Store store, Store::open(concat(config.root, "/content")), where);
  SnapshotLayout layout(config.root);
  TRY(layout.create(), where);
  TRY_ASSIGN(auto database, Database::open(concat(config.root, "/images.db")), where);
  // The parts that hold images are closed to others even where the administrator made the root readable.
  for (const char* part : {"/content", "/snapshots"}) {
    if (::chmod(concat(config.root, part).c_str(), 0700) != 0) return fail_errno(where);
  }
  if (::chmod(concat(config.root, "/images.db").c_str(), 0600) != 0) return fail_errno(where);
  auto images = std::make_unique<ImageStore>(std::move(config), std::move(store), std::move(layout), std::move(database));
  if (auto collected = images->collect_garbage(); !collected) {
    log_warn("leftovers of images stay for now", {{"error", collected.error().message()}});
  }
  return images;
}

// Names first: "abc" is the repository abc before it is the beginning of an id.
Result<std::optional<std::string>> ImageStore::find_id(const std::string& text) {
  const bool with_algorithm = text.starts_with("sha256:");
  const std::string digits = with_algorithm ? text.substr(7) : text;
  if (is_hex(digits) && digits.size() == kIdHexSize) {
    TRY_ASSIGN(const auto image, database_->ids_with_prefix(digits));
    return image.empty() ? std::nullopt : std::optional(image.front());
  }
  if (!with_algorithm) {
    if (const auto reference = parse_reference(text)) {
      TRY_ASSIGN(auto id, database_->image_of_name(reference->key()));
      if (id) return id;
    }
  }
  if (!is_hex(digits) || digits.size() < kShortestPrefix || digits.size() > kIdHexSize) return std::nullopt;
  TRY_ASSIGN(const auto ids, database_->ids_with_prefix(digits));
  if (ids.size() > 1) return fail(Code::kInvalidArgument, concat("find image ", quote(text), ": more than one id begins like this"));
  return ids.empty() ? std::nullopt : std::optional(ids.front());
}

Result<std::optional<Image>> ImageStore::find(const std::string& reference_or_id) {
  TRY_ASSIGN(const auto id, find_id(reference_or_id));
  if (!id) return std::nullopt;
  return database_->image(*id);
}

Result<std::vector<Image>> ImageStore::list() {
  TRY_ASSIGN(const auto ids, database_->image_ids(), "list images");
  std::vector<Image> images;
  for (const auto& id : ids) {
    auto image = database_->image(id);
    if (!image) {  // one damaged record must not hide the others
      log_warn("image record is damaged", {{"image", id}, {"error", image.error().message()}});
      continue;
    }
    if (*image) images.push_back(std::move(**image));
  }
  return images;
}

Result<> ImageStore::remove(const std::string& reference_or_id) {
  const std::string what = concat("remove image ", quote(reference_or_id));
  TRY_ASSIGN(const auto id, find_id(reference_or_id), what);
  if (!id) return {};
  TRY(database_->remove_image(*id), what);
  collect_soon();
  return {};
}

Result<std::vector<std::string>> ImageStore::untag(const std::string& reference_or_id) {
  const std::string what = concat("remove ", quote(reference_or_id));
  TRY_ASSIGN(auto found, find(reference_or_id), what);
  if (!found) return fail(Code::kNotFound, concat(what, ": no such image"));
  const Image& image = *found;
  const auto reference = parse_reference(reference_or_id);
  const std::string key = reference ? reference->key() : "";
  const bool is_tag = std::ranges::find(image.repo_tags, key) != image.repo_tags.end();
  const bool is_digest = std::ranges::find(image.repo_digests, key) != image.repo_digests.end();
  if (!is_tag && !is_digest && image.repo_tags.size() > 1) {
    return fail(Code::kFailedPrecondition, concat(what, ": the image has several tags (", join(image.repo_tags, ", "), "): name one of them"));
  }
  std::vector<std::string> report;
  const size_t tags_left = image.repo_tags.size() - (is_tag ? 1 : 0);
  if (is_tag && tags_left > 0) {
    TRY(database_->remove_name(key), what);
    return std::vector{concat("Untagged: ", key)};
  }
  if (is_digest && tags_left > 0) {
    TRY(database_->remove_name(key), what);
    return std::vector{concat("Untagged: ", key)};
  }
  for (const auto& name : image.repo_tags) report.push_back(concat("Untagged: ", name));
  for (const auto& name : image.repo_digests) report.push_back(concat("Untagged: ", name));
  TRY(database_->remove_image(image.id), what);
  report.push_back(concat("Deleted: ", image.id));
  collect_soon();
  return report;
}

Result<> ImageStore::tag(const std::string& source, const std::string& target) {
  const std::string what = concat("tag ", quote(source), " as ", quote(target));
  TRY_ASSIGN(const Reference reference, parse_reference(target), what);
  if (!reference.digest.empty()) return fail(Code::kInvalidArgument, concat(what, ": a tag cannot contain a digest"));
  TRY_ASSIGN(const auto id, find_id(source), what);
  if (!id) return fail(Code::kNotFound, concat(what, ": no such image"));
  TRY(database_->set_name({reference.key(), false}, *id), what);
  return {};
}

}  // namespace berth::rootfs
