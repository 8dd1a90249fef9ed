// SPDX-License-Identifier: Apache-2.0
// Archives that try to leave the layer (security I01, I02). Each is unpacked beside a canary whose state is compared
// afterwards by the Sandbox; `outcome` says whether the archive may succeed inside the layer.
#include <atomic>
#include <thread>

#include "tests/support/requires.h"
#include "tests/unit/rootfs/tar_builder.h"

namespace berth::rootfs {
namespace {

using test::Sandbox;
using test::Tar;

enum class Outcome { kRefused, kInside };

struct Hostile {
  const char* what;
  Outcome outcome;
  std::string archive;
};

std::string nested_name(size_t size) { return std::string(size, 'n'); }

std::string broken_checksum() {
  std::string bytes = Tar().file("a").end();
  bytes[0] = 'b';
  return bytes;
}

std::string huge_pax() { return Tar().pax({{"comment", std::string(2u << 20, 'c')}}).file("a").end(); }

std::string endless_headers() {
  Tar tar;
  for (int i = 0; i < 100; ++i) tar.pax({{"comment", "c"}});
  return tar.file("a").end();
}

std::string sparse(const std::string& map, const std::string& size) {
  return Tar().pax({{"GNU.sparse.map", map}, {"GNU.sparse.size", size}, {"GNU.sparse.name", "s"}}).file("x", std::string(512, 'A')).end();
}

std::vector<Hostile> corpus(const std::string& canary) {
  using enum Outcome;
  return {
      {"dot dot", kRefused, Tar().file("../canary/file", "bad").end()},
      {"dot dot in the middle", kRefused, Tar().file("a/../../canary/file", "bad").end()},
      {"dot dot alone", kRefused, Tar().dir("..").end()},
      {"absolute path stays inside", kInside, Tar().file("/etc/x").end()},
      {"absolute path of the canary stays inside", kInside, Tar().file(canary + "/file", "bad").end()},
      {"root as a symbolic link", kRefused, Tar().symlink(".", canary).end()},
      {"root as a symbolic link, slash", kRefused, Tar().symlink("/", canary).end()},
      {"root as a file", kRefused, Tar().file("./", "x").end()},
      {"root as a hard link", kRefused, Tar().hardlink(".", "x").end()},
      {"empty name", kRefused, Tar().file("", "x").end()},
      {"file through a symbolic link", kRefused, Tar().symlink("d", canary).file("d/file", "bad").end()},
      {"file through a relative link", kRefused, Tar().symlink("d", "../canary").file("d/file", "bad").end()},
      {"directory through a symbolic link", kRefused, Tar().symlink("d", canary).dir("d/new").end()},
      {"directory, then link, then file", kRefused, Tar().dir("d").symlink("d", canary).file("d/file", "bad").end()},
      {"directory mode through a link of its name", kInside, Tar().dir("d", 0777).symlink("d", canary + "/dir").end()},
      {"link replaced by a directory", kInside, Tar().symlink("d", canary).dir("d", 0777).end()},
      {"link replaced by a file", kInside, Tar().symlink("f", canary + "/file").file("f", "bad", 0777).end()},
      {"chain of links", kRefused, Tar().symlink("a", "..").symlink("b", "a/canary").file("b/file", "bad").end()},
      {"hard link to dot dot", kRefused, Tar().hardlink("h", "../canary/file").end()},
      {"hard link to an absolute path", kRefused, Tar().hardlink("h", canary + "/file").end()},
      {"hard link through a symbolic link", kRefused, Tar().symlink("d", canary).hardlink("h", "d/file").end()},
      {"hard link to a symbolic link is a link to the link", kInside, Tar().symlink("s", canary + "/file").hardlink("h", "s").end()},
      {"writing over a hard link to a symbolic link", kInside, Tar().symlink("s", canary + "/file").hardlink("h", "s").file("h", "bad", 04777).end()},
      {"hard link to a directory", kRefused, Tar().dir("d").hardlink("h", "d").end()},
      {"hard link without target", kRefused, Tar().hardlink("h", "").end()},
      {"hard link over the parent of its target", kRefused, Tar().file("d/f").hardlink("d", "d/f").end()},
      {"whiteout of dot dot", kRefused, Tar().file(".wh...", "").end()},
      {"whiteout of dot", kRefused, Tar().file(".wh..", "").end()},
      {"whiteout of nothing", kRefused, Tar().file(".wh.", "").end()},
      {"whiteout through a symbolic link", kRefused, Tar().symlink("d", canary).file("d/.wh.file", "").end()},
      {"opaque mark through a symbolic link", kRefused, Tar().symlink("d", canary).file("d/.wh..wh..opq", "").end()},
      {"entry below a whiteout", kRefused, Tar().file(".wh.d/f", "").end()},
      {"many opaque marks", kInside, Tar().dir("d").file("d/.wh..wh..opq", "").file("d/.wh..wh..opq", "").file("d/.wh..wh..opq", "").end()},
      {"device that is a whiteout in disguise", kRefused, Tar().add({.name = "w", .type = '3'}).end()},
      {"device of an odd number", kRefused, Tar().add({.name = "w", .type = '3', .major = 0x7fffff, .minor = 1}).end()},
      {"PAX path with dot dot", kRefused, Tar().pax({{"path", "../canary/file"}}).file("ok", "bad").end()},
      {"PAX path with NUL", kRefused, Tar().pax({{"path", std::string("a\0b", 3)}}).file("ok").end()},
      {"PAX link path with NUL", kRefused, Tar().pax({{"linkpath", std::string("a\0b", 3)}}).symlink("s", "x").end()},
      {"global PAX path for every entry", kInside, Tar().pax({{"path", "../canary/file"}}, 'g').file("ok").end()},
      {"PAX size that lies", kRefused, Tar().pax({{"size", "99999999"}}).file("a", "short").end()},
      {"PAX size negative", kRefused, Tar().pax({{"size", "-1"}}).file("a").end()},
      {"PAX record length zero", kRefused, Tar().add({.name = "p", .type = 'x', .data = "0 path=x\n"}).file("a").end()},
      {"PAX record length beyond the header", kRefused, Tar().add({.name = "p", .type = 'x', .data = "999 path=x\n"}).file("a").end()},
      {"PAX record without newline", kRefused, Tar().add({.name = "p", .type = 'x', .data = "9 path=xy"}).file("a").end()},
      {"PAX header of two MiB", kRefused, huge_pax()},
      {"PAX headers without an entry", kRefused, Tar().pax({{"path", "x"}}).end()},
      {"endless extended headers", kRefused, endless_headers()},
      {"owner beyond 32 bits", kRefused, Tar().pax({{"uid", "4294967296"}}).file("a").end()},
      {"attribute name with NUL", kInside, Tar().pax({{std::string("SCHILY.xattr.user.a\0b", 21), "v"}}).file("a").end()},
      {"GNU long name of 100 KiB", kRefused, Tar().add({.name = "L", .type = 'L', .data = std::string(100u << 10, 'n')}).file("a").end()},
      {"name of 5000 bytes", kRefused, Tar().pax({{"path", nested_name(5000)}}).file("a").end()},
      {"component of 300 bytes", kRefused, Tar().pax({{"path", nested_name(300)}}).file("a").end()},
      {"file as a parent", kRefused, Tar().file("f").file("f/g").end()},
      {"device as a parent", kRefused, Tar().add({.name = "n", .type = '3', .major = 1, .minor = 3}).file("n/g").end()},
      {"symbolic link without target", kRefused, Tar().symlink("s", "").end()},
      {"unknown type", kRefused, Tar().add({.name = "z", .type = 'Z'}).end()},
      {"wrong checksum", kRefused, broken_checksum()},
      {"size beyond the archive", kRefused, Tar().add({.name = "a", .stated_size = 1 << 30}).bytes},
      {"sparse parts that overlap", kRefused, sparse("0,400,200,112", "1000")},
      {"sparse part beyond the end", kRefused, sparse("5000,512", "1000")},
      {"sparse part of negative size", kRefused, sparse("0,-512", "1000")},
      {"sparse file of 2^62 bytes", kRefused, sparse("0,512", "4611686018427387904")},
      {"sparse map that overflows", kRefused, sparse("9223372036854775807,512", "9223372036854775807")},
      {"sparse map with an odd count", kRefused, sparse("0,512,9", "1000")},
      {"names that differ in case and form", kInside, Tar().file("a").file("A").file("\xc3\xa9").file("e\xcc\x81").end()},
      {"the same file a hundred times", kInside, [] { Tar tar; for (int i = 0; i < 100; ++i) tar.file("same"); return tar.end(); }()},
      {"set-uid file before its owner changes", kInside, Tar().add({.name = "su", .data = "x", .mode = 06755, .uid = 9}).end()},
  };
}

TEST_CASE("no archive of the hostile corpus reaches the canary") {
  SKIP_UNLESS(::geteuid() == 0, "device nodes and owners need root");
  std::string canary;
  {
    Sandbox names;
    canary = names.root + "/canary";
  }
  size_t count = 0;
  for (const auto& hostile : corpus(canary)) {
    for (const bool second_layer : {false, true}) {
      Sandbox box;
      Sandbox lower;
      // The corpus names a canary by path: the one of this box.
      std::string archive = hostile.archive;
      for (size_t at = archive.find(canary); at != std::string::npos; at = archive.find(canary, at)) archive.replace(at, canary.size(), box.root + "/canary");
      // Paths of the canary are of one length, but checksums changed with them.
      for (size_t at = 0; at + 512 <= archive.size(); at += 512) {
        if (std::memcmp(archive.data() + at + 257, "ustar", 5) == 0 && hostile.what != std::string("wrong checksum")) Tar::finish(archive.data() + at);
      }
      UnpackOptions options;
      if (second_layer) {
        REQUIRE(lower.unpack(Tar().dir("d").file("d/file").symlink("s", box.root + "/canary").end()).has_value());
        options.lower = {lower.layer.get()};
      }
      INFO(hostile.what << (second_layer ? " as second layer" : ""));
      const auto report = box.unpack(archive, options);
      INFO((report ? "unpacked" : report.error().message()));
      CHECK(report.has_value() == (hostile.outcome == Outcome::kInside));
      if (!report) CHECK(report.error().code() != Code::kInternal);
      CHECK(box.canary() == box.before);
      ++count;
    }
  }
  CHECK(count >= 120);
}

TEST_CASE("a thousand bad layers leave no descriptor behind") {
  SKIP_UNLESS(::geteuid() == 0, "needs root");
  const auto open_fds = [] { return sys::list_directory("/proc/self/fd")->size(); };
  const std::string archive = Tar().dir("d").file("d/f").symlink("l", "/").file("l/x").end();
  Sandbox box;
  const size_t before = open_fds();
  for (int i = 0; i < 1000; ++i) REQUIRE_FALSE(box.unpack(archive).has_value());
  CHECK(open_fds() == before);
}

TEST_CASE("a racing writer in the target cannot lead the extractor out") {
  SKIP_UNLESS(::geteuid() == 0, "needs root");
  Sandbox box;
  std::atomic<bool> stop = false;
  std::jthread racer([&] {
    const std::string path = box.root + "/layer/d";
    const std::string target = box.root + "/canary";
    while (!stop) {
      ::rename(path.c_str(), (path + ".away").c_str());
      (void)!::symlink(target.c_str(), path.c_str());
      ::unlink(path.c_str());
      ::rename((path + ".away").c_str(), path.c_str());
    }
  });
  Tar tar;
  for (int i = 0; i < 20; ++i) tar.dir("d").file(concat("d/new", i), "bad").file("d/file", "bad");
  const std::string archive = tar.end();
  for (int i = 0; i < 200; ++i) (void)box.unpack(archive);
  stop = true;
  racer.join();
  CHECK(box.canary() == box.before);
}

}  // namespace
}  // namespace berth::rootfs
