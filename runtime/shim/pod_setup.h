// SPDX-License-Identifier: Apache-2.0
// What a shim makes for its pod before it listens: namespaces (and stays in them), lo, sysctls, hostname, /dev/shm, and
// pid 1 of a shared pid namespace. It stays in the host's mount namespace.
#pragma once

#include <sys/types.h>

#include <string>

#include "runtime/base/fd.h"
#include "runtime/base/result.h"
#include "runtime/shim/protocol.h"

namespace berth::shim {

struct PodInit {
  pid_t pid = 0;  // 0: the pod does not share a pid namespace
  Fd pidfd;
};

// Refuses sysctls outside the pod's own namespaces (kInvalidArgument): net.* needs a network namespace; kernel.msg*,
// kernel.sem, kernel.shm* and fs.mqueue.* need an ipc namespace. On error the caller exits, which undoes all but shm.
Result<> check_sysctls(const PodSettings& settings);
Result<> enter_namespaces(const PodSettings& settings);
Result<> mount_shm(const PodSettings& settings, const std::string& dir);
// Absent is success.
Result<> unmount_shm(const std::string& dir);
Result<PodInit> start_pod_init(const PodSettings& settings);

}  // namespace berth::shim
