// SPDX-License-Identifier: Apache-2.0
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "agent/cli/ports.h"
#include "runtime/base/fd.h"
#include "tests/support/catch.h"

using namespace berth;
using namespace berth::cli;

namespace {

PublishedPort one(const char* text) {
  auto ports = parse_published(text);
  REQUIRE(ports);
  REQUIRE(ports->size() == 1);
  return ports->front();
}

std::string why(const char* text) {
  auto ports = parse_published(text);
  REQUIRE_FALSE(ports);
  CHECK(ports.error().code() == Code::kInvalidArgument);
  return ports.error().message();
}

// A listener on 127.0.0.1 and its port.
std::pair<Fd, uint16_t> listener() {
  Fd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  REQUIRE(::bind(socket.get(), reinterpret_cast<sockaddr*>(&address), length) == 0);
  REQUIRE(::listen(socket.get(), 1) == 0);
  REQUIRE(::getsockname(socket.get(), reinterpret_cast<sockaddr*>(&address), &length) == 0);
  return {std::move(socket), ntohs(address.sin_port)};
}

}  // namespace

TEST_CASE("a published port has host and container numbers", "[cli]") {
  CHECK(one("8080:80") == PublishedPort{"", 8080, 80, "tcp"});
}

TEST_CASE("a published port without a host number asks for any", "[cli]") {
  CHECK(one("80") == PublishedPort{"", 0, 80, "tcp"});
}

TEST_CASE("a published port may name an address and a protocol", "[cli]") {
  CHECK(one("127.0.0.1:53:53/udp") == PublishedPort{"127.0.0.1", 53, 53, "udp"});
  CHECK(one("127.0.0.1::53/SCTP") == PublishedPort{"127.0.0.1", 0, 53, "sctp"});
  CHECK(one("0.0.0.0:80:80").host_ip.empty());
}

TEST_CASE("an IPv6 address stands in brackets", "[cli]") {
  CHECK(one("[::1]:8080:80") == PublishedPort{"::1", 8080, 80, "tcp"});
  CHECK(why("[::1:8080:80").find("address") != std::string::npos);
}

TEST_CASE("a range of ports gives one of each", "[cli]") {
  auto ports = parse_published("8000-8002:80-82");
  REQUIRE(ports);
  REQUIRE(ports->size() == 3);
  CHECK((*ports)[2] == PublishedPort{"", 8002, 82, "tcp"});
  CHECK(why("8000-8001:80-82").find("differ in length") != std::string::npos);
}

TEST_CASE("what is no port is refused by name", "[cli]") {
  CHECK(why("8080:x").find("container port") != std::string::npos);
  CHECK(why("70000:80").find("host port") != std::string::npos);
  CHECK(why("8080:0").find("container port") != std::string::npos);
  CHECK(why("80/icmp").find("protocol") != std::string::npos);
  CHECK(why("host:80:80").find("address") != std::string::npos);
  CHECK(why("").find("container port") != std::string::npos);
}

TEST_CASE("the text of ports reads back as the same ports", "[cli]") {
  const std::vector<PublishedPort> ports = {{"", 8080, 80, "tcp"}, {"::1", 53, 53, "udp"}, {"127.0.0.1", 1, 2, "sctp"}};
  CHECK(published_text(ports) == "0.0.0.0:8080->80/tcp, [::1]:53->53/udp, 127.0.0.1:1->2/sctp");
  CHECK(published_from_text(published_text(ports)) == ports);
  CHECK(published_from_text("").empty());
}

TEST_CASE("ports conflict when number, protocol and address overlap", "[cli]") {
  CHECK(conflicts({"", 80, 1, "tcp"}, {"127.0.0.1", 80, 2, "tcp"}));
  CHECK_FALSE(conflicts({"", 80, 1, "tcp"}, {"", 80, 1, "udp"}));
  CHECK_FALSE(conflicts({"127.0.0.1", 80, 1, "tcp"}, {"127.0.0.2", 80, 1, "tcp"}));
  CHECK_FALSE(conflicts({"", 0, 1, "tcp"}, {"", 0, 1, "tcp"}));
}

TEST_CASE("a port with a listener is in use", "[cli]") {
  const auto [socket, number] = listener();
  std::vector<PublishedPort> ports = {{"127.0.0.1", number, 80, "tcp"}};
  const auto checked = check_and_choose(ports);
  REQUIRE_FALSE(checked);
  CHECK(checked.error().message() == "port " + std::to_string(number) + "/tcp is already in use");
}

TEST_CASE("a port left open is chosen, and one published twice refused", "[cli]") {
  std::vector<PublishedPort> any = {{"127.0.0.1", 0, 80, "tcp"}};
  REQUIRE(check_and_choose(any));
  CHECK(any[0].host > 0);
  std::vector<PublishedPort> twice = {any[0], any[0]};
  CHECK_FALSE(check_and_choose(twice));
}
