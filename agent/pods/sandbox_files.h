// SPDX-License-Identifier: Apache-2.0
// The text of a pod's resolv.conf, hosts and hostname. Pure; entries were validated (no control bytes), so that the
// number of lines is exactly the number of entries (CVE-2022-4318).
#pragma once

#include <string>
#include <vector>

#include "cri/proto/runtime/v1/api.pb.h"

namespace berth::pods {

// `host` is the host's file, taken over when the pod has no dns_config; a present but empty one gives an empty file.
std::string resolv_conf_text(const ::runtime::v1::PodSandboxConfig& config, const std::string& host);
// The host's file with the host network, else loopback names and the pod's own addresses.
std::string hosts_text(bool host_network, const std::string& host, const std::string& hostname,
                       const std::vector<std::string>& ips);
// The name that the pod's processes see: as asked, else the first 12 digits of the pod's id.
std::string pod_hostname(const ::runtime::v1::PodSandboxConfig& config, const std::string& pod_id,
                         const std::string& host_name);

}  // namespace berth::pods
