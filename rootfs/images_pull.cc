// SPDX-License-Identifier: Apache-2.0
// Joining of pulls: one thread flies, the others wait for its result with their own deadlines.
#include <chrono>

#include "rootfs/image_store.h"
#include "rootfs/lock.h"
#include "rootfs/pull.h"
#include "runtime/base/log.h"
#include "runtime/base/strings.h"

namespace berth::rootfs {
namespace {

// Only pulls that would do the same join: other credentials may see another registry.
std::string flight_key(const PullRequest& request, const Reference& reference) {
  const RegistryAuth& auth = request.auth;
  const std::string secret = concat(auth.username, "\n", auth.password, "\n", auth.identity_token, "\n", auth.registry_token);
  return concat(reference.str(), " ", request.platform, " ", Digest::of(secret).str());
}

bool ended_by_caller(const Error& error) { return error.code() == Code::kCancelled || error.code() == Code::kDeadlineExceeded; }

}  // namespace

Result<Image> ImageStore::pull(const PullRequest& request) {
  TRY_ASSIGN(const Reference reference, parse_reference(request.reference), "pull");
  const std::string what = concat("pull ", quote(reference.str()));
  TRY_ASSIGN(const std::string id, pull_or_join(request, reference), what);
  TRY_ASSIGN(auto image, database_->image(id), what);
  if (!image) return fail(Code::kAborted, concat(what, ": the image was removed meanwhile"));
  return std::move(*image);
}

Result<std::string> ImageStore::pull_or_join(const PullRequest& request, const Reference& reference) {
  const std::string key = flight_key(request, reference);
  const auto stop = stop_of(request);
  while (true) {
    std::unique_lock lock(flights_mutex_);
    auto& slot = flights_[key];
    if (slot == nullptr) {
      const auto flight = slot = std::make_shared<Flight>();
      lock.unlock();
      auto result = pull_now(request, reference);
      lock.lock();
      flight->result = result;
      flight->done = true;
      flights_.erase(key);
      landed_.notify_all();
      return result;
    }
    const auto flight = slot;
    while (!flight->done) {
      landed_.wait_for(lock, std::chrono::milliseconds(50));
      TRY(stop());
    }
    // The one who flew ran out of its own time or was cancelled: that is not our answer.
    if (!*flight->result && ended_by_caller(flight->result->error())) continue;
    if (*flight->result && request.progress) request.progress({PullProgress::Kind::kDone, "", 0, 0});
    return *flight->result;
  }
}

Result<std::string> ImageStore::pull_now(const PullRequest& request, const Reference& reference) {
  Result<std::string> result = fail(Code::kInternal, "");
  {
    TRY_ASSIGN(const Fd lock, lock_shared(lock_path(), stop_of(request)));
    Puller puller(request, reference, config_.registry_config_dir, store_, layout_, *database_);
    result = puller.run();
    // A layer recorded for an image that never came is garbage too.
    if (!result) garbage_ = true;
  }
  if (garbage_.exchange(false)) collect_soon();
  return result;
}

}  // namespace berth::rootfs
