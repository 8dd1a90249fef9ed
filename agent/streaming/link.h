// SPDX-License-Identifier: Apache-2.0
// Link: the socket to the client after the upgrade, without blocking. Not thread-safe.
#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "runtime/base/fd.h"
#include "runtime/base/result.h"

namespace berth::streaming {

enum class Io : unsigned char { kDone, kAgain, kEnd };

// Reads at most 32 KiB onto the end of `bytes`. kEnd: end of file or an error, which is the same here (a pty's master
// says EIO when the last process has gone).
Io read_some(int fd, std::string& bytes);
// Writes the front of `bytes` and removes it. kDone: all written.
Io write_some(int fd, std::string& bytes);
// Sets O_NONBLOCK.
Result<> set_nonblocking(int fd);

// Above this much unsent, nothing more is read from where it comes from.
inline constexpr size_t kHighWater = 256u << 10;

class Link {
 public:
  // `stop`: an eventfd that becomes readable when the server ends; borrowed.
  Link(Fd socket, int stop) : socket_(std::move(socket)), stop_(stop) {}
  Link(const Link&) = delete;
  Link& operator=(const Link&) = delete;

  int fd() const { return socket_.get(); }
  int stop() const { return stop_; }
  std::string& out() { return out_; }
  const std::string& out() const { return out_; }
  // Events for poll(2): reading when `want_input`, else only whether the client has gone; writing when there is
  // something to send.
  short events(bool want_input) const;
  Io read(std::string& bytes) { return read_some(socket_.get(), bytes); }
  Io flush() { return write_some(socket_.get(), out_); }

  // Sends what is left, says "no more", and waits for the client to close, so that a reset does not overtake the last
  // bytes. Each step has `patience` at most.
  void close_gently(std::chrono::milliseconds patience);
  void close() { socket_.reset(); }

 private:
  Fd socket_;
  const int stop_;
  std::string out_;
};

}  // namespace berth::streaming
