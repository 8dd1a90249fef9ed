// SPDX-License-Identifier: Apache-2.0
// Route netlink as the built-in bridge needs it, over libnl-route-3. Each object is one socket; not thread-safe.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "runtime/base/fd.h"
#include "runtime/base/result.h"

struct nl_sock;

namespace berth::network {

class Netlink {
 public:
  // A socket in the caller's network namespace.
  static Result<Netlink> open();
  // A socket in the namespace behind `netns`. The agent's threads never change namespace: a thread made for this one call
  // enters it, opens the socket and ends; the socket stays where it was born.
  static Result<Netlink> open_in(const Fd& netns);

  // Index of an interface, 0 when there is none.
  Result<int> find_link(const std::string& name);
  Result<> add_bridge(const std::string& name);
  // A pair: `name` here as port of bridge `master` and up, `peer` inside `netns`. MAC addresses are the kernel's.
  Result<> add_veth(const std::string& name, const std::string& peer, const Fd& netns, int master);
  Result<> set_up(int index);
  // Adds an IPv4 address ("10.1.2.3", prefix length); present is success.
  Result<> add_address(int index, const std::string& address, int prefix);
  Result<> add_default_route(int index, const std::string& gateway);
  // Absent is success.
  Result<> remove_link(const std::string& name);

 private:
  struct Free {
    void operator()(nl_sock* socket) const;
  };
  std::unique_ptr<nl_sock, Free> socket_;
};

}  // namespace berth::network
