// SPDX-License-Identifier: Apache-2.0
#include "agent/core/pod_locks.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>

#include "runtime/base/strings.h"
#include "runtime/sys/file.h"

namespace berth::core {

std::shared_ptr<std::mutex> PodLocks::mutex_of(const std::string& pod_id) {
  const std::lock_guard lock(mutex_);
  std::erase_if(locks_, [](const auto& entry) { return entry.second.expired(); });
  std::weak_ptr<std::mutex>& slot = locks_[pod_id];
  std::shared_ptr<std::mutex> found = slot.lock();
  if (found == nullptr) {
    found = std::make_shared<std::mutex>();
    slot = found;
  }
  return found;
}

Result<Fd> PodLocks::open_file(const std::string& pod_id) const {
  if (directory_.empty()) return Fd();
  TRY(sys::make_directories(directory_));
  return sys::open_path(concat(directory_, "/", pod_id), O_RDWR | O_CREAT, 0600);
}

Result<PodLock> PodLocks::acquire(const std::string& pod_id) {
  std::shared_ptr<std::mutex> mutex = mutex_of(pod_id);
  mutex->lock();
  auto file = open_file(pod_id);
  int result = file ? 0 : -1;
  if (file && file->valid()) {
    do {
      result = ::flock(file->get(), LOCK_EX);
    } while (result != 0 && errno == EINTR);
  }
  if (result != 0) {
    mutex->unlock();
    if (!file) return std::unexpected(std::move(file).error());
    return fail_errno(concat("lock pod ", quote(pod_id)));
  }
  return PodLock(std::move(mutex), std::move(*file));
}

Result<std::unique_ptr<PodLock>> PodLocks::try_acquire(const std::string& pod_id) {
  std::shared_ptr<std::mutex> mutex = mutex_of(pod_id);
  if (!mutex->try_lock()) return nullptr;
  auto file = open_file(pod_id);
  const bool locked = file && (!file->valid() || ::flock(file->get(), LOCK_EX | LOCK_NB) == 0);
  if (!locked) {
    mutex->unlock();
    if (!file) return std::unexpected(std::move(file).error());
    return nullptr;
  }
  return std::make_unique<PodLock>(std::move(mutex), std::move(*file));
}

void PodLocks::forget(const std::string& pod_id) {
  if (!directory_.empty()) ::unlink(concat(directory_, "/", pod_id).c_str());
}

}  // namespace berth::core
