// SPDX-License-Identifier: Apache-2.0
// The built-in network: a bridge, a veth per pod, an address, masquerade and host ports, all by netlink and nftables in
// this process. Used when there is no CNI configuration, so that a pod has a network without anything installed.
#pragma once

#include <mutex>

#include "agent/network/kept_results.h"
#include "agent/network/leases.h"
#include "agent/network/network.h"

namespace berth::network {

// Thread-safe.
class Builtin {
 public:
  explicit Builtin(std::string root) : root_(std::move(root)), leases_(root_) {}
  Result<NetworkResult> attach(const KeptResults& kept, const Attachment& attachment);
  Result<> detach(const KeptResults& kept, const KeptResult& record);

 private:
  Result<std::string> connect_pod(const Attachment& attachment, const std::string& address, const Subnet& subnet);
  Result<> prepare(const Subnet& subnet, const std::string& bridge);

  std::string root_;
  Leases leases_;
  std::mutex mutex_;
  bool prepared_ = false;
};

}  // namespace berth::network
