// SPDX-License-Identifier: Apache-2.0
// The pod as its shim holds it: the operations of protocol.h over a set of containers.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "runtime/shim/container.h"
#include "runtime/shim/loop.h"
#include "runtime/shim/pod_setup.h"
#include "runtime/shim/server.h"

namespace berth::shim {

class Shim {
 public:
  explicit Shim(std::string dir);

  // Makes the pod's namespaces, shm and init, listens, and writes shim.json. On error what stands on the host is
  // undone.
  Result<> open();
  // Serves until `stop`.
  void run();

 private:
  using Object = boost::json::object;
  // Answers by itself, at once or later; an error returned becomes the reply.
  using Op = Result<> (Shim::*)(ConnectionId, const Object&, std::vector<Fd>);

  Result<> set_up();
  void on_request(ConnectionId connection, Object request, std::vector<Fd> fds);
  void on_gone(ConnectionId connection);
  void on_exit(const std::string& id, const ExitRecord& record);
  void broadcast(const Object& event);
  void reap_orphans();
  Result<Container*> find(const Object& request);

  Result<> hello(ConnectionId, const Object&, std::vector<Fd>);
  Result<> create(ConnectionId, const Object&, std::vector<Fd>);
  Result<> start(ConnectionId, const Object&, std::vector<Fd>);
  Result<> kill(ConnectionId, const Object&, std::vector<Fd>);
  Result<> remove(ConnectionId, const Object&, std::vector<Fd>);
  Result<> state(ConnectionId, const Object&, std::vector<Fd>);
  Result<> exec(ConnectionId, const Object&, std::vector<Fd>);
  Result<> resize(ConnectionId, const Object&, std::vector<Fd>);
  Result<> attach(ConnectionId, const Object&, std::vector<Fd>);
  Result<> wait(ConnectionId, const Object&, std::vector<Fd>);
  Result<> watch(ConnectionId, const Object&, std::vector<Fd>);
  Result<> reopen_log(ConnectionId, const Object&, std::vector<Fd>);
  Result<> dial(ConnectionId, const Object&, std::vector<Fd>);
  Result<> update(ConnectionId, const Object&, std::vector<Fd>);
  Result<> stop(ConnectionId, const Object&, std::vector<Fd>);
  static Op find_op(std::string_view name);

  std::string dir_;
  PodSettings settings_;
  PodInit init_;
  Loop loop_;
  Server server_;
  Fd child_event_;
  std::map<std::string, std::unique_ptr<Container>> containers_;
  std::map<std::string, std::set<ConnectionId>> waiters_;
  std::set<ConnectionId> watchers_;
};

}  // namespace berth::shim
