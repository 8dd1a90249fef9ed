// SPDX-License-Identifier: Apache-2.0
#include "agent/cli/ports.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <optional>

#include "runtime/base/fd.h"
#include "runtime/base/strings.h"

namespace berth::cli {
namespace {

struct Range {
  uint16_t first = 0;
  uint16_t last = 0;
};

std::optional<Range> parse_range(std::string_view text) {
  const size_t dash = text.find('-');
  const auto first = parse_uint32(text.substr(0, dash));
  const auto last = dash == std::string_view::npos ? first : parse_uint32(text.substr(dash + 1));
  if (!first || !last || *first > 65535 || *last > 65535 || *first > *last) return std::nullopt;
  return Range{static_cast<uint16_t>(*first), static_cast<uint16_t>(*last)};
}

bool is_address(const std::string& text) {
  in6_addr buffer{};
  return ::inet_pton(AF_INET, text.c_str(), &buffer) == 1 || ::inet_pton(AF_INET6, text.c_str(), &buffer) == 1;
}

// Splits off "[v6]:" or "a.b.c.d:" when `text` begins with one.
bool take_address(std::string_view& text, std::string& ip) {
  if (text.starts_with('[')) {
    const size_t end = text.find("]:");
    if (end == std::string_view::npos) return false;
    ip = text.substr(1, end - 1);
    text.remove_prefix(end + 2);
    return is_address(ip);
  }
  const size_t first = text.find(':'), last = text.rfind(':');
  if (first == last) return true;
  ip = text.substr(0, first);
  text.remove_prefix(first + 1);
  return is_address(ip);
}

Result<> bind_one(PublishedPort& port) {
  const bool v6 = port.host_ip.find(':') != std::string::npos;
  const int type = port.protocol == "udp" ? SOCK_DGRAM : SOCK_STREAM;
  const int protocol = port.protocol == "sctp" ? IPPROTO_SCTP : 0;
  Fd socket(::socket(v6 ? AF_INET6 : AF_INET, type | SOCK_CLOEXEC, protocol));
  if (!socket) return {};  // a protocol this kernel lacks is the network's to refuse
  const int one = 1;
  // A port in TIME_WAIT is free for a DNAT rule; one with a listener still answers EADDRINUSE.
  if (type == SOCK_STREAM) ::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  sockaddr_storage address{};
  socklen_t length = 0;
  if (v6) {
    auto* in = reinterpret_cast<sockaddr_in6*>(&address);
    in->sin6_family = AF_INET6;
    in->sin6_port = htons(port.host);
    ::inet_pton(AF_INET6, port.host_ip.c_str(), &in->sin6_addr);
    length = sizeof *in;
  } else {
    auto* in = reinterpret_cast<sockaddr_in*>(&address);
    in->sin_family = AF_INET;
    in->sin_port = htons(port.host);
    if (!port.host_ip.empty()) ::inet_pton(AF_INET, port.host_ip.c_str(), &in->sin_addr);
    length = sizeof *in;
  }
  if (::bind(socket.get(), reinterpret_cast<sockaddr*>(&address), length) < 0) {
    if (errno == EADDRINUSE)
      return fail(Code::kAlreadyExists, concat("port ", port.host, '/', port.protocol, " is already in use"));
    return fail_errno(concat("publish port ", port.host, '/', port.protocol, " on ", quote(port.host_ip)));
  }
  if (port.host == 0 && ::getsockname(socket.get(), reinterpret_cast<sockaddr*>(&address), &length) == 0) {
    port.host = ntohs(v6 ? reinterpret_cast<sockaddr_in6*>(&address)->sin6_port
                         : reinterpret_cast<sockaddr_in*>(&address)->sin_port);
  }
  return {};
}

}  // namespace

Result<std::vector<PublishedPort>> parse_published(std::string_view text) {
  const auto bad = [&](std::string_view why) {
    return fail(Code::kInvalidArgument, concat("publish ", quote(text), ": ", why));
  };
  std::string_view rest = text;
  PublishedPort port;
  if (const size_t slash = rest.rfind('/'); slash != std::string_view::npos) {
    port.protocol = rest.substr(slash + 1);
    for (char& c : port.protocol) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
    if (port.protocol != "tcp" && port.protocol != "udp" && port.protocol != "sctp")
      return bad("the protocol must be tcp, udp or sctp");
    rest = rest.substr(0, slash);
  }
  if (!take_address(rest, port.host_ip)) return bad("the address is neither IPv4 nor [IPv6]");
  if (port.host_ip == "0.0.0.0") port.host_ip.clear();
  const size_t colon = rest.find(':');
  const std::string_view host = colon == std::string_view::npos ? std::string_view() : rest.substr(0, colon);
  const std::string_view inner = colon == std::string_view::npos ? rest : rest.substr(colon + 1);
  const auto containers = parse_range(inner);
  if (!containers || containers->first == 0) return bad("the container port must be a number from 1 to 65535");
  const unsigned count = containers->last - containers->first + 1u;
  Range hosts;
  if (!host.empty()) {
    const auto given = parse_range(host);
    if (!given) return bad("the host port must be a number from 0 to 65535");
    if (given->last - given->first + 1u != count) return bad("the two port ranges differ in length");
    hosts = *given;
  }
  std::vector<PublishedPort> ports;
  for (unsigned i = 0; i < count; ++i) {
    port.container = static_cast<uint16_t>(containers->first + i);
    port.host = hosts.first == 0 ? uint16_t{0} : static_cast<uint16_t>(hosts.first + i);
    ports.push_back(port);
  }
  return ports;
}

std::string published_text(const std::vector<PublishedPort>& ports) {
  std::vector<std::string> parts;
  for (const PublishedPort& port : ports) {
    const bool v6 = port.host_ip.find(':') != std::string::npos;
    const std::string ip = port.host_ip.empty() ? "0.0.0.0" : v6 ? concat('[', port.host_ip, ']') : port.host_ip;
    parts.push_back(concat(ip, ':', port.host, "->", port.container, '/', port.protocol));
  }
  return join(parts, ", ");
}

std::vector<PublishedPort> published_from_text(std::string_view text) {
  std::vector<PublishedPort> ports;
  for (std::string_view part : split(text, ',')) {
    part = trim(part);
    const size_t arrow = part.find("->");
    if (arrow == std::string_view::npos) continue;
    auto parsed = parse_published(concat(part.substr(0, arrow), ':', part.substr(arrow + 2)));
    if (parsed) ports.insert(ports.end(), parsed->begin(), parsed->end());
  }
  return ports;
}

bool conflicts(const PublishedPort& a, const PublishedPort& b) {
  return a.host != 0 && a.host == b.host && a.protocol == b.protocol &&
         (a.host_ip.empty() || b.host_ip.empty() || a.host_ip == b.host_ip);
}

Result<> check_and_choose(std::vector<PublishedPort>& ports) {
  for (size_t i = 0; i < ports.size(); ++i) {
    for (size_t j = 0; j < i; ++j) {
      if (conflicts(ports[i], ports[j])) {
        return fail(Code::kAlreadyExists, concat("port ", ports[i].host, '/', ports[i].protocol,
                                                 " is already in use: it is published twice"));
      }
    }
    TRY(bind_one(ports[i]));
  }
  return {};
}

}  // namespace berth::cli
