// SPDX-License-Identifier: Apache-2.0
// A container's output to its log and to whoever is attached, and an attachment's input to the container.
//
// The container is never held up by a reader: what a slow attachment has not taken beyond a bound is left out for it —
// unless it asked to be lossless, then the container waits as it would on a pipe. Objects live on the loop's thread.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "runtime/base/fd.h"
#include "runtime/base/result.h"
#include "runtime/shim/cri_log.h"
#include "runtime/shim/loop.h"

namespace berth::shim {

// A non-blocking descriptor for the same file without changing the file description that others share (a terminal,
// say).
Fd nonblocking_copy(Fd fd, int access);

// A descriptor written without blocking, with a bounded queue.
class Sink : public std::enable_shared_from_this<Sink> {
 public:
  static constexpr size_t kBound = 1u << 20;

  Sink(Loop& loop, Fd fd, bool lossless) : loop_(loop), fd_(std::move(fd)), lossless_(lossless) {}
  ~Sink() { close_now(); }
  Sink(const Sink&) = delete;
  Sink& operator=(const Sink&) = delete;

  void open();
  void write(std::string_view data);
  // No more will come: closes once the queue has gone out (the object keeps itself alive until then).
  void finish();
  bool closed() const { return !fd_; }
  bool full() const { return lossless_ && !closed() && queue_.size() >= kBound; }
  // Called when a full sink has room again, or has closed.
  std::function<void()> on_room;

 private:
  void on_ready(uint32_t events);
  void flush();
  void close_now();

  Loop& loop_;
  Fd fd_;
  bool lossless_;
  bool watched_ = false;
  bool finishing_ = false;
  std::string queue_;
  std::shared_ptr<Sink> self_;  // while finishing
};

// One of a container's output streams.
class Output {
 public:
  // `log` may be null; it outlives this object.
  Output(Loop& loop, Fd source, Stream stream, CriLog* log)
      : loop_(loop), source_(std::move(source)), stream_(stream), log_(log) {}
  ~Output() { finish(); }
  Output(const Output&) = delete;
  Output& operator=(const Output&) = delete;

  Result<> open();
  void attach(std::shared_ptr<Sink> sink);
  // Takes what the source holds now, up to a bound, not waiting for writers that are still there.
  void drain();
  // Ends the stream: log's last line, sinks closed, source closed.
  void finish();
  bool ended() const { return !source_; }

 private:
  bool read_some();  // false: nothing there, or the end
  void on_ready();
  void update_flow();

  Loop& loop_;
  Fd source_;
  Stream stream_;
  CriLog* log_;
  bool paused_ = false;
  std::vector<std::shared_ptr<Sink>> sinks_;
};

// The container's standard input and the attachments that feed it.
class Input {
 public:
  Input(Loop& loop, Fd target, bool once) : loop_(loop), target_(std::move(target)), once_(once) {}
  ~Input() { close(); }
  Input(const Input&) = delete;
  Input& operator=(const Input&) = delete;

  void attach(Fd source);
  void close();

 private:
  struct Source {
    Fd fd;
  };
  void on_source(const std::shared_ptr<Source>& source);
  void pump(const std::shared_ptr<Source>& source);
  void drop(const std::shared_ptr<Source>& source);
  void write_pending();
  void set_reading(bool on);
  bool watch(const std::shared_ptr<Source>& source);

  Loop& loop_;
  Fd target_;
  bool once_;
  bool close_when_flushed_ = false;
  std::string pending_;
  std::vector<std::shared_ptr<Source>> sources_;
  std::shared_ptr<int> alive_ = std::make_shared<int>(0);  // timers check it
};

}  // namespace berth::shim
