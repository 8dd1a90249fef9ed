// SPDX-License-Identifier: Apache-2.0
// The one implementation of Images.
#pragma once

#include <atomic>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>

#include "rootfs/content/store.h"
#include "rootfs/database.h"
#include "rootfs/images.h"
#include "rootfs/oci/reference.h"
#include "rootfs/snapshot/layout.h"

namespace berth::rootfs {

class ImageStore final : public Images {
 public:
  ImageStore(ImagesConfig config, Store store, SnapshotLayout layout, std::unique_ptr<Database> database)
      : config_(std::move(config)), store_(std::move(store)), layout_(std::move(layout)), database_(std::move(database)) {}

  Result<Image> pull(const PullRequest& request) override;
  Result<std::optional<Image>> find(const std::string& reference_or_id) override;
  Result<std::vector<Image>> list() override;
  Result<> remove(const std::string& reference_or_id) override;
  Result<std::vector<std::string>> untag(const std::string& reference_or_id) override;
  Result<> tag(const std::string& source, const std::string& target) override;
  Result<> collect_garbage() override;
  Result<FsUsage> usage() override;
  Result<OverlayDirs> prepare_snapshot(const std::string& key, const std::string& image_id) override;
  Result<> remove_snapshot(const std::string& key) override;
  Result<std::vector<std::string>> snapshots() override;
  Result<FsUsage> snapshot_usage(const std::string& key) override;

 private:
  // A pull that others wait for.
  struct Flight {
    bool done = false;
    std::optional<Result<std::string>> result;
  };

  std::string lock_path() const { return config_.root + "/images.lock"; }
  Result<std::optional<std::string>> find_id(const std::string& text);
  Result<std::string> pull_or_join(const PullRequest& request, const Reference& reference);
  Result<std::string> pull_now(const PullRequest& request, const Reference& reference);
  // Removes what nothing refers to, unless a pull is running: then the end of that pull does it.
  void collect_soon();

  const ImagesConfig config_;
  const Store store_;
  const SnapshotLayout layout_;
  const std::unique_ptr<Database> database_;

  std::mutex flights_mutex_;
  std::condition_variable landed_;
  std::map<std::string, std::shared_ptr<Flight>> flights_;

  std::atomic<bool> garbage_{false};
  std::mutex usage_mutex_;
  long long usage_at_ = 0;  // monotonic nanoseconds of usage_, 0 before the first
  FsUsage usage_;
};

}  // namespace berth::rootfs
