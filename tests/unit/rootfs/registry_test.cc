// SPDX-License-Identifier: Apache-2.0
#include "rootfs/registry/auth.h"
#include "rootfs/registry/hosts.h"
#include "rootfs/registry/http.h"
#include "tests/support/catch.h"

namespace berth::rootfs {
namespace {

Origin origin(const std::string& url) { return origin_of(url).value(); }

TEST_CASE("loopback registries are plain HTTP and others HTTPS without configuration") {
  const auto base = [](const std::string& domain) { return registry_endpoints("/nonexistent", domain).value().front().base; };
  CHECK(base("127.0.0.1:5000") == "http://127.0.0.1:5000/v2");
  CHECK(base("localhost") == "http://localhost/v2");
  CHECK(base("[::1]:80") == "http://[::1]:80/v2");
  CHECK(base("docker.io") == "https://registry-1.docker.io/v2");
  CHECK(base("quay.io") == "https://quay.io/v2");
  CHECK(base("127.example.com") == "https://127.example.com/v2");
}

TEST_CASE("mirrors of hosts.toml come in the order of the file and the server last") {
  const auto endpoints = parse_hosts_toml(R"(
server = "https://up.example"
[host."https://zz.example"]
  capabilities = ["pull"]
[host."http://aa.example:5000/proxy/v2"]
  capabilities = ["pull", "resolve"]
  override_path = true
  skip_verify = true
)", "/etc", "reg.example");
  REQUIRE(endpoints.has_value());
  REQUIRE(endpoints->size() == 3);
  CHECK((*endpoints)[0].base == "https://zz.example/v2");
  CHECK_FALSE((*endpoints)[0].can_resolve);
  CHECK((*endpoints)[1].base == "http://aa.example:5000/proxy/v2");
  CHECK((*endpoints)[1].tls.skip_verify);
  CHECK((*endpoints)[1].name_space == "reg.example");
  CHECK((*endpoints)[2].base == "https://up.example/v2");
  CHECK((*endpoints)[2].name_space.empty());
  CHECK_FALSE((*endpoints)[2].tls.skip_verify);
}

TEST_CASE("hosts.toml with mistakes is refused by key") {
  for (const std::string text : {"server = 7", "server = \"ftp://x\"", "[host.\"https://u:p@x\"]", "[host]\n\"https://x\" = 1",
                                 "[host.\"https://x\"]\ncapabilities = [\"fly\"]", "[host.\"https://x\"]\nskip_verify = \"yes\"", "= broken",
                                 "[host.\"https://x\".header]\nA = \"x\\r\\nB: y\""}) {
    INFO(text);
    const auto endpoints = parse_hosts_toml(text, "/etc", "reg.example");
    REQUIRE_FALSE(endpoints.has_value());
    CHECK(endpoints.error().code() == Code::kInvalidArgument);
    CHECK_THAT(endpoints.error().message(), Catch::StartsWith("hosts.toml"));
  }
}

TEST_CASE("an authority that cannot be read is an error, not no verification") {
  CHECK_FALSE(parse_hosts_toml("[host.\"https://x\"]\nca = \"nope.pem\"", "/nonexistent", "x").has_value());
}

TEST_CASE("origins compare by scheme, host and port") {
  CHECK(origin("https://A.example/x") == origin("https://a.example:443/y"));
  CHECK_FALSE(origin("https://a.example") == origin("http://a.example"));
  CHECK_FALSE(origin("https://a.example") == origin("https://a.example:444"));
  CHECK(origin("http://[::1]:5000/").host == "::1");
  CHECK(origin("http://[::1]:5000/").authority() == "[::1]:5000");
  for (const std::string bad : {"", "x", "ftp://a", "file:///etc/passwd", "https://user@host/", "https://"}) CHECK_FALSE(origin_of(bad).has_value());
}

TEST_CASE("loopback is recognised by name only where it is one") {
  for (const std::string yes : {"localhost", "127.0.0.1", "127.9.9.9", "::1", "[::1]"}) CHECK(is_loopback_host(yes));
  for (const std::string no : {"localhost.example", "128.0.0.1", "127.0.0.1.example", "0x7f000001", "::2", ""}) CHECK_FALSE(is_loopback_host(no));
}

TEST_CASE("challenges are parsed with quotes, commas and spaces inside") {
  const auto challenge = parse_challenge(R"(Bearer realm="https://auth.example/t?a=1,2", service="reg \"x\"",scope="repository:a/b:pull")");
  CHECK(challenge.scheme == "bearer");
  CHECK(challenge.parameters.at("realm") == "https://auth.example/t?a=1,2");
  CHECK(challenge.parameters.at("service") == "reg \"x\"");
  CHECK(challenge.parameters.at("scope") == "repository:a/b:pull");
  CHECK(parse_challenge("BASIC realm=x").scheme == "basic");
  CHECK(parse_challenge("").scheme.empty());
  CHECK(parse_challenge("Bearer realm=\"unterminated").parameters.contains("realm"));
}

TEST_CASE("credentials go only to a token service of the same owner") {
  CHECK(realm_may_have_credentials(origin("https://registry-1.docker.io"), origin("https://auth.docker.io/token")));
  CHECK(realm_may_have_credentials(origin("https://r.example:5000"), origin("https://r.example/t")));
  CHECK_FALSE(realm_may_have_credentials(origin("https://registry-1.docker.io"), origin("https://auth.evil.io/token")));
  CHECK_FALSE(realm_may_have_credentials(origin("https://a.co.uk"), origin("https://b.co.uk")));
  CHECK_FALSE(realm_may_have_credentials(origin("https://r.example"), origin("http://r.example/t")));
  CHECK_FALSE(realm_may_have_credentials(origin("http://10.0.0.1"), origin("https://10.9.0.1")));
}

TEST_CASE("queries are percent-encoded") { CHECK(percent_encode("repository:a/b:pull é&=") == "repository%3Aa%2Fb%3Apull%20%C3%A9%26%3D"); }

}  // namespace
}  // namespace berth::rootfs
