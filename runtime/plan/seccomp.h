// SPDX-License-Identifier: Apache-2.0
// A seccomp profile (runtime-spec config-linux.md, Seccomp) compiled to the BPF that the child loads with seccomp(2).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "runtime/base/result.h"
#include "runtime/oci/spec.h"

namespace berth::plan {

struct SeccompFilter {
  std::vector<uint64_t> instructions;  // struct sock_filter, 8 bytes each
  unsigned flags = 0;                  // SECCOMP_FILTER_FLAG_…
  bool notifies = false;               // SCMP_ACT_NOTIFY is used: the load returns a listener
};

// Follows runc where the spec is silent: names that libseccomp does not know are skipped, rules equal to the default
// action are skipped, several conditions on one argument are alternatives, and when the default is an errno, system calls
// newer than every one the profile names give ENOSYS, so that libc falls back instead of failing.
// kInvalidArgument names the action, architecture, operator or flag that is wrong.
Result<SeccompFilter> compile_seccomp(const oci::Seccomp& profile);

// The flags that this kernel's seccomp(2) takes, by their OCI names; for `features`.
std::vector<std::string> supported_seccomp_flags();

}  // namespace berth::plan
