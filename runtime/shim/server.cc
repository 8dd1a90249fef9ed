// SPDX-License-Identifier: Apache-2.0
#include "runtime/shim/server.h"

#include <sys/epoll.h>
#include <sys/socket.h>

#include <cerrno>

#include "runtime/base/log.h"
#include "runtime/base/strings.h"
#include "runtime/shim/json_fields.h"
#include "runtime/sys/socket.h"

namespace berth::shim {

Result<> Server::open(const std::string& path) {
  TRY_ASSIGN(listener_, sys::listen_unix(path, SOCK_SEQPACKET | SOCK_NONBLOCK, 0600));
  return loop_.add(listener_.get(), EPOLLIN, [this](uint32_t) { accept_one(); });
}

void Server::close() {
  if (listener_) loop_.remove(listener_.get());
  listener_.reset();
  while (!connections_.empty()) drop(connections_.begin()->first);
}

void Server::accept_one() {
  Fd fd(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (!fd) {
    if (errno != EMFILE && errno != ENFILE) return;
    // The listener stays readable: without a pause this would spin until a descriptor is free.
    loop_.remove(listener_.get());
    loop_.after(std::chrono::milliseconds(100), [this] {
      if (listener_) [[maybe_unused]]
        const auto again = loop_.add(listener_.get(), EPOLLIN, [this](uint32_t) { accept_one(); });
    });
    return;
  }
  const auto peer = sys::peer_credentials(fd.get());
  if (!peer || peer->uid != 0 || connections_.size() >= kMaxConnections) {
    log_warn("connection refused", {{"uid", peer ? static_cast<long long>(peer->uid) : -1LL}});
    return;
  }
  const ConnectionId id = ++last_;
  const int raw = fd.get();
  connections_[id].fd = std::move(fd);
  if (!loop_.add(raw, EPOLLIN | EPOLLRDHUP, [this, id](uint32_t events) { on_ready(id, events); }))
    connections_.erase(id);
}

void Server::on_ready(ConnectionId id, uint32_t events) {
  const auto connection = connections_.find(id);
  if (connection == connections_.end()) return;
  // A request first: the peer may have hung up right after sending it.
  if ((events & EPOLLIN) != 0 && !connection->second.heard) return read_request(id);
  if ((events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0) return drop(id);
  if ((events & EPOLLOUT) != 0) flush(id);
}

void Server::read_request(ConnectionId id) {
  auto& connection = connections_[id];
  auto message = sys::receive_message(connection.fd.get());
  if (!message && message.error().sys_errno() == EAGAIN) return;
  if (!message || message->closed) return drop(id);
  connection.heard = true;
  auto request = parse_object(message->data, "request");
  if (!request) return reply(id, request.error());
  on_request_(id, std::move(*request), std::move(message->fds));
}

void Server::reply(ConnectionId id, boost::json::object ok, std::vector<Fd> fds) {
  boost::json::object message;
  message["ok"] = std::move(ok);
  send(id, message, std::move(fds));
}

void Server::reply(ConnectionId id, const Error& error) {
  boost::json::object text;
  text["code"] = code_name(error.code());
  text["errno"] = error.sys_errno();
  text["message"] = error.message();
  boost::json::object message;
  message["error"] = std::move(text);
  send(id, message);
}

void Server::send(ConnectionId id, const boost::json::object& message, std::vector<Fd> fds) {
  const auto connection = connections_.find(id);
  if (connection == connections_.end()) return;
  connection->second.queue.emplace_back(boost::json::serialize(message), std::move(fds));
  flush(id);
}

void Server::flush(ConnectionId id) {
  auto& connection = connections_[id];
  while (!connection.queue.empty()) {
    auto& [text, fds] = connection.queue.front();
    std::vector<int> raw;
    for (const auto& fd : fds) raw.push_back(fd.get());
    if (auto sent = sys::send_message(connection.fd.get(), text, raw); !sent) {
      if (sent.error().sys_errno() == EAGAIN && connection.queue.size() <= kMaxQueue) {
        loop_.modify(connection.fd.get(), EPOLLIN | EPOLLRDHUP | EPOLLOUT);
      } else {
        // Deferred: the caller may be walking over connections.
        loop_.defer([this, id] { drop(id); });
      }
      return;
    }
    connection.queue.pop_front();
  }
  loop_.modify(connection.fd.get(), EPOLLIN | EPOLLRDHUP);
}

void Server::drop(ConnectionId id) {
  const auto connection = connections_.find(id);
  if (connection == connections_.end()) return;
  loop_.remove(connection->second.fd.get());
  connections_.erase(connection);
  on_gone_(id);
}

}  // namespace berth::shim
