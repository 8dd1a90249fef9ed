// SPDX-License-Identifier: Apache-2.0
// A row per RPC of CRI v1. The adaptor names its row at compile time: an RPC without one does not compile.
#pragma once

#include <string_view>

#include "runtime/base/log.h"

namespace berth::cri {

struct Method {
  std::string_view name;     // on the wire
  std::string_view service;  // full name on the wire
  bool stream = false;       // answers with a stream
  // Of a call that succeeded: info for what changes state, debug for what kubelet asks every second.
  LogLevel level = LogLevel::kInfo;
};

inline constexpr Method kMethods[] = {
    {"Version", "runtime.v1.RuntimeService", false, LogLevel::kDebug},
    {"RunPodSandbox", "runtime.v1.RuntimeService", false, LogLevel::kInfo},
    {"StopPodSandbox", "runtime.v1.RuntimeService", false, LogLevel::kInfo},
    {"RemovePodSandbox", "runtime.v1.RuntimeService", false, LogLevel::kInfo},
    {"PodSandboxStatus", "runtime.v1.RuntimeService", false, LogLevel::kDebug},
    {"ListPodSandbox", "runtime.v1.RuntimeService", false, LogLevel::kDebug},
    {"StreamPodSandboxes", "runtime.v1.RuntimeService", true, LogLevel::kDebug},
    {"CreateContainer", "runtime.v1.RuntimeService", false, LogLevel::kInfo},
    {"StartContainer", "runtime.v1.RuntimeService", false, LogLevel::kInfo},
    {"StopContainer", "runtime.v1.RuntimeService", false, LogLevel::kInfo},
    {"RemoveContainer", "runtime.v1.RuntimeService", false, LogLevel::kInfo},
    {"ListContainers", "runtime.v1.RuntimeService", false, LogLevel::kDebug},
    {"StreamContainers", "runtime.v1.RuntimeService", true, LogLevel::kDebug},
    {"ContainerStatus", "runtime.v1.RuntimeService", false, LogLevel::kDebug},
    {"UpdateContainerResources", "runtime.v1.RuntimeService", false, LogLevel::kInfo},
    {"ReopenContainerLog", "runtime.v1.RuntimeService", false, LogLevel::kInfo},
    {"ExecSync", "runtime.v1.RuntimeService", false, LogLevel::kDebug},
    {"Exec", "runtime.v1.RuntimeService", false, LogLevel::kInfo},
    {"Attach", "runtime.v1.RuntimeService", false, LogLevel::kInfo},
    {"PortForward", "runtime.v1.RuntimeService", false, LogLevel::kInfo},
    {"ContainerStats", "runtime.v1.RuntimeService", false, LogLevel::kDebug},
    {"ListContainerStats", "runtime.v1.RuntimeService", false, LogLevel::kDebug},
    {"StreamContainerStats", "runtime.v1.RuntimeService", true, LogLevel::kDebug},
    {"PodSandboxStats", "runtime.v1.RuntimeService", false, LogLevel::kDebug},
    {"ListPodSandboxStats", "runtime.v1.RuntimeService", false, LogLevel::kDebug},
    {"StreamPodSandboxStats", "runtime.v1.RuntimeService", true, LogLevel::kDebug},
    {"UpdateRuntimeConfig", "runtime.v1.RuntimeService", false, LogLevel::kInfo},
    {"Status", "runtime.v1.RuntimeService", false, LogLevel::kDebug},
    {"CheckpointContainer", "runtime.v1.RuntimeService", false, LogLevel::kInfo},
    {"CheckpointPod", "runtime.v1.RuntimeService", false, LogLevel::kInfo},
    {"RestorePod", "runtime.v1.RuntimeService", false, LogLevel::kInfo},
    {"GetContainerEvents", "runtime.v1.RuntimeService", true, LogLevel::kDebug},
    {"ListMetricDescriptors", "runtime.v1.RuntimeService", false, LogLevel::kDebug},
    {"ListPodSandboxMetrics", "runtime.v1.RuntimeService", false, LogLevel::kDebug},
    {"StreamPodSandboxMetrics", "runtime.v1.RuntimeService", true, LogLevel::kDebug},
    {"RuntimeConfig", "runtime.v1.RuntimeService", false, LogLevel::kDebug},
    {"UpdatePodSandboxResources", "runtime.v1.RuntimeService", false, LogLevel::kInfo},
    {"ListImages", "runtime.v1.ImageService", false, LogLevel::kDebug},
    {"StreamImages", "runtime.v1.ImageService", true, LogLevel::kDebug},
    {"ImageStatus", "runtime.v1.ImageService", false, LogLevel::kDebug},
    {"PullImage", "runtime.v1.ImageService", false, LogLevel::kInfo},
    {"RemoveImage", "runtime.v1.ImageService", false, LogLevel::kInfo},
    {"ImageFsInfo", "runtime.v1.ImageService", false, LogLevel::kDebug},
};

// The row of `name`; not a constant expression (so: no compilation) when there is none.
consteval const Method& method(std::string_view name) {
  for (const Method& row : kMethods) {
    if (row.name == name) return row;
  }
  throw "no such method";
}

}  // namespace berth::cri
