// SPDX-License-Identifier: Apache-2.0
#include "runtime/shim/oom_watch.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "runtime/base/strings.h"
#include "runtime/sys/file.h"

namespace berth::shim {

OomWatch::~OomWatch() {
  if (counter_) loop_.remove(counter_.get());
  if (event_) loop_.remove(event_.get());
  loop_.cancel(timer_);
}

void OomWatch::open(const std::map<std::string, std::string>& cgroups, std::function<void()> on_oom) {
  on_oom_ = std::move(on_oom);
  const auto v1 = cgroups.find("memory");
  const auto v2 = cgroups.find("");
  if (v1 == cgroups.end() && v2 == cgroups.end()) return;
  const std::string& dir = v1 != cgroups.end() ? v1->second : v2->second;
  if (v1 == cgroups.end()) {
    counter_ = Fd(::open(concat(dir, "/memory.events").c_str(), O_RDONLY | O_CLOEXEC));
    if (!counter_) return;
    seen_ = count();
    [[maybe_unused]] const auto watched = loop_.add(counter_.get(), EPOLLPRI, [this](uint32_t) { count(); });
    return;
  }
  counter_ = Fd(::open(concat(dir, "/memory.oom_control").c_str(), O_RDONLY | O_CLOEXEC));
  event_ = Fd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  const Fd control(::open(concat(dir, "/cgroup.event_control").c_str(), O_WRONLY | O_CLOEXEC));
  if (!counter_ || !event_ || !control) return;
  const auto registration = concat(event_.get(), " ", counter_.get());
  if (!sys::write_all(control.get(), registration)) return;
  [[maybe_unused]] const auto watched = loop_.add(event_.get(), EPOLLIN, [this](uint32_t) {
    uint64_t times = 0;
    [[maybe_unused]] const ssize_t got = ::read(event_.get(), &times, sizeof times);
    count();
    // v1 tells before it kills: look again when it surely has.
    loop_.cancel(timer_);
    timer_ = loop_.after(std::chrono::milliseconds(100), [this] { count(); });
  });
}

uint64_t OomWatch::count() {
  if (!counter_) return 0;
  char text[1024];
  const ssize_t got = ::pread(counter_.get(), text, sizeof text, 0);
  if (got <= 0) return seen_;  // the cgroup has gone
  for (const auto line : split(std::string_view(text, static_cast<size_t>(got)), '\n')) {
    if (!line.starts_with("oom_kill ")) continue;
    const uint64_t now = parse_uint64(line.substr(9)).value_or(0);
    const bool grown = now > seen_;
    seen_ = std::max(seen_, now);
    if (grown && on_oom_) on_oom_();
  }
  return seen_;
}

}  // namespace berth::shim
