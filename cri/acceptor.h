// SPDX-License-Identifier: Apache-2.0
// Acceptor: opens the CRI's unix sockets and decides who may speak. No gRPC here.
#pragma once

#include <sys/types.h>

#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "runtime/base/fd.h"
#include "runtime/base/result.h"

namespace berth::cri {

// One thread that accepts on all sockets. A connection is handed on when SO_PEERCRED says root, the server's own user,
// or a member of `group` (primary or supplementary); anybody else is closed and logged. The file mode 0660 says the
// same, but modes can be changed and sockets passed on.
class Acceptor {
 public:
  using Handler = std::function<void(Fd connection)>;

  // `addresses`: "unix:///path" or absolute paths. A stale socket file is replaced; kAlreadyExists naming it when
  // somebody answers on it, kFailedPrecondition when it is no socket, kInvalidArgument for any other scheme.
  static Result<std::unique_ptr<Acceptor>> open(const std::vector<std::string>& addresses, gid_t group,
                                                Handler handler);
  Acceptor(const Acceptor&) = delete;
  Acceptor& operator=(const Acceptor&) = delete;
  // Stops the thread, closes, and removes the socket files that are still its own.
  ~Acceptor();

  // Begins to accept. Connections wait in the backlog until then.
  Result<> start();

 private:
  struct Listener {
    Fd fd;
    std::string path;
    dev_t device = 0;
    ino_t inode = 0;
  };
  Acceptor(gid_t group, Handler handler) : group_(group), handler_(std::move(handler)) {}
  Result<> add(const std::string& address);
  void run();
  void accept_from(const Listener& listener);
  bool may_speak(int connection) const;

  const gid_t group_;
  const Handler handler_;
  std::vector<Listener> listeners_;
  Fd stop_;
  std::thread thread_;
};

}  // namespace berth::cri
