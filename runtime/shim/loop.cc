// SPDX-License-Identifier: Apache-2.0
#include "runtime/shim/loop.h"

#include <sys/epoll.h>

#include <algorithm>
#include <cerrno>

#include "runtime/base/log.h"

namespace berth::shim {

Result<> Loop::open() {
  epoll_ = Fd(::epoll_create1(EPOLL_CLOEXEC));
  if (!epoll_) return fail_errno("epoll_create");
  return {};
}

Result<> Loop::add(int fd, uint32_t events, Handler handler) {
  const uint32_t generation = ++generation_;
  epoll_event event{};
  event.events = events;
  event.data.u64 = (static_cast<uint64_t>(generation) << 32) | static_cast<uint32_t>(fd);
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0) return fail_errno("watch descriptor");
  entries_[fd] = Entry{generation, std::make_shared<Handler>(std::move(handler))};
  return {};
}

void Loop::modify(int fd, uint32_t events) {
  const auto entry = entries_.find(fd);
  if (entry == entries_.end()) return;
  epoll_event event{};
  event.events = events;
  event.data.u64 = (static_cast<uint64_t>(entry->second.generation) << 32) | static_cast<uint32_t>(fd);
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, fd, &event);
}

void Loop::remove(int fd) {
  if (entries_.erase(fd) != 0) ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr);
}

uint64_t Loop::after(std::chrono::milliseconds delay, Step step) {
  timers_[++last_timer_] = {monotonic_nanos() + delay.count() * 1'000'000LL, std::move(step)};
  return last_timer_;
}

void Loop::cancel(uint64_t timer) { timers_.erase(timer); }

int Loop::next_timeout() const {
  if (timers_.empty()) return -1;
  long long first = INT64_MAX;
  for (const auto& [id, timer] : timers_) first = std::min(first, timer.first);
  const long long left = first - monotonic_nanos();
  return left <= 0 ? 0 : static_cast<int>(std::min((left + 999'999) / 1'000'000, 3'600'000LL));
}

void Loop::run_timers() {
  const long long now = monotonic_nanos();
  std::vector<uint64_t> due;
  for (const auto& [id, timer] : timers_) {
    if (timer.first <= now) due.push_back(id);
  }
  for (const uint64_t id : due) {
    const auto timer = timers_.find(id);
    if (timer == timers_.end()) continue;
    const Step step = std::move(timer->second.second);
    timers_.erase(timer);
    step();
  }
}

void Loop::run_deferred() {
  while (!deferred_.empty()) {
    const auto steps = std::exchange(deferred_, {});
    for (const auto& step : steps) step();
  }
}

void Loop::run() {
  epoll_event events[32];
  while (running_) {
    run_deferred();
    const int count = ::epoll_wait(epoll_.get(), events, 32, next_timeout());
    if (count < 0 && errno != EINTR) {
      log_error("epoll failed", {{"error", errno_text(errno)}});
      return;
    }
    for (int i = 0; i < count && running_; ++i) {
      const auto entry = entries_.find(static_cast<int>(events[i].data.u64 & 0xffffffffu));
      if (entry == entries_.end() || entry->second.generation != events[i].data.u64 >> 32) continue;
      const auto handler = entry->second.handler;  // outlives its own removal
      (*handler)(events[i].events);
    }
    run_timers();
  }
}

}  // namespace berth::shim
