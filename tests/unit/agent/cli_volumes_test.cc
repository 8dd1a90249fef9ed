// SPDX-License-Identifier: Apache-2.0
#include <sys/stat.h>

#include <cstdlib>

#include "agent/cli/volumes.h"
#include "runtime/sys/file.h"
#include "tests/support/catch.h"

using namespace berth;
using namespace berth::cli;

namespace {

std::string why(const Result<Volume>& volume) {
  REQUIRE_FALSE(volume);
  CHECK(volume.error().code() == Code::kInvalidArgument);
  return volume.error().message();
}

struct Scratch {
  std::string path;
  Scratch() {
    char name[] = "/tmp/berth-cli-test-XXXXXX";
    path = ::mkdtemp(name);
  }
  ~Scratch() { (void)sys::remove_tree(path); }
};

}  // namespace

TEST_CASE("a volume with an absolute source is a bind", "[cli]") {
  const auto volume = parse_volume("/srv/data:/data:ro,z", "/home");
  REQUIRE(volume);
  CHECK(volume->kind == Volume::Kind::kBind);
  CHECK(volume->source == "/srv/data");
  CHECK(volume->target == "/data");
  CHECK(volume->read_only);
  CHECK(volume->relabel);
}

TEST_CASE("a relative source is resolved against the working directory", "[cli]") {
  CHECK(parse_volume("./a/../b:/data", "/home/me")->source == "/home/me/b");
  CHECK(parse_volume("..:/data", "/home/me")->source == "/home");
  CHECK(parse_volume(".:/data", "/home/me")->source == "/home/me");
}

TEST_CASE("a source without a slash is a named volume", "[cli]") {
  const auto volume = parse_volume("cache:/var/cache", "/");
  REQUIRE(volume);
  CHECK(volume->kind == Volume::Kind::kNamed);
  CHECK(volume->source == "cache");
  CHECK(why(parse_volume("a b:/x", "/")).find("name") != std::string::npos);
  CHECK(why(parse_volume("a:/x", "/")).find("two or more") != std::string::npos);
  CHECK(why(parse_volume("..evil/x:/x", "/")).find("name") != std::string::npos);
}

TEST_CASE("a volume without a source is anonymous", "[cli]") {
  CHECK(parse_volume("/data", "/")->kind == Volume::Kind::kAnonymous);
}

TEST_CASE("the target of a volume must be absolute and not the root", "[cli]") {
  CHECK(why(parse_volume("/a:b", "/")).find("absolute") != std::string::npos);
  CHECK(why(parse_volume("/a:/x/..", "/")).find("must not be /") != std::string::npos);
  CHECK(why(parse_volume(":/x", "/")).find("source is empty") != std::string::npos);
  CHECK(why(parse_volume("/a:/b:ro:x", "/")).find("colons") != std::string::npos);
  CHECK(why(parse_volume("/a:/b:fast", "/")).find("\"fast\"") != std::string::npos);
}

TEST_CASE("propagation is taken in both spellings", "[cli]") {
  CHECK(parse_volume("/a:/b:rslave", "/")->propagation == "rslave");
  CHECK(parse_volume("/a:/b:shared", "/")->propagation == "rshared");
}

TEST_CASE("a mount is a list of fields", "[cli]") {
  const auto bind = parse_mount("type=bind,source=/a,target=/b,readonly", "/");
  REQUIRE(bind);
  CHECK(bind->kind == Volume::Kind::kBind);
  CHECK(bind->read_only);
  CHECK_FALSE(bind->create_source);
  CHECK(parse_mount("type=tmpfs,dst=/t", "/")->kind == Volume::Kind::kTmpfs);
  CHECK(parse_mount("src=cache,dst=/t", "/")->kind == Volume::Kind::kNamed);
  CHECK(why(parse_mount("type=bind,target=/b", "/")).find("source") != std::string::npos);
  CHECK(why(parse_mount("type=npipe,target=/b", "/")).find("npipe") != std::string::npos);
  CHECK(why(parse_mount("type=bind,source=/a,target=/b,colour=red", "/")).find("colour") != std::string::npos);
}

TEST_CASE("a tmpfs takes a mode and refuses what it cannot do by name", "[cli]") {
  CHECK(parse_tmpfs("/run:mode=755")->mode == 0755);
  CHECK(parse_tmpfs("/run")->mode == 01777);
  CHECK(why(parse_tmpfs("/run:size=1m")).find("size=1m") != std::string::npos);
  CHECK(why(parse_tmpfs("/run:mode=9")).find("octal") != std::string::npos);
}

TEST_CASE("a missing bind source is made for -v and refused for --mount", "[cli]") {
  const Scratch scratch;
  auto volume = *parse_volume(scratch.path + "/new:/data", "/");
  REQUIRE(prepare_volume(volume, scratch.path, scratch.path + "/s", 0));
  CHECK(sys::path_exists(scratch.path + "/new"));
  auto mount = *parse_mount("type=bind,source=" + scratch.path + "/absent,target=/data", "/");
  CHECK_FALSE(prepare_volume(mount, scratch.path, scratch.path + "/s", 0));
  CHECK_FALSE(sys::path_exists(scratch.path + "/absent"));
}

TEST_CASE("a named volume lives below the root, a tmpfs has its mode", "[cli]") {
  const Scratch scratch;
  CHECK(*prepare_volume(*parse_volume("cache:/c", "/"), scratch.path, scratch.path + "/s", 0) ==
        scratch.path + "/volumes/cache/_data");
  const auto tmpfs = prepare_volume(*parse_tmpfs("/t:mode=1700"), scratch.path, scratch.path + "/s", 3);
  REQUIRE(tmpfs);
  struct stat info{};
  REQUIRE(::stat(tmpfs->c_str(), &info) == 0);
  CHECK((info.st_mode & 07777) == 01700);
}
