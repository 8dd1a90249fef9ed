// SPDX-License-Identifier: Apache-2.0
// Addresses of schedulers: "unix:///absolute/path" or "host:port". Inline: every end of the protocol checks them alike.
#pragma once

#include <string>

#include "runtime/base/result.h"
#include "runtime/base/strings.h"

namespace berth::scheduler {

inline constexpr const char* kDefaultAddress = "unix:///run/berth/scheduler.sock";

// The socket's path, or empty for host:port.
inline std::string unix_path(const std::string& address) {
  return address.starts_with("unix:///") ? address.substr(7) : std::string();
}

// kInvalidArgument with the reason; `zero_port` allows port 0 (listening on any).
inline Result<> check_address(const std::string& address, bool zero_port = false) {
  const auto bad = [&](const char* why) { return fail(Code::kInvalidArgument, concat("address ", quote(address), ": ", why)); };
  if (address.starts_with("unix:")) {
    const std::string path = unix_path(address);
    if (path.size() < 2) return bad("expected unix:///absolute/path");
    return path.size() > 107 ? bad("socket path longer than 107 bytes") : Result<>();
  }
  const auto colon = address.rfind(':');
  if (colon == std::string::npos || colon == 0) return bad("expected unix:///path or host:port");
  const auto port = parse_uint32(address.substr(colon + 1));
  if (!port || *port > 65535 || (*port == 0 && !zero_port)) return bad("port is not a number from 1 to 65535");
  return {};
}

}  // namespace berth::scheduler
