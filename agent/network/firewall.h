// SPDX-License-Identifier: Apache-2.0
// Masquerade and host ports of the built-in bridge, through libnftables, in a table of our own ("berth_<bridge>").
// The DNAT matches addresses of this node only (fib daddr type local; CVE-2019-9946, CVE-2025-67499).
#pragma once

#include <string>
#include <vector>

#include "agent/network/leases.h"
#include "agent/network/network.h"
#include "runtime/base/result.h"

namespace berth::network {

// Creates table, chains, maps and rules when missing. Idempotent.
Result<> firewall_prepare(const std::string& bridge, const Subnet& subnet);
// Publishes ports of `address`. kAlreadyExists naming the port when it is taken; nothing is then published.
Result<> firewall_publish(const std::string& bridge, const std::string& address, const std::vector<PortMapping>& ports);
// Absent is success.
Result<> firewall_withdraw(const std::string& bridge, const std::string& address, const std::vector<PortMapping>& ports);

}  // namespace berth::network
