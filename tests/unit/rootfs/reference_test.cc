// SPDX-License-Identifier: Apache-2.0
#include "rootfs/oci/reference.h"

#include <string>

#include "rootfs/content/digest.h"
#include "rootfs/images.h"
#include "tests/support/catch.h"

namespace berth::rootfs {
namespace {

const std::string kHex(64, 'a');
const std::string kDigest = "sha256:" + kHex;

struct Good {
  std::string typed;
  std::string normal;
};

TEST_CASE("references are completed as docker does") {
  const Good cases[] = {
      {"busybox", "docker.io/library/busybox:latest"},
      {"busybox:1.36", "docker.io/library/busybox:1.36"},
      {"library/busybox", "docker.io/library/busybox:latest"},
      {"docker.io/busybox", "docker.io/library/busybox:latest"},
      {"docker.io/library/busybox:latest", "docker.io/library/busybox:latest"},
      {"index.docker.io/busybox", "docker.io/library/busybox:latest"},
      {"user/app", "docker.io/user/app:latest"},
      {"a/b/c", "docker.io/a/b/c:latest"},
      {"localhost/app", "localhost/app:latest"},
      {"localhost:5000/app", "localhost:5000/app:latest"},
      {"127.0.0.1:5000/web", "127.0.0.1:5000/web:latest"},
      {"127.0.0.1/web:v1", "127.0.0.1/web:v1"},
      {"[::1]:5000/web", "[::1]:5000/web:latest"},
      {"[fe80::1]/web", "[fe80::1]/web:latest"},
      {"registry.k8s.io/pause:3.10", "registry.k8s.io/pause:3.10"},
      {"quay.io/a/b/c/d:e", "quay.io/a/b/c/d:e"},
      {"Example.COM/app", "Example.COM/app:latest"},
      {"HOST/app", "HOST/app:latest"},
      {"my-host/app", "docker.io/my-host/app:latest"},
      {"a.b", "docker.io/library/a.b:latest"},
      {"a__b", "docker.io/library/a__b:latest"},
      {"a---b", "docker.io/library/a---b:latest"},
      {"a_b.c-d", "docker.io/library/a_b.c-d:latest"},
      {"x:A_b.C-9", "docker.io/library/x:A_b.C-9"},
      {"x:_", "docker.io/library/x:_"},
      {"x@" + kDigest, "docker.io/library/x@" + kDigest},
      {"x:v1@" + kDigest, "docker.io/library/x:v1@" + kDigest},
      {"host:1/x@" + kDigest, "host:1/x@" + kDigest},
      {"sha256:abc", "docker.io/library/sha256:abc"},
      {"x:" + std::string(128, 't'), "docker.io/library/x:" + std::string(128, 't')},
  };
  for (const auto& test : cases) {
    INFO(test.typed);
    const auto normal = normalize_reference(test.typed);
    REQUIRE(normal.has_value());
    CHECK(*normal == test.normal);
    CHECK(normalize_reference(*normal).value() == test.normal);
  }
}

TEST_CASE("references outside the grammar are refused with the rule that they break") {
  const Good cases[] = {
      {"", "empty"},
      {"Busybox", "lower case"},
      {"docker.io/library/Busybox", "lower case"},
      {"a//b", "valid part"},
      {"/a", "valid part"},
      {"a/", "valid part"},
      {"a..b", "valid part"},
      {"a___b", "valid part"},
      {"-a", "valid part"},
      {"a-", "valid part"},
      {"a b", "valid part"},
      {"x:", "not a tag"},
      {"x:.v", "not a tag"},
      {"x:-v", "not a tag"},
      {"x:a/b", "number"},
      {"x:" + std::string(129, 't'), "not a tag"},
      {"x@", "digest"},
      {"x@sha256:abc", "64 hexadecimal"},
      {"x@sha256:" + std::string(64, 'A'), "lower-case"},
      {"x@md5:" + std::string(32, 'a'), "sha256"},
      {"x@" + kDigest + "@" + kDigest, "64 hexadecimal"},
      {"https://docker.io/x", "scheme"},
      {kHex, "id of an image"},
      {kDigest, "id of an image"},
      {"host:port/x", "host name"},
      {"host:99999/x", "host name"},
      {"-host.com/x", "host name"},
      {"[::1/x", "host name"},
      {"[zz::]/x", "host name"},
      {"x\ny", "valid part"},
      {std::string("x\0y", 3), "valid part"},
      {"h.io/" + std::string(256, 'a'), "255"},
      {std::string(3000, 'a'), "2048"},
      {"../../etc/passwd", "host name"},
      {"a/../b", "valid part"},
  };
  for (const auto& test : cases) {
    INFO(test.typed);
    const auto normal = normalize_reference(test.typed);
    REQUIRE_FALSE(normal.has_value());
    CHECK(normal.error().code() == Code::kInvalidArgument);
    if (test.normal != "number") CHECK_THAT(normal.error().message(), Catch::Contains(test.normal));
  }
}

TEST_CASE("a reference with a digest is stored by the digest alone") {
  CHECK(parse_reference("x:v1@" + kDigest)->key() == "docker.io/library/x@" + kDigest);
  CHECK(parse_reference("x:v1")->key() == "docker.io/library/x:v1");
}

TEST_CASE("digests are checked before they become file names") {
  CHECK(Digest::parse(kDigest).has_value());
  for (const std::string bad : {"", "sha256", "sha256:", "sha256:..", "sha256:AA/../x", "md5:00", "sha256:../../../../etc/passwd"}) {
    INFO(bad);
    CHECK_FALSE(Digest::parse(bad).has_value());
  }
  CHECK_FALSE(Digest::parse("sha256:" + std::string(1 << 20, 'a')).has_value());
  CHECK(Digest::parse("sha256:" + std::string(1 << 20, 'a')).error().message().size() < 300);
}

TEST_CASE("the digest of nothing is the one everybody knows") {
  CHECK(Digest::of("").str() == "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  Sha256 hash;
  hash.update("a");
  hash.update("bc");
  CHECK(hash.finish() == Digest::of("abc"));
  CHECK(hash.finish() == Digest::of(""));
}

}  // namespace
}  // namespace berth::rootfs
