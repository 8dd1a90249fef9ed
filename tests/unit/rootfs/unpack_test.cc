// SPDX-License-Identifier: Apache-2.0
#include "rootfs/unpack/unpack.h"

#include <functional>
#include <isa-l/igzip_lib.h>
#include <zstd.h>

#include "tests/support/requires.h"
#include "tests/unit/rootfs/tar_builder.h"

namespace berth::rootfs {
namespace {

using test::Sandbox;
using test::Tar;

std::string gzip(const std::string& text) {
  std::string out(text.size() + (64u << 10), '\0');
  isal_zstream stream;
  isal_deflate_stateless_init(&stream);
  stream.gzip_flag = IGZIP_GZIP;
  stream.end_of_stream = 1;
  stream.next_in = reinterpret_cast<uint8_t*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<uint32_t>(text.size());
  stream.next_out = reinterpret_cast<uint8_t*>(out.data());
  stream.avail_out = static_cast<uint32_t>(out.size());
  REQUIRE(isal_deflate_stateless(&stream) == COMP_OK);
  out.resize(stream.total_out);
  return out;
}

std::string zstd(const std::string& text) {
  std::string out(ZSTD_compressBound(text.size()), '\0');
  out.resize(ZSTD_compress(out.data(), out.size(), text.data(), text.size(), 3));
  return out;
}

bool is_root() { return ::geteuid() == 0; }

#define NEEDS_ROOT SKIP_UNLESS(is_root(), "owners and device nodes need root")

TEST_CASE("files, directories, links, modes, owners and times arrive") {
  NEEDS_ROOT;
  Sandbox box;
  Tar tar;
  tar.dir("etc", 0750).add({.name = "etc/passwd", .data = "root", .mode = 04755, .uid = 7, .gid = 8, .mtime = 1234});
  tar.symlink("etc/link", "/etc/passwd").hardlink("hard", "etc/passwd").add({.name = "fifo", .type = '6', .mode = 0600});
  tar.add({.name = "null", .type = '3', .mode = 0666, .major = 1, .minor = 3});
  tar.dir("./", 0711);
  const auto report = box.unpack(tar.end());
  REQUIRE(report.has_value());
  CHECK(report->entries == 7);
  CHECK(box.read("etc/passwd") == "root");
  CHECK((box.info("etc/passwd").st_mode & 07777) == 04755);
  CHECK(box.info("etc/passwd").st_uid == 7);
  CHECK(box.info("etc/passwd").st_mtim.tv_sec == 1234);
  CHECK((box.info("etc").st_mode & 07777) == 0750);
  CHECK(box.info("etc").st_mtim.tv_sec == 1000);
  CHECK(box.info("hard").st_ino == box.info("etc/passwd").st_ino);
  CHECK(S_ISLNK(box.info("etc/link").st_mode));
  CHECK(S_ISFIFO(box.info("fifo").st_mode));
  CHECK(box.info("null").st_rdev == 0x103);
  CHECK((box.info(".").st_mode & 07777) == 0711);
}

TEST_CASE("gzip, zstd and plain archives give the same tree") {
  NEEDS_ROOT;
  Tar tar;
  tar.file("a", std::string(300'000, 'q'));
  const std::string plain = tar.end();
  for (const auto& bytes : {plain, gzip(plain), zstd(plain)}) {
    Sandbox box;
    UnpackOptions options;
    options.diff_id = Digest::of(plain);
    options.compressed = Digest::of(bytes);
    REQUIRE(box.unpack(bytes, options).has_value());
    CHECK(box.read("a").size() == 300'000);
  }
}

TEST_CASE("several gzip members and several zstd frames are one stream") {
  NEEDS_ROOT;
  Tar tar;
  tar.file("a", std::string(3000, 'q')).file("b", "tail");
  const std::string plain = tar.end();
  Sandbox box;
  CHECK(box.unpack(gzip(plain.substr(0, 1000)) + gzip(plain.substr(1000))).has_value());
  CHECK(box.read("b") == "tail");
  Sandbox other;
  CHECK(other.unpack(zstd(plain.substr(0, 1000)) + zstd(plain.substr(1000))).has_value());
  CHECK(other.read("b") == "tail");
}

TEST_CASE("streams cut short anywhere are data loss and never a success") {
  NEEDS_ROOT;
  Tar tar;
  std::string noise;
  for (unsigned i = 0; i < 60'000; ++i) noise += static_cast<char>((i * 2654435761u) >> 13);
  tar.file("a", noise);
  UnpackOptions options;
  options.diff_id = Digest::of(tar.end());
  for (const auto& whole : {gzip(tar.end()), zstd(tar.end())}) {
    for (size_t cut = 0; cut + 1 < whole.size(); cut += 4096) {
      Sandbox box;
      const auto report = box.unpack(whole.substr(0, cut), options);
      REQUIRE_FALSE(report.has_value());
      CHECK(report.error().code() == Code::kDataLoss);
    }
    Sandbox box;
    CHECK_FALSE(box.unpack(whole.substr(0, whole.size() - 1), options).has_value());
  }
}

TEST_CASE("flipped bytes in compressed streams never unpack") {
  NEEDS_ROOT;
  Tar tar;
  tar.file("a", std::string(5000, 'q') + "zzz");
  for (const auto& whole : {gzip(tar.end()), zstd(tar.end())}) {
    for (size_t at = 4; at < whole.size(); at += 7) {
      std::string bad = whole;
      bad[at] = static_cast<char>(bad[at] ^ 0x55);
      Sandbox box;
      UnpackOptions options;
      options.compressed = Digest::of(whole);
      CHECK_FALSE(box.unpack(bad, options).has_value());
    }
  }
}

TEST_CASE("xz and bzip2 are refused by name") {
  Sandbox box;
  CHECK(box.unpack(std::string("\xfd" "7zXZ\0aaaaaa", 12)).error().code() == Code::kUnimplemented);
  CHECK(box.unpack("BZh91AY&SY").error().code() == Code::kUnimplemented);
}

TEST_CASE("a wrong diff id is data loss naming expected and got") {
  Sandbox box;
  UnpackOptions options;
  options.diff_id = Digest::of("something else");
  const auto report = box.unpack(Tar().end(), options);
  CHECK(report.error().code() == Code::kDataLoss);
  CHECK_THAT(report.error().message(), Catch::Contains(options.diff_id.str()) && Catch::Contains(Digest::of(Tar().end()).str()));
}

TEST_CASE("whiteouts become devices 0:0 and opaque directories carry the attribute") {
  NEEDS_ROOT;
  Sandbox box;
  REQUIRE(box.unpack(Tar().dir("d").file("d/.wh.gone", "").file("d/.wh..wh..opq", "").file(".wh.top", "").end()).has_value());
  CHECK(box.is_whiteout("d/gone"));
  CHECK(box.is_whiteout("top"));
  CHECK(box.xattr("d", "trusted.overlay.opaque") == "y");
  CHECK_FALSE(box.exists("d/.wh.gone"));
}

TEST_CASE("an opaque mark at the root of a layer works") {
  NEEDS_ROOT;
  Sandbox box;
  REQUIRE(box.unpack(Tar().file(".wh..wh..opq", "").end()).has_value());
  CHECK(box.xattr(".", "trusted.overlay.opaque") == "y");
}

TEST_CASE("a whiteout hides lower layers and never what its own layer brings") {
  NEEDS_ROOT;
  Sandbox box;
  REQUIRE(box.unpack(Tar().file("a").file(".wh.a", "").file(".wh.b", "").file("b").file(".wh.c", "").dir("c").dir("e").file(".wh.e", "").end()).has_value());
  CHECK(box.read("a") == "x");
  CHECK(box.read("b") == "x");
  CHECK(S_ISDIR(box.info("c").st_mode));
  CHECK(box.xattr("c", "trusted.overlay.opaque") == "y");
  CHECK(box.xattr("e", "trusted.overlay.opaque") == "y");
}

TEST_CASE("bookkeeping of old AUFS images is left out") {
  NEEDS_ROOT;
  Sandbox box;
  REQUIRE(box.unpack(Tar().dir(".wh..wh.plnk").file(".wh..wh.plnk/1.2").file(".wh..wh.aufs").end()).has_value());
  CHECK(sys::list_directory(box.layer.get())->empty());
}

TEST_CASE("later entries replace earlier ones of any kind") {
  NEEDS_ROOT;
  Sandbox box;
  Tar tar;
  tar.file("a").dir("a").file("a/in");               // file → directory
  tar.dir("b").file("b/in").file("b", "now a file");  // directory with content → file
  tar.symlink("c", "/canary").file("c", "no link");    // link → file
  tar.dir("d").file("d/keep").dir("d", 0700);          // directory twice
  REQUIRE(box.unpack(tar.end()).has_value());
  CHECK(box.read("a/in") == "x");
  CHECK(box.read("b") == "now a file");
  CHECK(S_ISREG(box.info("c").st_mode));
  CHECK(box.exists("d/keep"));
  CHECK((box.info("d").st_mode & 0777) == 0700);
}

TEST_CASE("a file that replaces a hard link leaves the other name alone") {
  NEEDS_ROOT;
  Sandbox box;
  REQUIRE(box.unpack(Tar().file("a", "one").hardlink("b", "a").file("b", "two").hardlink("a", "a").end()).has_value());
  CHECK(box.read("a") == "one");
  CHECK(box.read("b") == "two");
}

TEST_CASE("directories that no entry names look like those of the layers below") {
  NEEDS_ROOT;
  Sandbox lower;
  Sandbox box;
  REQUIRE(lower.unpack(Tar().add({.name = "tmp", .type = '5', .mode = 01777, .uid = 3}).end()).has_value());
  UnpackOptions options;
  options.lower = {lower.layer.get()};
  REQUIRE(box.unpack(Tar().file("tmp/f").file("new/f").end(), options).has_value());
  CHECK((box.info("tmp").st_mode & 07777) == 01777);
  CHECK(box.info("tmp").st_uid == 3);
  CHECK((box.info("new").st_mode & 07777) == 0755);
}

TEST_CASE("a hard link to a file of a lower layer becomes a copy") {
  NEEDS_ROOT;
  Sandbox lower;
  Sandbox box;
  REQUIRE(lower.unpack(Tar().file("bin/tool", "tool", 04755).end()).has_value());
  UnpackOptions options;
  options.lower = {lower.layer.get()};
  REQUIRE(box.unpack(Tar().hardlink("alias", "bin/tool").end(), options).has_value());
  CHECK(box.read("alias") == "tool");
  CHECK((box.info("alias").st_mode & 07777) == 04755);
}

TEST_CASE("PAX headers bring long names, sub-second times, large owners and attributes") {
  NEEDS_ROOT;
  Sandbox box;
  const std::string name = "dir/" + std::string(200, 'n') + "/é";
  Tar tar;
  tar.pax({{"path", name}, {"mtime", "12.25"}, {"uid", "3000000"}, {"SCHILY.xattr.trusted.overlay.opaque", "y"}, {"SCHILY.xattr.security.selinux", "x"}}).file("short");
  REQUIRE(box.unpack(tar.end()).has_value());
  CHECK(box.read(name) == "x");
  CHECK(box.info(name).st_mtim.tv_nsec == 250'000'000);
  CHECK(box.info(name).st_uid == 3'000'000);
  CHECK(box.xattr(name, "trusted.overlay.opaque") == "<none>");
  CHECK(box.xattr(name, "security.selinux") == "<none>");
}

TEST_CASE("file capabilities survive the change of owner") {
  NEEDS_ROOT;
  Sandbox box;
  const std::string capability("\x01\x00\x00\x02\x00\x20\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00", 20);
  Tar tar;
  tar.pax({{"SCHILY.xattr.security.capability", capability}}).add({.name = "ping", .data = "x", .mode = 0755, .uid = 5});
  REQUIRE(box.unpack(tar.end()).has_value());
  CHECK(box.xattr("ping", "security.capability") == capability);
}

TEST_CASE("GNU long names and long links are followed to their entry") {
  NEEDS_ROOT;
  Sandbox box;
  const std::string name = std::string(150, 'a') + "/" + std::string(150, 'b');
  Tar tar;
  tar.add({.name = "././@LongLink", .type = 'L', .data = name + '\0'}).file("ignored", "long");
  tar.add({.name = "././@LongLink", .type = 'K', .data = std::string(300, 't')}).symlink("link", "short");
  REQUIRE(box.unpack(tar.end()).has_value());
  CHECK(box.read(name) == "long");
  CHECK(box.info("link").st_size == 300);
}

TEST_CASE("sparse files keep their size and their holes") {
  NEEDS_ROOT;
  const std::string data = std::string(512, 'A') + std::string(512, 'B');
  const auto check = [&](const std::string& archive) {
    Sandbox box;
    const auto report = box.unpack(archive);
    INFO((report ? "" : report.error().message()));
    REQUIRE(report.has_value());
    const std::string content = box.read("sparse");
    REQUIRE(content.size() == 100'000);
    CHECK(content.substr(0, 512) == std::string(512, 'A'));
    CHECK(content[600] == '\0');
    CHECK(content.substr(50'000, 512) == std::string(512, 'B'));
  };
  check(Tar().pax({{"GNU.sparse.map", "0,512,50000,512"}, {"GNU.sparse.size", "100000"}, {"GNU.sparse.name", "sparse"}}).file("x", data).end());
  std::string map = "2\n0\n512\n50000\n512\n";
  map.resize(512, '\0');
  check(Tar().pax({{"GNU.sparse.major", "1"}, {"GNU.sparse.minor", "0"}, {"GNU.sparse.name", "sparse"}, {"GNU.sparse.realsize", "100000"}}).file("x", map + data).end());
  Tar old;
  old.add({.name = "sparse", .type = 'S', .data = data});
  char* header = old.bytes.data();
  std::memset(header + 345, 0, 155);
  Tar::octal(header + 386, 12, 0);
  Tar::octal(header + 398, 12, 512);
  Tar::octal(header + 410, 12, 50'000);
  Tar::octal(header + 422, 12, 512);
  Tar::octal(header + 483, 12, 100'000);
  Tar::finish(header);
  check(old.end());
}

TEST_CASE("limits on entries, depth and expansion hold") {
  NEEDS_ROOT;
  Sandbox box;
  UnpackOptions options;
  options.limits.entries = 3;
  CHECK(box.unpack(Tar().file("1").file("2").file("3").file("4").end(), options).error().code() == Code::kResourceExhausted);
  std::string deep;
  for (int i = 0; i < 300; ++i) deep += "d/";
  CHECK(box.unpack(Tar().pax({{"path", deep + "f"}}).file("x").end()).error().code() == Code::kResourceExhausted);
  UnpackOptions small;
  small.limits.ratio_free_bytes = 1 << 20;
  CHECK(box.unpack(zstd(Tar().file("bomb", std::string(8u << 20, '\0')).end()), small).error().code() == Code::kResourceExhausted);
}

TEST_CASE("a check that says stop stops") {
  Sandbox box;
  UnpackOptions options;
  options.check = []() -> Result<> { return fail(Code::kCancelled, "cancelled"); };
  CHECK(box.unpack(Tar().file("a").end(), options).error().code() == Code::kCancelled);
}

TEST_CASE("trees deeper than any path are removed and measured") {
  Sandbox box;
  Fd here(::dup(box.layer.get()));
  for (int i = 0; i < 3000; ++i) {
    REQUIRE(::mkdirat(here.get(), "deeper", 0755) == 0);
    here = Fd(::openat(here.get(), "deeper", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  }
  CHECK(measure_tree(box.root + "/layer")->inodes == 3001);
  CHECK(remove_tree(box.root + "/layer/deeper").has_value());
  CHECK_FALSE(box.exists("deeper"));
}

}  // namespace
}  // namespace berth::rootfs
