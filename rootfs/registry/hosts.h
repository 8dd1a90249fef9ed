// SPDX-License-Identifier: Apache-2.0
// Where a registry is reached: containerd's certs.d layout, <dir>/<host[:port]>/hosts.toml, else <dir>/_default/hosts.toml.
#pragma once

#include <string>
#include <vector>

#include "rootfs/registry/http.h"
#include "runtime/base/result.h"

namespace berth::rootfs {

struct Endpoint {
  std::string base;  // "https://mirror.example:5000/v2", no slash at the end
  bool can_pull = true;
  bool can_resolve = true;
  bool can_push = false;
  TlsOptions tls;
  std::vector<std::string> headers;
  std::string name_space;  // of a mirror: sent as ?ns=, so that it knows whose images are meant
};

// Mirrors in the order of the file, then the registry itself. Loopback hosts are plain HTTP, others HTTPS, unless the
// file says otherwise. kInvalidArgument naming file and key when it is malformed.
Result<std::vector<Endpoint>> registry_endpoints(const std::string& directory, const std::string& domain);

// The same from the text of a hosts.toml; `folder` is where relative paths of certificates start.
Result<std::vector<Endpoint>> parse_hosts_toml(std::string_view text, const std::string& folder, const std::string& domain);

}  // namespace berth::rootfs
