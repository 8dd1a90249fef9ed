// SPDX-License-Identifier: Apache-2.0
#include "cri/executor.h"

#include <pthread.h>

namespace berth::cri {
namespace {
// Handlers do not recurse deeply; 256 threads of the default 8 MiB would reserve 2 GiB of address space.
constexpr size_t kStackBytes = 1u << 20;
}  // namespace

Executor::Executor(Limits limits) : limits_(limits) {}

Executor::~Executor() {
  std::unique_lock lock(mutex_);
  stopping_ = true;
  wake_.notify_all();
  ended_.wait(lock, [this] { return threads_ == 0; });
}

bool Executor::post(std::function<void()> task) {
  const std::lock_guard lock(mutex_);
  if (stopping_ || queue_.size() >= limits_.queue) return false;
  // A thread that was woken but has not run yet still counts as idle: compare with what is waiting for one.
  if (idle_ <= queue_.size() && threads_ < limits_.threads && !spawn_locked() && threads_ == 0) return false;
  queue_.push_back(std::move(task));
  wake_.notify_one();
  return true;
}

size_t Executor::thread_count() const {
  const std::lock_guard lock(mutex_);
  return threads_;
}

bool Executor::spawn_locked() {
  pthread_attr_t attributes;
  if (::pthread_attr_init(&attributes) != 0) return false;
  ::pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  ::pthread_attr_setstacksize(&attributes, kStackBytes);
  pthread_t thread;
  const bool made = ::pthread_create(&thread, &attributes, &Executor::thread_main, this) == 0;
  ::pthread_attr_destroy(&attributes);
  if (made) ++threads_;
  return made;
}

void* Executor::thread_main(void* self) {
  ::pthread_setname_np(::pthread_self(), "rpc-worker");
  static_cast<Executor*>(self)->work();
  return nullptr;
}

void Executor::work() {
  std::unique_lock lock(mutex_);
  for (;;) {
    if (queue_.empty() && !stopping_) {
      ++idle_;
      const bool got = wake_.wait_for(lock, limits_.idle, [this] { return !queue_.empty() || stopping_; });
      --idle_;
      if (!got) break;
    }
    if (queue_.empty()) break;
    std::function<void()> task = std::move(queue_.front());
    queue_.pop_front();
    lock.unlock();
    task();
    task = nullptr;
    lock.lock();
  }
  --threads_;
  ended_.notify_all();
}

}  // namespace berth::cri
