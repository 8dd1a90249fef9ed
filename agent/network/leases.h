// SPDX-License-Identifier: Apache-2.0
// Addresses of the built-in bridge: one file per leased address, created O_EXCL, holding the pod's id. Safe across
// processes and kills: the file is the lease.
#pragma once

#include <string>

#include "runtime/base/result.h"

namespace berth::network {

// The subnet of a store, "10.N.0.0/16": chosen once as the first N ≥ 90 that no interface of this host uses, and kept in
// <root>/subnet, so that several stores on one host do not collide.
struct Subnet {
  unsigned second_octet = 0;
  std::string gateway() const;                 // 10.N.0.1
  std::string address(unsigned host) const;    // host 2 … 65533
  std::string cidr() const;
};

class Leases {
 public:
  explicit Leases(std::string root) : root_(std::move(root)) {}
  Result<Subnet> subnet() const;
  // kResourceExhausted when all 65 532 addresses are leased.
  Result<std::string> acquire(const Subnet& subnet, const std::string& pod_id) const;
  // Gives back every address of the pod; none is success.
  Result<> release(const std::string& pod_id) const;

 private:
  std::string root_;
};

}  // namespace berth::network
