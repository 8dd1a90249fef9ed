// SPDX-License-Identifier: Apache-2.0
#include "agent/streaming/link.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>

#include "runtime/base/log.h"

namespace berth::streaming {
namespace {
constexpr size_t kReadBytes = 32u << 10;
}

Io read_some(int fd, std::string& bytes) {
  const size_t before = bytes.size();
  bytes.resize(before + kReadBytes);
  ssize_t got = 0;
  do got = ::read(fd, bytes.data() + before, kReadBytes);
  while (got < 0 && errno == EINTR);
  const int error = errno;
  bytes.resize(before + (got > 0 ? static_cast<size_t>(got) : 0));
  if (got > 0) return Io::kDone;
  return got < 0 && error == EAGAIN ? Io::kAgain : Io::kEnd;
}

Io write_some(int fd, std::string& bytes) {
  size_t sent = 0;
  Io result = Io::kDone;
  while (sent < bytes.size()) {
    // The session threads block SIGPIPE, for the sake of pipes.
    ssize_t n = ::send(fd, bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL);
    if (n < 0 && errno == ENOTSOCK) n = ::write(fd, bytes.data() + sent, bytes.size() - sent);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) {
      result = errno == EAGAIN ? Io::kAgain : Io::kEnd;
      break;
    }
    sent += static_cast<size_t>(n);
  }
  bytes.erase(0, sent);
  return result;
}

Result<> set_nonblocking(int fd) {
  const int flags = ::fcntl(fd, F_GETFL);
  if (flags < 0 || ::fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0) return fail_errno("set a descriptor non-blocking");
  return {};
}

short Link::events(bool want_input) const {
  return static_cast<short>((want_input ? POLLIN : POLLRDHUP) | (out_.empty() ? 0 : POLLOUT));
}

void Link::close_gently(std::chrono::milliseconds patience) {
  long long deadline = monotonic_nanos() + patience.count() * 1'000'000;
  bool shut = false;
  std::string ignored;
  for (;;) {
    if (!shut) {
      const Io io = flush();
      if (io == Io::kEnd) break;
      if (io == Io::kDone) {
        ::shutdown(socket_.get(), SHUT_WR);
        shut = true;
        deadline = monotonic_nanos() + patience.count() * 1'000'000;
      }
    }
    const long long left = (deadline - monotonic_nanos()) / 1'000'000;
    if (left <= 0) break;
    pollfd polled[] = {{socket_.get(), events(true), 0}, {stop_, POLLIN, 0}};
    if (::poll(polled, 2, static_cast<int>(left)) <= 0 || polled[1].revents != 0) break;
    if ((polled[0].revents & ~POLLOUT) != 0) {
      ignored.clear();
      if (read(ignored) == Io::kEnd) break;
    }
  }
  close();
}

}  // namespace berth::streaming
