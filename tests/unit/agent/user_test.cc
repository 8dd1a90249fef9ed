// SPDX-License-Identifier: Apache-2.0
// Users and groups of containers: numbers stay numbers (CVE-2016-3697, CVE-2024-40635), groups hold the primary one.
#include "agent/pods/user.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cstdlib>

#include "runtime/base/strings.h"
#include "runtime/sys/file.h"
#include "tests/support/catch.h"
#include "tests/support/requires.h"

using namespace berth;
using pods::UserRequest;

namespace {

constexpr const char* kPasswd =
    "root:x:0:0:root:/root:/bin/sh\n"
    "web:x:1000:1000::/home/web:/bin/sh\n"
    "2000:x:0:0:a trap::\n"
    "broken:x:nan:0::\n"
    "+0:x:0:0:::\n";
constexpr const char* kGroup = "root:x:0:\nweb:x:1000:\nstaff:x:50000:web,other\nops:x:1234:other\n";

Result<oci::User> image_user(const std::string& user) {
  UserRequest request;
  request.image_user = user;
  return pods::resolve_user(request, kPasswd, kGroup);
}

Result<oci::User> run_as(int64_t uid) {
  UserRequest request;
  request.uid = uid;
  return pods::resolve_user(request, kPasswd, kGroup);
}

// A directory of its own below /tmp, removed at the end.
struct Scratch {
  std::string path = concat("/tmp/berth-user-test-", ::getpid(), "-", random_hex(4));
  Scratch() { REQUIRE(sys::make_directories(path + "/etc", 0755)); }
  ~Scratch() { (void)sys::remove_tree(path); }
  void write(const std::string& name, const std::string& text) const {
    REQUIRE(sys::replace_file(path + "/" + name, text, 0644, false));
  }
};

}  // namespace

TEST_CASE("an image without a user runs as root with group root") {
  const auto user = image_user("");
  REQUIRE(user);
  CHECK(user->uid == 0);
  CHECK(user->additional_gids == std::vector<uint32_t>{0});
}

TEST_CASE("a name is looked up in the image's passwd and brings its groups") {
  const auto user = image_user("web");
  REQUIRE(user);
  CHECK(user->uid == 1000);
  CHECK(user->gid == 1000);
  CHECK(user->additional_gids == std::vector<uint32_t>{1000, 50000});
}

TEST_CASE("digits are a number even when passwd has an account of that name") {
  const auto user = image_user("2000");
  REQUIRE(user);
  CHECK(user->uid == 2000);
  CHECK(user->gid == 0);
}

TEST_CASE("numbers out of range are refused and never wrap to root") {
  for (const char* text : {"2147483648", "4294967295", "4294967296", "99999999999999999999", "-1", "+0", "0x0", " 0",
                           "1000\n", "0:", ":0"}) {
    CAPTURE(text);
    const auto user = image_user(text);
    REQUIRE_FALSE(user);
    CHECK(user.error().code() == Code::kInvalidArgument);
  }
  CHECK_FALSE(run_as(2147483648));
  CHECK_FALSE(run_as(-1));
}

TEST_CASE("a uid without an account gets group root") {
  const auto user = run_as(4242);
  REQUIRE(user);
  CHECK(user->uid == 4242);
  CHECK(user->gid == 0);
}

TEST_CASE("user and group may both be numbers or names") {
  const auto numbers = image_user("1000:0");
  REQUIRE(numbers);
  CHECK(numbers->gid == 0);
  const auto names = image_user("web:staff");
  REQUIRE(names);
  CHECK(names->gid == 50000);
  CHECK_FALSE(image_user("web:nobody-has-this"));
}

TEST_CASE("a name without an account is refused") {
  CHECK_FALSE(image_user("nobody-has-this"));
  CHECK_FALSE(image_user("broken"));
}

TEST_CASE("a group without a user is refused, whatever the image says") {
  UserRequest request;
  request.gid = 1000;
  request.image_user = "web";
  const auto user = pods::resolve_user(request, kPasswd, kGroup);
  REQUIRE_FALSE(user);
  CHECK(user.error().code() == Code::kInvalidArgument);
}

TEST_CASE("uid and user name exclude each other") {
  UserRequest request;
  request.uid = 1;
  request.name = "web";
  CHECK_FALSE(pods::resolve_user(request, kPasswd, kGroup));
}

TEST_CASE("supplemental groups are merged with the image's, ascending, with the primary one") {
  UserRequest request;
  request.uid = 1000;
  request.supplemental_groups = {1234};
  const auto merged = pods::resolve_user(request, kPasswd, kGroup);
  REQUIRE(merged);
  CHECK(merged->additional_gids == std::vector<uint32_t>{1000, 1234, 50000});
  request.strict_groups = true;
  const auto strict = pods::resolve_user(request, kPasswd, kGroup);
  REQUIRE(strict);
  CHECK(strict->additional_gids == std::vector<uint32_t>{1000, 1234});
}

TEST_CASE("the uppermost layer's passwd counts, and a link that leaves the layer is not followed to the host") {
  const Scratch upper, lower;
  lower.write("etc/passwd", "lower");
  CHECK(pods::read_image_file({upper.path, lower.path}, "etc/passwd").value() == "lower");
  upper.write("etc/passwd", "upper");
  CHECK(pods::read_image_file({upper.path, lower.path}, "etc/passwd").value() == "upper");
  const Scratch evil;
  REQUIRE(::symlink("/etc/passwd", (evil.path + "/etc/passwd2").c_str()) == 0);
  REQUIRE(::symlink("../../../../../../etc/hostname", (evil.path + "/etc/group").c_str()) == 0);
  CHECK(pods::read_image_file({evil.path}, "etc/group").value().empty());
  CHECK(pods::read_image_file({evil.path}, "etc/passwd2").value().empty());
}

TEST_CASE("a passwd that is a fifo is refused without waiting on it") {
  const Scratch layer;
  REQUIRE(::mkfifo((layer.path + "/etc/passwd").c_str(), 0644) == 0);
  CHECK_FALSE(pods::read_image_file({layer.path}, "etc/passwd"));
}

TEST_CASE("whiteouts and opaque directories hide the layers below") {
  SKIP_UNLESS(::geteuid() == 0, "needs root");
  const Scratch upper, lower;
  lower.write("etc/passwd", "lower");
  REQUIRE(::mknod((upper.path + "/etc/passwd").c_str(), S_IFCHR | 0600, makedev(0, 0)) == 0);
  CHECK(pods::read_image_file({upper.path, lower.path}, "etc/passwd").value().empty());
  const Scratch opaque;
  if (::setxattr((opaque.path + "/etc").c_str(), "trusted.overlay.opaque", "y", 1, 0) != 0) return;
  CHECK(pods::read_image_file({opaque.path, lower.path}, "etc/passwd").value().empty());
}
