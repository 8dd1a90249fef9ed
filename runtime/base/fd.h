// SPDX-License-Identifier: Apache-2.0
// Fd owns one descriptor. Move-only; closed once and never retried on EINTR (on Linux the number may already be another's).
#pragma once

#include <utility>

namespace berth {

class Fd {
 public:
  Fd() = default;
  explicit Fd(int fd) : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&& other) noexcept {
    if (this != &other) {
      reset();
      fd_ = std::exchange(other.fd_, -1);
    }
    return *this;
  }
  Fd(const Fd&) = delete;
  Fd& operator=(const Fd&) = delete;
  ~Fd() { reset(); }

  int get() const { return fd_; }
  bool valid() const { return fd_ >= 0; }
  explicit operator bool() const { return valid(); }

  // Gives the descriptor away; the only way out of ownership.
  [[nodiscard]] int release() { return std::exchange(fd_, -1); }
  // Closes now; errno is preserved.
  void reset();

 private:
  int fd_ = -1;
};

}  // namespace berth
