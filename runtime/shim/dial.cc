// SPDX-License-Identifier: Apache-2.0
#include "runtime/shim/dial.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <cerrno>
#include <memory>

#include "runtime/base/strings.h"

namespace berth::shim {
namespace {

constexpr std::chrono::milliseconds kPatience{5000};

struct Attempt : std::enable_shared_from_this<Attempt> {
  Loop& loop;
  uint16_t port;
  std::function<void(Result<Fd>)> done;
  Fd socket;
  int family = AF_INET;
  uint64_t timer = 0;

  Attempt(Loop& l, uint16_t p, std::function<void(Result<Fd>)> d) : loop(l), port(p), done(std::move(d)) {}

  void begin() {
    socket = Fd(::socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!socket) return failed(errno);
    sockaddr_storage address{};
    socklen_t size = 0;
    if (family == AF_INET) {
      auto& in = reinterpret_cast<sockaddr_in&>(address);
      in.sin_family = AF_INET;
      in.sin_port = htons(port);
      in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
      size = sizeof in;
    } else {
      auto& in = reinterpret_cast<sockaddr_in6&>(address);
      in.sin6_family = AF_INET6;
      in.sin6_port = htons(port);
      in.sin6_addr = in6addr_loopback;
      size = sizeof in;
    }
    if (::connect(socket.get(), reinterpret_cast<sockaddr*>(&address), size) == 0) return finished();
    if (errno != EINPROGRESS) return failed(errno);
    const auto self = shared_from_this();
    if (!loop.add(socket.get(), EPOLLOUT, [self](uint32_t) { self->on_ready(); })) return failed(ENOMEM);
    timer = loop.after(kPatience, [self] { self->failed(ETIMEDOUT); });
  }

  void on_ready() {
    int error = 0;
    socklen_t size = sizeof error;
    ::getsockopt(socket.get(), SOL_SOCKET, SO_ERROR, &error, &size);
    error == 0 ? finished() : failed(error);
  }

  void release() {
    loop.cancel(timer);
    if (socket) loop.remove(socket.get());
  }

  void finished() {
    release();
    ::fcntl(socket.get(), F_SETFL, O_RDWR);
    done(std::move(socket));
  }

  void failed(int error) {
    const auto keep = weak_from_this().lock();
    release();
    socket.reset();
    if (family == AF_INET) {
      family = AF_INET6;
      return begin();
    }
    done(std::unexpected<Error>(std::in_place, Code::kUnavailable, error,
                                concat("connect to port ", port, " of the pod: ", errno_text(error))));
  }
};

}  // namespace

void dial_localhost(Loop& loop, uint16_t port, std::function<void(Result<Fd>)> done) {
  std::make_shared<Attempt>(loop, port, std::move(done))->begin();
}

}  // namespace berth::shim
