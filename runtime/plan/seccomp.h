// SPDX-License-Identifier: Apache-2.0
// linux.seccomp → a BPF program, by libseccomp.
#pragma once

#include <string>

#include "runtime/base/result.h"
#include "runtime/oci/spec.h"

namespace berth::plan {

struct SeccompFilter {
  std::string program;    // array of struct sock_filter
  unsigned long flags = 0;  // SECCOMP_FILTER_FLAG_…
  bool notify = false;    // a listener is asked for
};

// Where the default is an errno, calls newer than every one named give ENOSYS. Unknown system calls are left out; rules that equal the default are too (§3 trap 52). kInvalidArgument for unknown
// actions, operators, architectures, and for SCMP_ACT_NOTIFY on write, which would stop the hand-over of the listener.
Result<SeccompFilter> compile_seccomp(const oci::Seccomp& profile);

// SECCOMP_FILTER_FLAG_… of a name, or 0.
unsigned long seccomp_flag(std::string_view name);

}  // namespace berth::plan
