// SPDX-License-Identifier: Apache-2.0
// One pull, from reference to record: resolve, choose the platform, download layers in parallel, unpack them in order as
// they arrive, record. Holds the shared lock from outside.
#pragma once

#include <condition_variable>
#include <mutex>
#include <string>
#include <vector>

#include "rootfs/content/store.h"
#include "rootfs/database.h"
#include "rootfs/oci/image_config.h"
#include "rootfs/oci/manifest.h"
#include "rootfs/oci/reference.h"
#include "rootfs/registry/client.h"
#include "rootfs/snapshot/layout.h"

namespace berth::rootfs {

// `stop` as an answer to "may this go on?": kCancelled, kDeadlineExceeded, or nothing.
std::function<Result<>()> stop_of(const PullRequest& request);

class Puller {
 public:
  Puller(const PullRequest& request, Reference reference, const std::string& config_dir, const Store& store, const SnapshotLayout& layout, Database& database)
      : request_(request), reference_(std::move(reference)), config_dir_(config_dir), store_(store), layout_(layout), database_(database), stop_(stop_of(request)) {}

  // Returns the id of the image, recorded. Not thread-safe; once per object.
  Result<std::string> run();

 private:
  Result<> resolve();
  Result<> fetch_config();
  Result<> download_and_unpack();
  void download_worker();
  Result<> download(HttpSession& session, const Descriptor& layer);
  Result<> wait_for_layer(size_t index);
  Result<> unpack(size_t index);
  Result<> record();
  void report(PullProgress::Kind kind, const Descriptor* layer = nullptr, int64_t done = 0) const;
  void give_up(Error error);

  const PullRequest& request_;
  const Reference reference_;
  const std::string& config_dir_;
  const Store& store_;
  const SnapshotLayout& layout_;
  Database& database_;
  std::function<Result<>()> stop_;

  HttpSession session_;
  std::unique_ptr<RegistryClient> client_;
  Digest top_digest_;  // of what the reference names: index or manifest
  Digest manifest_digest_;
  Manifest manifest_;
  std::string config_json_;
  ParsedConfig config_;
  std::vector<Digest> chain_;
  std::vector<std::string> blobs_;

  std::mutex mutex_;  // below
  std::condition_variable changed_;
  size_t next_download_ = 0;
  std::vector<bool> downloaded_;
  std::vector<bool> duplicate_;  // of an earlier layer of the same image
  std::optional<Error> failure_;
};

}  // namespace berth::rootfs
