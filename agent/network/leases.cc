// SPDX-License-Identifier: Apache-2.0
#include "agent/network/leases.h"

#include <arpa/inet.h>
#include <cerrno>
#include <fcntl.h>
#include <functional>
#include <ifaddrs.h>
#include <sys/file.h>
#include <unistd.h>

#include "runtime/base/fd.h"
#include "runtime/base/strings.h"
#include "runtime/sys/file.h"

namespace berth::network {
namespace {

constexpr unsigned kFirstSecondOctet = 90;
constexpr unsigned kLastSecondOctet = 250;
constexpr unsigned kFirstHost = 2;
constexpr unsigned kLastHost = 65533;

bool subnet_is_used(unsigned second_octet) {
  ifaddrs* list = nullptr;
  if (::getifaddrs(&list) != 0) return false;
  bool used = false;
  for (const ifaddrs* entry = list; entry != nullptr; entry = entry->ifa_next) {
    if (entry->ifa_addr == nullptr || entry->ifa_addr->sa_family != AF_INET) continue;
    const uint32_t address = ntohl(reinterpret_cast<const sockaddr_in*>(entry->ifa_addr)->sin_addr.s_addr);
    if ((address >> 16) == ((10u << 8) | second_octet)) used = true;
  }
  ::freeifaddrs(list);
  return used;
}

}  // namespace

std::string Subnet::gateway() const { return concat("10.", second_octet, ".0.1"); }
std::string Subnet::address(unsigned host) const { return concat("10.", second_octet, ".", host >> 8, ".", host & 255); }
std::string Subnet::cidr() const { return concat("10.", second_octet, ".0.0/16"); }

Result<Subnet> Leases::subnet() const {
  const std::string path = concat(root_, "/subnet");
  if (const auto kept = sys::read_file(path)) {
    if (const auto octet = parse_uint32(trim(*kept)); octet && *octet < 256) return Subnet{*octet};
  }
  TRY(sys::make_directories(root_));
  for (unsigned octet = kFirstSecondOctet; octet <= kLastSecondOctet; ++octet) {
    if (subnet_is_used(octet)) continue;
    TRY(sys::replace_file(path, concat(octet, "\n")));
    return Subnet{octet};
  }
  return fail(Code::kResourceExhausted, "no free subnet 10.N.0.0/16 for the built-in network");
}

Result<std::string> Leases::acquire(const Subnet& subnet, const std::string& pod_id) const {
  const std::string directory = concat(root_, "/leases");
  TRY(sys::make_directories(directory));
  // A start that depends on the pod spreads the search and keeps a fresh pod off an address just given back.
  const unsigned span = kLastHost - kFirstHost + 1;
  const unsigned start = static_cast<unsigned>(std::hash<std::string>{}(pod_id) % span);
  for (unsigned step = 0; step < span; ++step) {
    std::string address = subnet.address(kFirstHost + (start + step) % span);
    const std::string path = concat(directory, "/", address);
    const Fd fd(::open(path.c_str(), O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600));
    if (!fd) {
      if (errno == EEXIST) continue;
      return fail_errno(concat("lease ", quote(address)));
    }
    TRY(sys::write_all(fd.get(), pod_id), concat("lease ", quote(address)));
    return address;
  }
  return fail(Code::kResourceExhausted, concat("every address of ", subnet.cidr(), " is leased"));
}

Result<> Leases::release(const std::string& pod_id) const {
  const std::string directory = concat(root_, "/leases");
  const auto names = sys::list_directory(directory);
  if (!names) return {};
  for (const auto& name : *names) {
    const std::string path = concat(directory, "/", name);
    const auto owner = sys::read_file(path);
    // An empty file is a lease whose writer was killed before it wrote its name: nobody's.
    if (!owner || (*owner != pod_id && !owner->empty())) continue;
    if (::unlink(path.c_str()) != 0 && errno != ENOENT) return fail_errno(concat("give back ", quote(name)));
  }
  return {};
}

}  // namespace berth::network
