// SPDX-License-Identifier: Apache-2.0
#include "runtime/shim/streams.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "runtime/base/log.h"
#include "runtime/sys/path.h"

namespace berth::shim {
namespace {

constexpr size_t kChunk = 64 * 1024;
char chunk[kChunk];  // single-threaded: one buffer for every read

}  // namespace

Fd nonblocking_copy(Fd fd, int access) {
  struct stat info{};
  if (::fstat(fd.get(), &info) != 0 || S_ISREG(info.st_mode))
    return fd;  // a file's offset must stay shared, and never blocks
  if (!S_ISSOCK(info.st_mode)) {
    Fd copy(::open(sys::fd_path(fd.get()).c_str(), access | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
    if (copy) return copy;
  }
  ::fcntl(fd.get(), F_SETFL, ::fcntl(fd.get(), F_GETFL) | O_NONBLOCK);
  return fd;
}

// ---- Sink
// -------------------------------------------------------------------------------------------------------------

void Sink::open() {
  // No event asked for: a reader that goes away is reported all the same.
  watched_ = loop_.add(fd_.get(), 0, [this](uint32_t events) { on_ready(events); }).has_value();
}

void Sink::on_ready(uint32_t events) {
  const auto keep = weak_from_this().lock();
  if ((events & (EPOLLERR | EPOLLHUP)) != 0) {
    close_now();
  } else {
    flush();
  }
  if (on_room && !full()) on_room();
}

void Sink::write(std::string_view data) {
  if (closed() || finishing_) return;
  if (queue_.empty()) {
    while (!data.empty()) {
      const ssize_t put = ::write(fd_.get(), data.data(), data.size());
      if (put < 0 && errno == EINTR) continue;
      if (put < 0 && errno != EAGAIN) return close_now();
      if (put < 0) break;
      data.remove_prefix(static_cast<size_t>(put));
    }
  }
  if (data.empty()) return;
  if (!lossless_ && queue_.size() + data.size() > kBound) return;
  queue_ += data;
  loop_.modify(fd_.get(), EPOLLOUT);
}

void Sink::flush() {
  size_t done = 0;
  while (done < queue_.size()) {
    const ssize_t put = ::write(fd_.get(), queue_.data() + done, queue_.size() - done);
    if (put < 0 && errno == EINTR) continue;
    if (put < 0 && errno != EAGAIN) return close_now();
    if (put < 0) break;
    done += static_cast<size_t>(put);
  }
  queue_.erase(0, done);
  if (!queue_.empty()) return;
  queue_ = std::string();
  if (finishing_) return close_now();
  loop_.modify(fd_.get(), 0);
}

void Sink::finish() {
  if (closed()) return;
  on_room = nullptr;
  if (queue_.empty() || !watched_) return close_now();
  finishing_ = true;
  self_ = weak_from_this().lock();
}

void Sink::close_now() {
  if (!fd_) return;
  if (watched_) loop_.remove(fd_.get());
  fd_.reset();
  queue_ = std::string();
  if (self_) loop_.defer([self = std::move(self_)] {});
}

// ---- Output
// -----------------------------------------------------------------------------------------------------------

Result<> Output::open() {
  ::fcntl(source_.get(), F_SETFL, ::fcntl(source_.get(), F_GETFL) | O_NONBLOCK);
  return loop_.add(source_.get(), EPOLLIN, [this](uint32_t) { on_ready(); });
}

void Output::attach(std::shared_ptr<Sink> sink) {
  if (!source_) return sink->finish();
  sink->open();
  sink->on_room = [this] { update_flow(); };
  sinks_.push_back(std::move(sink));
}

bool Output::read_some() {
  while (true) {
    const ssize_t got = ::read(source_.get(), chunk, kChunk);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && errno == EAGAIN) return false;
    if (got <= 0) {  // EIO is how a pty says that its last slave has closed
      finish();
      return false;
    }
    const std::string_view data(chunk, static_cast<size_t>(got));
    if (log_ != nullptr) log_->append(stream_, data);
    for (const auto& sink : sinks_) sink->write(data);
    return true;
  }
}

void Output::on_ready() {
  // A few reads, so that one loud container does not starve the others.
  for (int i = 0; i < 8 && source_ && !paused_; ++i) {
    if (!read_some()) break;
    update_flow();
  }
}

void Output::update_flow() {
  std::erase_if(sinks_, [](const auto& sink) { return sink->closed(); });
  if (!source_) return;
  const bool full = std::any_of(sinks_.begin(), sinks_.end(), [](const auto& sink) { return sink->full(); });
  if (full == paused_) return;
  paused_ = full;
  // Removed rather than masked: a hang-up is reported for as long as the descriptor is watched.
  if (paused_) {
    loop_.remove(source_.get());
  } else if (auto added = loop_.add(source_.get(), EPOLLIN, [this](uint32_t) { on_ready(); }); !added) {
    finish();
  }
}

void Output::drain() {
  constexpr int kReads = 1024;  // 64 MiB: far above any pipe, in case a writer that remains goes on writing
  for (int i = 0; i < kReads && source_; ++i) {
    if (!read_some()) return;
  }
}

void Output::finish() {
  if (!source_) return;
  loop_.remove(source_.get());
  source_.reset();
  if (log_ != nullptr) log_->finish(stream_);
  for (const auto& sink : sinks_) sink->finish();
  sinks_.clear();
}

// ---- Input
// ------------------------------------------------------------------------------------------------------------

bool Input::watch(const std::shared_ptr<Source>& source) {
  return loop_.add(source->fd.get(), EPOLLIN, [this, source](uint32_t) { on_source(source); }).has_value();
}

void Input::attach(Fd fd) {
  auto source = std::make_shared<Source>(Source{nonblocking_copy(std::move(fd), O_RDONLY)});
  if (!target_ || close_when_flushed_) return;  // dropping it tells the writer with EPIPE
  sources_.push_back(source);
  if (pending_.empty() && !watch(source)) pump(source);
}

// Regular files are always ready and cannot be watched: they are read by and by.
void Input::pump(const std::shared_ptr<Source>& source) {
  if (!source->fd) return;
  if (pending_.empty()) on_source(source);
  if (!source->fd || !target_) return;
  loop_.after(std::chrono::milliseconds(pending_.empty() ? 0 : 5), [this, source, alive = std::weak_ptr<int>(alive_)] {
    if (!alive.expired()) pump(source);
  });
}

void Input::on_source(const std::shared_ptr<Source>& source) {
  const auto keep = source;
  const ssize_t got = ::read(keep->fd.get(), chunk, kChunk);
  if (got < 0 && (errno == EINTR || errno == EAGAIN)) return;
  if (got <= 0) return drop(keep);
  pending_.append(chunk, static_cast<size_t>(got));
  write_pending();
}

void Input::drop(const std::shared_ptr<Source>& source) {
  const auto keep = source;
  loop_.remove(keep->fd.get());
  keep->fd.reset();
  std::erase(sources_, keep);
  if (!once_) return;
  close_when_flushed_ = true;
  if (pending_.empty()) close();
}

void Input::set_reading(bool on) {
  const auto sources = sources_;
  for (const auto& source : sources) {
    if (!on) {
      loop_.remove(source->fd.get());
    } else if (!loop_.watches(source->fd.get())) {
      [[maybe_unused]] const bool watched = watch(source);
    }
  }
}

void Input::write_pending() {
  size_t done = 0;
  while (done < pending_.size()) {
    const ssize_t put = ::write(target_.get(), pending_.data() + done, pending_.size() - done);
    if (put < 0 && errno == EINTR) continue;
    if (put < 0 && errno != EAGAIN) return close();  // the container has closed its input
    if (put < 0) break;
    done += static_cast<size_t>(put);
  }
  pending_.erase(0, done);
  if (!pending_.empty()) {
    if (loop_.watches(target_.get())) return;
    set_reading(false);
    if (!loop_.add(target_.get(), EPOLLOUT, [this](uint32_t) { write_pending(); })) close();
    return;
  }
  loop_.remove(target_.get());
  if (close_when_flushed_) return close();
  set_reading(true);
}

void Input::close() {
  if (!target_) return;
  for (const auto& source : sources_) {
    if (source->fd) loop_.remove(source->fd.get());
    source->fd.reset();
  }
  sources_.clear();
  pending_ = std::string();
  loop_.remove(target_.get());
  // Hanging up a pty's master would end its session: a terminal's end of input is a character that only people type.
  target_.reset();
}

}  // namespace berth::shim
