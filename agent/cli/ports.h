// SPDX-License-Identifier: Apache-2.0
// Published ports: `-p [ip:][host:]container[/proto]` and their text in `ps`.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/base/result.h"

namespace berth::cli {

struct PublishedPort {
  std::string host_ip;  // empty: all addresses
  uint16_t host = 0;    // 0: chosen when the pod is made
  uint16_t container = 0;
  std::string protocol = "tcp";  // tcp | udp | sctp

  bool operator==(const PublishedPort&) const = default;
};

// One `-p`; a range "8000-8002:80-82" gives several. kInvalidArgument naming what is wrong. IPv6 addresses in brackets.
Result<std::vector<PublishedPort>> parse_published(std::string_view text);

// "0.0.0.0:8080->80/tcp, …", and back (annotation of a container).
std::string published_text(const std::vector<PublishedPort>& ports);
std::vector<PublishedPort> published_from_text(std::string_view text);

// True when both ask the host for the same port: same protocol and number, one address or one of them "all".
bool conflicts(const PublishedPort& a, const PublishedPort& b);

// Binds (and lets go) every port; port 0 is replaced by a free one. `port 5000/tcp is already in use`, kAlreadyExists.
Result<> check_and_choose(std::vector<PublishedPort>& ports);

}  // namespace berth::cli
