// SPDX-License-Identifier: Apache-2.0
#include "rootfs/pull.h"

#include <fcntl.h>
#include <thread>

#include "runtime/base/log.h"
#include "runtime/base/strings.h"

namespace berth::rootfs {
namespace {

constexpr size_t kParallelDownloads = 3;
constexpr int64_t kProgressStep = 256 << 10;  // bytes between two reports of one layer

}  // namespace

std::function<Result<>()> stop_of(const PullRequest& request) {
  const long long deadline = request.timeout.count() > 0 ? monotonic_nanos() + request.timeout.count() * 1'000'000 : 0;
  return [cancelled = request.cancelled, deadline]() -> Result<> {
    if (cancelled != nullptr && cancelled->load(std::memory_order_relaxed)) return fail(Code::kCancelled, "cancelled");
    if (deadline != 0 && monotonic_nanos() >= deadline) return fail(Code::kDeadlineExceeded, "the deadline passed");
    return {};
  };
}

void Puller::report(PullProgress::Kind kind, const Descriptor* layer, int64_t done) const {
  if (!request_.progress) return;
  PullProgress progress{kind, "", done, 0};
  if (layer != nullptr) {
    progress.digest = layer->digest.str();
    progress.total = layer->size;
  }
  request_.progress(progress);
}

Result<std::string> Puller::run() {
  report(PullProgress::Kind::kResolving);
  Patience patience;
  patience.stop = [this]() -> Result<> {
    TRY(stop_());
    const std::lock_guard lock(mutex_);
    if (failure_) return fail(Code::kAborted, "another layer failed");
    return {};
  };
  TRY_ASSIGN(client_, RegistryClient::create(config_dir_, reference_, request_.auth, std::move(patience)));
  TRY(resolve());
  TRY(fetch_config());
  TRY(download_and_unpack());
  TRY(record());
  report(PullProgress::Kind::kDone);
  return manifest_.config.digest.str();
}

Result<> Puller::resolve() {
  Platform wanted = machine_platform();
  if (!request_.platform.empty()) {
    TRY_ASSIGN(wanted, parse_platform(request_.platform));
  }
  TRY_ASSIGN(const std::string bytes, client_->manifest(session_, reference_.digest.empty() ? reference_.tag : reference_.digest));
  TRY_ASSIGN(manifest_, parse_manifest(bytes));
  top_digest_ = manifest_digest_ = Digest::of(bytes);
  TRY(store_.add_blob(top_digest_, bytes));
  blobs_.push_back(top_digest_.str());
  if (!manifest_.is_index) return {};
  TRY_ASSIGN(const Descriptor chosen, choose_platform(manifest_, wanted));
  TRY_ASSIGN(const std::string inner, client_->manifest(session_, chosen.digest.str()));
  if (static_cast<int64_t>(inner.size()) != chosen.size) {
    return fail(Code::kDataLoss, concat("manifest ", chosen.digest.str(), ": expected ", chosen.size, " bytes, got ", inner.size()));
  }
  TRY_ASSIGN(manifest_, parse_manifest(inner));
  if (manifest_.is_index) return fail(Code::kInvalidArgument, "the index lists another index for this platform");
  manifest_digest_ = chosen.digest;
  TRY(store_.add_blob(manifest_digest_, inner));
  blobs_.push_back(manifest_digest_.str());
  return {};
}

Result<> Puller::fetch_config() {
  const Descriptor& descriptor = manifest_.config;
  auto bytes = store_.has(descriptor.digest) ? store_.read_blob(descriptor.digest, kMaxConfigBytes) : Result<std::string>(fail(Code::kNotFound, ""));
  if (!bytes) {
    TRY(client_->blob(session_, store_, descriptor, {}), "config");
    bytes = store_.read_blob(descriptor.digest, kMaxConfigBytes);
  }
  TRY(bytes, "config");
  config_json_ = std::move(*bytes);
  TRY_ASSIGN(config_, parse_image_config(config_json_));
  if (config_.diff_ids.size() != manifest_.layers.size()) {
    return fail(Code::kInvalidArgument, concat("the manifest has ", manifest_.layers.size(), " layers, the image config ", config_.diff_ids.size()));
  }
  TRY_ASSIGN(const Platform wanted, request_.platform.empty() ? Result<Platform>(machine_platform()) : parse_platform(request_.platform));
  const Platform offered{config_.config.os, config_.config.architecture, ""};
  if (!offered.os.empty() && !offered.architecture.empty() && (Platform{wanted.os, wanted.architecture, ""}.str() != offered.str()) && platform_fit(wanted, offered) == 0) {
    return fail(Code::kNotFound, concat("no image for platform ", wanted.str(), ", offered: ", offered.str()));
  }
  chain_ = chain_ids(config_.diff_ids);
  blobs_.push_back(descriptor.digest.str());
  for (const auto& layer : manifest_.layers) blobs_.push_back(layer.digest.str());
  return {};
}

void Puller::give_up(Error error) {
  const std::lock_guard lock(mutex_);
  // The first failure is the cause; "another layer failed" is only its echo.
  if (!failure_) failure_ = std::move(error);
  changed_.notify_all();
}

Result<> Puller::download(HttpSession& session, const Descriptor& layer) {
  if (store_.has(layer.digest)) {
    TRY_ASSIGN(const int64_t size, store_.blob_size(layer.digest));
    if (size != layer.size) return fail(Code::kDataLoss, concat("blob ", layer.digest.str(), ": expected ", layer.size, " bytes, got ", size));
    report(PullProgress::Kind::kLayerExists, &layer, layer.size);
    return {};
  }
  report(PullProgress::Kind::kLayerDownloading, &layer);
  const auto progress = [&, last = int64_t{0}](int64_t done) mutable {
    if (done - last >= kProgressStep || done < last) report(PullProgress::Kind::kLayerDownloading, &layer, last = done);
  };
  TRY(client_->blob(session, store_, layer, progress), "layer");
  report(PullProgress::Kind::kLayerDownloaded, &layer, layer.size);
  return {};
}

void Puller::download_worker() {
  HttpSession session;
  while (true) {
    size_t index = 0;
    {
      const std::lock_guard lock(mutex_);
      if (failure_ || next_download_ >= manifest_.layers.size()) return;
      index = next_download_++;
      // The same layer twice in one image is fetched once.
      for (size_t earlier = 0; earlier < index; ++earlier) {
        if (manifest_.layers[earlier].digest == manifest_.layers[index].digest) duplicate_[index] = true;
      }
      if (duplicate_[index]) continue;
    }
    auto done = download(session, manifest_.layers[index]);
    if (!done) return give_up(std::move(done).error());
    const std::lock_guard lock(mutex_);
    downloaded_[index] = true;
    changed_.notify_all();
  }
}

Result<> Puller::wait_for_layer(size_t index) {
  std::unique_lock lock(mutex_);
  size_t first = 0;
  while (manifest_.layers[first].digest != manifest_.layers[index].digest) ++first;
  while (!downloaded_[first]) {
    if (failure_) return std::unexpected(*failure_);
    changed_.wait_for(lock, std::chrono::milliseconds(50));
    TRY(stop_());
  }
  return {};
}

Result<> Puller::unpack(size_t index) {
  const Descriptor& layer = manifest_.layers[index];
  const std::string chain_id = chain_[index].str();
  TRY_ASSIGN(const bool present, database_.has_layer(chain_id));
  if (present) {
    report(PullProgress::Kind::kLayerDone, &layer, layer.size);
    return {};
  }
  report(PullProgress::Kind::kLayerUnpacking, &layer);
  UnpackOptions options;
  options.compressed = layer.digest;
  options.diff_id = config_.diff_ids[index];
  options.check = stop_;
  options.progress = [&, last = int64_t{0}](int64_t done) mutable {
    if (done - last >= kProgressStep) report(PullProgress::Kind::kLayerUnpacking, &layer, last = done);
  };
  std::vector<std::string> lower;
  for (size_t i = 0; i < index; ++i) lower.push_back(chain_[i].str());
  SnapshotLayout::LayerRecords records;
  records.exists = [&] { return database_.has_layer(chain_id); };
  records.add = [&](const TreeSize& size) {
    return database_.add_layer({chain_id, options.diff_id.str(), index == 0 ? "" : chain_[index - 1].str(), static_cast<int64_t>(size.bytes), static_cast<int64_t>(size.inodes)});
  };
  TRY_ASSIGN(const Fd blob, store_.open_blob(layer.digest));
  FileSource source(blob.get());
  auto unpacked = layout_.add_layer(chain_id, source, lower, options, records);
  if (!unpacked) {
    // A blob that no longer has its digest, or does not hold what it should, is fetched anew next time.
    if (unpacked.error().code() == Code::kDataLoss) TRY(store_.remove(layer.digest));
    return std::unexpected(std::move(unpacked).error().wrap(concat("layer ", layer.digest.str())));
  }
  report(PullProgress::Kind::kLayerDone, &layer, layer.size);
  return {};
}

Result<> Puller::download_and_unpack() {
  const size_t count = manifest_.layers.size();
  downloaded_.assign(count, false);
  duplicate_.assign(count, false);
  std::vector<std::jthread> workers;
  for (size_t i = 0; i < std::min(kParallelDownloads, count); ++i) workers.emplace_back([this] { download_worker(); });
  const auto each = [&]() -> Result<> {
    for (size_t i = 0; i < count; ++i) {
      TRY(wait_for_layer(i));
      TRY(unpack(i));
    }
    return {};
  };
  auto done = each();
  if (!done) give_up(done.error());
  workers.clear();
  return done;
}

Result<> Puller::record() {
  ImageRecord image;
  image.id = manifest_.config.digest.str();
  image.manifest_digest = manifest_digest_.str();
  image.config_json = config_json_;
  image.size = manifest_.config.size;
  for (const auto& layer : manifest_.layers) image.size += layer.size;
  image.created_at = realtime_nanos();
  for (const auto& chain_id : chain_) image.chain.push_back(chain_id.str());
  image.blobs = blobs_;
  std::vector<StoredName> names = {{concat(reference_.name(), "@", top_digest_.str()), true}};
  if (reference_.digest.empty()) names.push_back({concat(reference_.name(), ":", reference_.tag), false});
  return database_.add_image(image, names);
}

}  // namespace berth::rootfs
