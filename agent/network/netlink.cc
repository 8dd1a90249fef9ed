// SPDX-License-Identifier: Apache-2.0
#include "agent/network/netlink.h"

#include <cerrno>
#include <net/if.h>
#include <netlink/netlink.h>
#include <netlink/route/addr.h>
#include <netlink/route/link.h>
#include <netlink/route/link/bridge.h>
#include <netlink/route/link/veth.h>
#include <netlink/route/nexthop.h>
#include <netlink/route/route.h>
#include <sched.h>
#include <thread>

#include "runtime/base/strings.h"

namespace berth::network {
namespace {

std::unexpected<Error> fail_netlink(std::string_view operation, int error) {
  Code code = Code::kInternal;
  if (error == -NLE_EXIST) code = Code::kAlreadyExists;
  if (error == -NLE_OBJ_NOTFOUND || error == -NLE_NODEV) code = Code::kNotFound;
  if (error == -NLE_PERM) code = Code::kPermissionDenied;
  return std::unexpected<Error>(std::in_place, code, concat(operation, ": ", nl_geterror(error)));
}

template <typename T, void (*put)(T*)>
struct Put {
  void operator()(T* object) const { put(object); }
};
using Link = std::unique_ptr<rtnl_link, Put<rtnl_link, rtnl_link_put>>;
using Address = std::unique_ptr<rtnl_addr, Put<rtnl_addr, rtnl_addr_put>>;
using Route = std::unique_ptr<rtnl_route, Put<rtnl_route, rtnl_route_put>>;
using NlAddress = std::unique_ptr<nl_addr, Put<nl_addr, nl_addr_put>>;

Result<NlAddress> parse_address(const std::string& text, int prefix) {
  nl_addr* parsed = nullptr;
  if (const int error = nl_addr_parse(text.c_str(), AF_INET, &parsed); error < 0) return fail_netlink(concat("address ", quote(text)), error);
  nl_addr_set_prefixlen(parsed, prefix);
  return NlAddress(parsed);
}

}  // namespace

void Netlink::Free::operator()(nl_sock* socket) const { nl_socket_free(socket); }

Result<Netlink> Netlink::open() {
  Netlink link;
  link.socket_.reset(nl_socket_alloc());
  if (!link.socket_) return fail(Code::kResourceExhausted, "netlink socket: out of memory");
  if (const int error = nl_connect(link.socket_.get(), NETLINK_ROUTE); error < 0) return fail_netlink("netlink socket", error);
  return link;
}

Result<Netlink> Netlink::open_in(const Fd& netns) {
  Result<Netlink> opened = fail(Code::kInternal, "not run");
  std::thread([&] {
    if (::setns(netns.get(), CLONE_NEWNET) != 0) opened = fail_errno("enter network namespace");
    else opened = Netlink::open();
  }).join();
  return opened;
}

Result<int> Netlink::find_link(const std::string& name) {
  rtnl_link* raw = nullptr;
  const int error = rtnl_link_get_kernel(socket_.get(), 0, name.c_str(), &raw);
  if (error == -NLE_OBJ_NOTFOUND || error == -NLE_NODEV) return 0;
  if (error < 0) return fail_netlink(concat("look up interface ", quote(name)), error);
  const Link link(raw);
  return rtnl_link_get_ifindex(link.get());
}

Result<> Netlink::add_bridge(const std::string& name) {
  const Link link(rtnl_link_bridge_alloc());
  rtnl_link_set_name(link.get(), name.c_str());
  rtnl_link_set_flags(link.get(), IFF_UP);
  const int error = rtnl_link_add(socket_.get(), link.get(), NLM_F_CREATE | NLM_F_EXCL);
  if (error < 0 && error != -NLE_EXIST) return fail_netlink(concat("create bridge ", quote(name)), error);
  return {};
}

Result<> Netlink::add_veth(const std::string& name, const std::string& peer_name, const Fd& netns, int master) {
  const Link link(rtnl_link_veth_alloc());
  rtnl_link* peer = rtnl_link_veth_get_peer(link.get());
  rtnl_link_set_name(link.get(), name.c_str());
  rtnl_link_set_master(link.get(), master);
  rtnl_link_set_flags(link.get(), IFF_UP);
  rtnl_link_set_name(peer, peer_name.c_str());
  rtnl_link_set_ns_fd(peer, netns.get());
  const int error = rtnl_link_add(socket_.get(), link.get(), NLM_F_CREATE | NLM_F_EXCL);
  rtnl_link_put(peer);
  if (error < 0) return fail_netlink(concat("create veth ", quote(name)), error);
  return {};
}

Result<> Netlink::set_up(int index) {
  const Link link(rtnl_link_alloc());
  const Link change(rtnl_link_alloc());
  rtnl_link_set_ifindex(link.get(), index);
  rtnl_link_set_ifindex(change.get(), index);
  rtnl_link_set_flags(change.get(), IFF_UP);
  if (const int error = rtnl_link_change(socket_.get(), link.get(), change.get(), 0); error < 0) return fail_netlink("set interface up", error);
  return {};
}

Result<> Netlink::add_address(int index, const std::string& address, int prefix) {
  TRY_ASSIGN(const auto local, parse_address(address, prefix));
  const Address object(rtnl_addr_alloc());
  rtnl_addr_set_ifindex(object.get(), index);
  rtnl_addr_set_local(object.get(), local.get());
  const int error = rtnl_addr_add(socket_.get(), object.get(), 0);
  if (error < 0 && error != -NLE_EXIST) return fail_netlink(concat("add address ", quote(address)), error);
  return {};
}

Result<> Netlink::add_default_route(int index, const std::string& gateway) {
  TRY_ASSIGN(const auto everywhere, parse_address("0.0.0.0", 0));
  TRY_ASSIGN(const auto via, parse_address(gateway, 32));
  const Route route(rtnl_route_alloc());
  rtnl_route_set_dst(route.get(), everywhere.get());
  rtnl_nexthop* hop = rtnl_route_nh_alloc();  // owned by the route once added
  rtnl_route_nh_set_gateway(hop, via.get());
  rtnl_route_nh_set_ifindex(hop, index);
  rtnl_route_add_nexthop(route.get(), hop);
  if (const int error = rtnl_route_add(socket_.get(), route.get(), NLM_F_CREATE); error < 0) return fail_netlink("add default route", error);
  return {};
}

Result<> Netlink::remove_link(const std::string& name) {
  const Link link(rtnl_link_alloc());
  rtnl_link_set_name(link.get(), name.c_str());
  const int error = rtnl_link_delete(socket_.get(), link.get());
  if (error < 0 && error != -NLE_NODEV && error != -NLE_OBJ_NOTFOUND) return fail_netlink(concat("remove interface ", quote(name)), error);
  return {};
}

}  // namespace berth::network
