// SPDX-License-Identifier: Apache-2.0
#include "rootfs/oci/manifest.h"

#include <string>

#include "rootfs/oci/image_config.h"
#include "tests/support/catch.h"

namespace berth::rootfs {
namespace {

const std::string kDigest = "sha256:" + std::string(64, 'a');
const std::string kLayer = R"({"mediaType":"application/vnd.oci.image.layer.v1.tar+gzip","size":7,"digest":")" + kDigest + "\"}";
const std::string kConfig = R"({"mediaType":"application/vnd.oci.image.config.v1+json","size":5,"digest":")" + kDigest + "\"}";

std::string image(const std::string& layers, const std::string& more = "") {
  return R"({"schemaVersion":2,"config":)" + kConfig + ",\"layers\":[" + layers + "]" + more + "}";
}

std::string offered(const std::string& os, const std::string& arch, const std::string& variant, char mark) {
  return R"({"mediaType":"application/vnd.oci.image.manifest.v1+json","size":1,"digest":"sha256:)" + std::string(64, mark) +
         R"(","platform":{"os":")" + os + R"(","architecture":")" + arch + R"(","variant":")" + variant + "\"}}";
}

Manifest index_of(const std::string& entries) { return parse_manifest(R"({"schemaVersion":2,"manifests":[)" + entries + "]}").value(); }

TEST_CASE("an OCI manifest yields config and layers") {
  const auto manifest = parse_manifest(image(kLayer + "," + kLayer));
  REQUIRE(manifest.has_value());
  CHECK_FALSE(manifest->is_index);
  CHECK(manifest->layers.size() == 2);
  CHECK(manifest->layers[0].size == 7);
  CHECK(manifest->config.digest.str() == kDigest);
}

TEST_CASE("a Docker schema 2 manifest is an image too") {
  CHECK(parse_manifest(R"({"schemaVersion":2,"mediaType":"application/vnd.docker.distribution.manifest.v2+json","config":{"mediaType":"application/vnd.docker.container.image.v1+json","size":5,"digest":")" +
                       kDigest + R"("},"layers":[{"mediaType":"application/vnd.docker.image.rootfs.diff.tar.gzip","size":1,"digest":")" + kDigest + "\"}]}").has_value());
}

TEST_CASE("a document that is index and manifest at once is refused") {
  const auto both = parse_manifest(image(kLayer, ",\"manifests\":[]"));
  REQUIRE_FALSE(both.has_value());
  CHECK(both.error().code() == Code::kInvalidArgument);
  CHECK_THAT(both.error().message(), Catch::Contains("both an index and a manifest"));
}

TEST_CASE("schema 1 is refused by name") {
  const auto old = parse_manifest(R"({"schemaVersion":1,"fsLayers":[],"history":[]})");
  CHECK(old.error().code() == Code::kUnimplemented);
  CHECK_THAT(old.error().message(), Catch::Contains("schema 1"));
}

TEST_CASE("a media type that contradicts the content is refused") {
  CHECK_FALSE(parse_manifest(image(kLayer, R"(,"mediaType":"application/vnd.oci.image.index.v1+json")")).has_value());
  CHECK_FALSE(parse_manifest(image(kLayer, R"(,"mediaType":"text/html")")).has_value());
}

TEST_CASE("what is no manifest is refused") {
  for (const std::string text : {"", "<html>", "[]", "null", "{}", R"({"schemaVersion":2})", R"({"schemaVersion":"2","layers":[]})", "{\"schemaVersion\":2,\"layers\":[]}"}) {
    INFO(text);
    CHECK(parse_manifest(text).error().code() == Code::kInvalidArgument);
  }
  CHECK_FALSE(parse_manifest(std::string(100'000, '[')).has_value());
}

TEST_CASE("malformed descriptors are refused") {
  const auto layer = [](const std::string& digest, const std::string& size) {
    return R"({"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":")" + digest + R"(","size":)" + size + "}";
  };
  for (const auto& bad : {layer("sha256:AA/../x", "1"), layer("md5:00", "1"), layer(kDigest, "-1"), layer(kDigest, "1.5"), layer(kDigest, "\"1\""),
                          layer(kDigest, "99999999999999999999"), layer(kDigest, "null"), std::string("{}"), std::string("7")}) {
    INFO(bad);
    CHECK_FALSE(parse_manifest(image(bad)).has_value());
  }
}

TEST_CASE("layers that are no tar archives are unimplemented") {
  for (const std::string type : {"application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", "application/vnd.erofs", "application/x-squashfs", "application/vnd.oci.image.layer.v1.tar+encrypted"}) {
    INFO(type);
    const auto manifest = parse_manifest(image("{\"mediaType\":\"" + type + "\",\"size\":1,\"digest\":\"" + kDigest + "\"}"));
    CHECK(manifest.error().code() == Code::kUnimplemented);
  }
}

TEST_CASE("an image of too many layers is refused") {
  std::string layers = kLayer;
  for (size_t i = 0; i < kMaxLayers; ++i) layers += "," + kLayer;
  CHECK(parse_manifest(image(layers)).error().code() == Code::kResourceExhausted);
}

TEST_CASE("the platform of this machine is chosen from an index") {
  const auto index = index_of(offered("linux", "arm64", "v8", 'a') + "," + offered("linux", "amd64", "", 'b') + "," + offered("windows", "amd64", "", 'c'));
  CHECK(choose_platform(index, {"linux", "amd64", ""})->digest.hex()[0] == 'b');
  CHECK(choose_platform(index, {"linux", "arm64", ""})->digest.hex()[0] == 'a');
  const auto none = choose_platform(index, {"linux", "s390x", ""});
  CHECK(none.error().code() == Code::kNotFound);
  CHECK_THAT(none.error().message(), Catch::Contains("linux/s390x") && Catch::Contains("linux/amd64"));
}

TEST_CASE("the best variant wins and a newer one than the machine's is not taken") {
  const auto index = index_of(offered("linux", "arm", "v5", 'a') + "," + offered("linux", "arm", "v6", 'b') + "," + offered("linux", "arm", "v7", 'c'));
  CHECK(choose_platform(index, {"linux", "arm", "v7"})->digest.hex()[0] == 'c');
  CHECK(choose_platform(index, {"linux", "arm", "v6"})->digest.hex()[0] == 'b');
}

TEST_CASE("attestations in an index are no images") {
  const auto index = index_of(offered("unknown", "unknown", "", 'a') + "," + offered("linux", "amd64", "", 'b'));
  CHECK(choose_platform(index, {"linux", "amd64", ""})->digest.hex()[0] == 'b');
}

TEST_CASE("platforms are written os/architecture[/variant]") {
  CHECK(parse_platform("linux/x86_64")->str() == "linux/amd64");
  CHECK(parse_platform("linux/arm/v7")->str() == "linux/arm/v7");
  for (const std::string bad : {"", "linux", "linux/", "/amd64", "a/b/c/d"}) CHECK_FALSE(parse_platform(bad).has_value());
}

TEST_CASE("an image config yields what a runtime needs") {
  const auto parsed = parse_image_config(R"({"architecture":"amd64","os":"linux","config":{"User":"1:2","Env":["A=b"],"Entrypoint":["/e"],"Cmd":["c"],
    "WorkingDir":"/w","StopSignal":"SIGINT","Volumes":{"/v":{}},"ExposedPorts":{"80/tcp":{},"53/udp":{}},"Labels":{"k":"v"}},
    "rootfs":{"type":"layers","diff_ids":[")" + kDigest + "\"]}}");
  REQUIRE(parsed.has_value());
  CHECK(parsed->config.user == "1:2");
  CHECK(parsed->config.entrypoint == std::vector<std::string>{"/e"});
  CHECK(parsed->config.exposed_ports == std::vector<std::string>{"53/udp", "80/tcp"});
  CHECK(parsed->config.labels.at("k") == "v");
  CHECK(parsed->diff_ids.size() == 1);
}

TEST_CASE("null lists in an image config are empty") {
  CHECK(parse_image_config(R"({"config":{"Env":null,"Cmd":null,"Labels":null},"rootfs":{"diff_ids":null}})").has_value());
}

TEST_CASE("an image config of the wrong shape is refused") {
  for (const std::string text : {"", "[]", "{}", R"({"rootfs":{"diff_ids":["x"]}})", R"({"rootfs":{"diff_ids":[]},"config":{"Env":"A=b"}})",
                                 R"({"rootfs":{"diff_ids":[]},"config":{"Cmd":["a\u0000b"]}})", R"({"rootfs":{"diff_ids":[]},"config":{"User":7}})"}) {
    INFO(text);
    CHECK(parse_image_config(text).error().code() == Code::kInvalidArgument);
  }
}

TEST_CASE("chain ids are those of the image specification") {
  const Digest a = Digest::of("a");
  const Digest b = Digest::of("b");
  const auto chain = chain_ids({a, b});
  CHECK(chain[0] == a);
  CHECK(chain[1] == Digest::of(a.str() + " " + b.str()));
}

}  // namespace
}  // namespace berth::rootfs
