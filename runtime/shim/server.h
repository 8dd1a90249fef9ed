// SPDX-License-Identifier: Apache-2.0
// The shim's socket: one request per connection, answers queued per connection without ever blocking.
#pragma once

#include <boost/json.hpp>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "runtime/base/fd.h"
#include "runtime/base/result.h"
#include "runtime/shim/loop.h"

namespace berth::shim {

// Names a connection; one that has gone is silently not sent to.
using ConnectionId = uint64_t;

class Server {
 public:
  using Handler = std::function<void(ConnectionId, boost::json::object request, std::vector<Fd> fds)>;
  using Gone = std::function<void(ConnectionId)>;

  Server(Loop& loop, Handler on_request, Gone on_gone)
      : loop_(loop), on_request_(std::move(on_request)), on_gone_(std::move(on_gone)) {}

  // Listens on `path` (0600). Peers other than uid 0 are closed unheard (CVE-2020-15257).
  Result<> open(const std::string& path);
  // Stops taking connections and closes those there are.
  void close();

  void reply(ConnectionId connection, boost::json::object ok, std::vector<Fd> fds = {});
  void reply(ConnectionId connection, const Error& error);
  void send(ConnectionId connection, const boost::json::object& message, std::vector<Fd> fds = {});

 private:
  struct Connection {
    Fd fd;
    bool heard = false;
    std::deque<std::pair<std::string, std::vector<Fd>>> queue;
  };
  static constexpr size_t kMaxQueue = 1024;  // messages; a watcher that is further behind is cut off
  static constexpr size_t kMaxConnections = 512;

  void accept_one();
  void on_ready(ConnectionId id, uint32_t events);
  void read_request(ConnectionId id);
  void flush(ConnectionId id);
  void drop(ConnectionId id);

  Loop& loop_;
  Handler on_request_;
  Gone on_gone_;
  Fd listener_;
  ConnectionId last_ = 0;
  std::map<ConnectionId, Connection> connections_;
};

}  // namespace berth::shim
