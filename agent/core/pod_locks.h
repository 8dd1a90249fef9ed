// SPDX-License-Identifier: Apache-2.0
// PodLocks: one changing request per pod at a time, between threads and (a lock file) between processes.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "runtime/base/fd.h"
#include "runtime/base/result.h"

namespace berth::core {

// Held while it lives.
class PodLock {
 public:
  PodLock(std::shared_ptr<std::mutex> mutex, Fd file)
      : mutex_(std::move(mutex)), lock_(*mutex_, std::adopt_lock), file_(std::move(file)) {}
  PodLock(PodLock&&) = default;
  PodLock& operator=(PodLock&&) = delete;

 private:
  std::shared_ptr<std::mutex> mutex_;
  std::unique_lock<std::mutex> lock_;
  Fd file_;
};

class PodLocks {
 public:
  // `directory`: where lock files go, made when missing; empty: threads only.
  explicit PodLocks(std::string directory) : directory_(std::move(directory)) {}
  Result<PodLock> acquire(const std::string& pod_id);
  // Nothing when somebody (thread or process) holds it.
  Result<std::unique_ptr<PodLock>> try_acquire(const std::string& pod_id);
  // The pod is gone: its lock file too.
  void forget(const std::string& pod_id);

 private:
  std::shared_ptr<std::mutex> mutex_of(const std::string& pod_id);
  Result<Fd> open_file(const std::string& pod_id) const;

  std::string directory_;
  std::mutex mutex_;
  std::map<std::string, std::weak_ptr<std::mutex>> locks_;
};

}  // namespace berth::core
