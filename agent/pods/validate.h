// SPDX-License-Identifier: Apache-2.0
// What a request may say, checked before anything is done. Pure. Every refusal is kInvalidArgument (kUnimplemented for
// what CRI knows and berth does not have) and names the field.
//
// Guards: CVE-2022-0811 (sysctls: only of namespaces that the pod has of its own, keys and values by grammar),
// CVE-2022-4318 and CVE-2026-15809 (no control bytes in what is written to files), CVE-2025-0750 (log paths).
#pragma once

#include <string>
#include <string_view>

#include "cri/proto/runtime/v1/api.pb.h"
#include "runtime/base/result.h"

namespace berth::pods {

namespace v1 = ::runtime::v1;

Result<> validate_sandbox(const v1::PodSandboxConfig& config, std::string_view runtime_handler, bool systemd_driver);
Result<> validate_container(const v1::ContainerConfig& config);

// Any byte below 0x20, or 0x7f.
bool has_control_bytes(std::string_view text);
// Absolute, no control bytes, no ".." component.
Result<> validate_absolute_path(std::string_view field, std::string_view path);

bool uses_host_network(const v1::PodSandboxConfig& config);
bool uses_host_ipc(const v1::PodSandboxConfig& config);

}  // namespace berth::pods
