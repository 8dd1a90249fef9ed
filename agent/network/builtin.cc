// SPDX-License-Identifier: Apache-2.0
// Order of attach: lease (a file), kept intent, bridge and firewall (once per process), veth with its far end born inside
// the pod's namespace, address and route there, host ports last — so that a port is published only when it can answer.
// detach takes back in reverse and needs nothing but the kept record: the veth goes with the namespace, or by name.
#include "agent/network/builtin.h"

#include <fcntl.h>

#include "agent/network/firewall.h"
#include "agent/network/netlink.h"
#include "runtime/base/log.h"
#include "runtime/base/strings.h"
#include "runtime/sys/file.h"

namespace berth::network {
namespace {

constexpr int kPrefix = 16;
constexpr char kPodInterface[] = "eth0";

std::string bridge_name(const Subnet& subnet) { return concat("berth", subnet.second_octet); }
// Interface names hold 15 characters.
std::string veth_name(const std::string& pod_id) { return concat("bv", pod_id.substr(0, 12)); }

Result<> write_sysctl(const std::string& path, std::string_view value) {
  return sys::write_file_at(AT_FDCWD, concat("/proc/sys/net/ipv4/", path), value);
}

std::string text_of(const boost::json::value& value, std::string_view key) {
  const auto* object = value.if_object();
  const auto* field = object == nullptr ? nullptr : object->if_contains(key);
  return field != nullptr && field->is_string() ? std::string(field->get_string()) : std::string();
}

}  // namespace

Result<> Builtin::prepare(const Subnet& subnet, const std::string& bridge) {
  const std::lock_guard lock(mutex_);
  TRY_ASSIGN(auto netlink, Netlink::open());
  TRY_ASSIGN(const int present, netlink.find_link(bridge));
  if (prepared_ && present != 0) return {};
  TRY(netlink.add_bridge(bridge));
  TRY_ASSIGN(const int index, netlink.find_link(bridge));
  TRY(netlink.add_address(index, subnet.gateway(), kPrefix));
  TRY(netlink.set_up(index));
  TRY(write_sysctl("ip_forward", "1"));
  // Host ports answer on 127.0.0.1 too: the redirected packet leaves by the bridge with a loopback source.
  TRY(write_sysctl(concat("conf/", bridge, "/route_localnet"), "1"));
  TRY(firewall_prepare(bridge, subnet));
  prepared_ = true;
  return {};
}

Result<std::string> Builtin::connect_pod(const Attachment& attachment, const std::string& address, const Subnet& subnet) {
  const std::string bridge = bridge_name(subnet);
  TRY(prepare(subnet, bridge));
  TRY_ASSIGN(const Fd netns, sys::open_path(attachment.netns, O_RDONLY));
  TRY_ASSIGN(auto netlink, Netlink::open());
  TRY_ASSIGN(const int master, netlink.find_link(bridge));
  TRY(netlink.add_veth(veth_name(attachment.pod_id), kPodInterface, netns, master));
  TRY_ASSIGN(auto inside, Netlink::open_in(netns));
  TRY_ASSIGN(const int index, inside.find_link(kPodInterface));
  TRY(inside.add_address(index, address, kPrefix));
  TRY(inside.set_up(index));
  TRY(inside.add_default_route(index, subnet.gateway()));
  TRY(firewall_publish(bridge, address, attachment.ports));
  return address;
}

Result<NetworkResult> Builtin::attach(const KeptResults& kept, const Attachment& attachment) {
  TRY_ASSIGN(const auto subnet, leases_.subnet());
  KeptResult record{"builtin", attachment, "", boost::json::object{{"bridge", bridge_name(subnet)}}};
  TRY(kept.write(record));
  auto address = leases_.acquire(subnet, attachment.pod_id);
  if (address) {
    record.result = boost::json::object{{"bridge", bridge_name(subnet)}, {"address", *address}};
    if (auto written = kept.write(record); !written) address = std::unexpected(std::move(written).error());
    else address = connect_pod(attachment, *address, subnet);
  }
  if (!address) {
    if (auto undone = detach(kept, record); !undone) {
      log_warn("network teardown after a failed attach did not finish; it is kept for a retry", {{"pod", attachment.pod_id}, {"error", undone.error().message()}});
    }
    return std::unexpected(std::move(address).error());
  }
  return NetworkResult{{*address}, kPodInterface};
}

Result<> Builtin::detach(const KeptResults& kept, const KeptResult& record) {
  const std::string& pod_id = record.attachment.pod_id;
  const std::string address = text_of(record.result, "address");
  if (!address.empty()) TRY(firewall_withdraw(text_of(record.result, "bridge"), address, record.attachment.ports));
  TRY_ASSIGN(auto netlink, Netlink::open());
  TRY(netlink.remove_link(veth_name(pod_id)));
  TRY(leases_.release(pod_id));
  return kept.remove(pod_id);
}

}  // namespace berth::network
