// SPDX-License-Identifier: Apache-2.0
// Which device nodes a container may open or make: lines for v1's devices.allow/deny, a BPF program on v2 (§3 trap 62).
#pragma once

#include <linux/bpf.h>

#include <string>
#include <vector>

#include "runtime/base/result.h"
#include "runtime/oci/spec.h"

namespace berth::cgroup {

// The rules in force: deny all, then the spec's rules in order, then what every container gets (mknod of anything,
// null, zero, full, random, urandom, tty, console, ptmx, pts, net/tun). What comes before the last rule for everything
// is gone.
struct DevicePolicy {
  bool allow_all = false;              // where the rules start from
  std::vector<oci::DeviceRule> rules;  // later ones win; type "b" or "c" only
};
DevicePolicy device_policy(const std::vector<oci::DeviceRule>& spec_rules);

// One line written to devices.allow or devices.deny.
struct DeviceWrite {
  bool allow = false;
  std::string line;
};
// kInvalidArgument for a rule that v1 cannot express: a denial inside an allowed wildcard.
Result<std::vector<DeviceWrite>> v1_device_writes(const DevicePolicy& policy);

// The program for BPF_PROG_TYPE_CGROUP_DEVICE: each requested access bit is decided by the last rule that matches it.
std::vector<bpf_insn> device_program(const DevicePolicy& policy);
// Loads and attaches it to the v2 cgroup directory `cgroup`. `replace`: programs attached by an earlier call are
// detached afterwards, so that at no time less than one of them is in force. kPermissionDenied without the right to
// load programs.
Result<> attach_device_program(int cgroup, const std::vector<bpf_insn>& program, bool replace);

}  // namespace berth::cgroup
