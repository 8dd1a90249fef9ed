// SPDX-License-Identifier: Apache-2.0
// Archives in memory, honest and hostile, and a directory to unpack them in, beside a canary that must stay as it is.
#pragma once

#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <string>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "rootfs/snapshot/tree.h"
#include "rootfs/unpack/unpack.h"
#include "runtime/base/strings.h"
#include "runtime/sys/file.h"
#include "tests/support/catch.h"

namespace berth::rootfs::test {

struct TarHeader {
  std::string name = {};
  char type = '0';
  std::string data = {};
  std::string link = {};
  unsigned mode = 0644;
  unsigned uid = 0;
  unsigned gid = 0;
  long mtime = 1000;
  unsigned major = 0;
  unsigned minor = 0;
  std::string prefix = {};
  long stated_size = -1;
};

class Tar {
 public:
  Tar& add(const TarHeader& h) {
    char block[512] = {};
    std::memcpy(block, h.name.data(), std::min<size_t>(h.name.size(), 100));
    octal(block + 100, 8, h.mode);
    octal(block + 108, 8, h.uid);
    octal(block + 116, 8, h.gid);
    octal(block + 124, 12, static_cast<unsigned long>(h.stated_size >= 0 ? h.stated_size : static_cast<long>(h.data.size())));
    octal(block + 136, 12, static_cast<unsigned long>(h.mtime));
    block[156] = h.type;
    std::memcpy(block + 157, h.link.data(), std::min<size_t>(h.link.size(), 100));
    std::memcpy(block + 257, "ustar\00000", 8);
    octal(block + 329, 8, h.major);
    octal(block + 337, 8, h.minor);
    std::memcpy(block + 345, h.prefix.data(), std::min<size_t>(h.prefix.size(), 155));
    finish(block);
    bytes += std::string(block, 512) + h.data + std::string((512 - h.data.size() % 512) % 512, '\0');
    return *this;
  }
  Tar& file(const std::string& name, const std::string& data = "x", unsigned mode = 0644) { return add({.name = name, .data = data, .mode = mode}); }
  Tar& dir(const std::string& name, unsigned mode = 0755) { return add({.name = name, .type = '5', .mode = mode}); }
  Tar& symlink(const std::string& name, const std::string& target) { return add({.name = name, .type = '2', .link = target}); }
  Tar& hardlink(const std::string& name, const std::string& target) { return add({.name = name, .type = '1', .link = target}); }
  Tar& pax(const std::vector<std::pair<std::string, std::string>>& records, char type = 'x') {
    std::string data = {};
    for (const auto& [key, value] : records) {
      size_t size = key.size() + value.size() + 3;
      while (std::to_string(size).size() + key.size() + value.size() + 3 != size) size = std::to_string(size).size() + key.size() + value.size() + 3;
      data += concat(size, " ", key, "=", value, "\n");
    }
    return add({.name = "pax", .type = type, .data = data});
  }
  std::string end() const { return bytes + std::string(1024, '\0'); }
  static void finish(char* block) {
    std::memset(block + 148, ' ', 8);
    unsigned sum = 0;
    for (int i = 0; i < 512; ++i) sum += static_cast<unsigned char>(block[i]);
    std::snprintf(block + 148, 8, "%06o", sum);
  }
  static void octal(char* field, size_t size, unsigned long value) {
    char text[32];
    std::snprintf(text, sizeof text, "%0*lo", static_cast<int>(size - 1), value);
    std::memcpy(field, text, size - 1);
  }
  std::string bytes;
};

// <tmp>/canary and <tmp>/layer side by side.
class Sandbox {
 public:
  Sandbox() {
    char name[] = "/tmp/berth-rootfs-XXXXXX";
    root = ::mkdtemp(name);
    ::mkdir((root + "/layer").c_str(), 0755);
    ::mkdir((root + "/canary").c_str(), 0755);
    CHECK(sys::replace_file(root + "/canary/file", "tweet", 0640, false).has_value());
    ::mkdir((root + "/canary/dir").c_str(), 0711);
    layer = Fd(::open((root + "/layer").c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    before = canary();
  }
  Sandbox(const Sandbox&) = delete;
  Sandbox& operator=(const Sandbox&) = delete;
  ~Sandbox() {
    CHECK(canary() == before);
    CHECK(remove_tree(root).has_value());
  }
  Result<UnpackReport> unpack(const std::string& bytes, UnpackOptions options = {}) {
    MemorySource source(bytes);
    return unpack_layer(source, layer.get(), options);
  }
  struct stat info(const std::string& path) {
    struct stat result{};
    ::fstatat(layer.get(), path.c_str(), &result, AT_SYMLINK_NOFOLLOW);
    return result;
  }
  bool exists(const std::string& path) { return info(path).st_mode != 0; }
  bool is_whiteout(const std::string& path) { return S_ISCHR(info(path).st_mode) && info(path).st_rdev == 0; }
  std::string read(const std::string& path) { return sys::read_file_at(layer.get(), path).value_or("<unreadable>"); }
  std::string xattr(const std::string& path, const char* name) {
    char value[256];
    const ssize_t size = ::lgetxattr((root + "/layer/" + path).c_str(), name, value, sizeof value);
    return size < 0 ? "<none>" : std::string(value, static_cast<size_t>(size));
  }
  // Everything about the canary and about what lies beside the layer.
  std::string canary() {
    std::string state;
    for (const char* path : {"", "/canary", "/canary/file", "/canary/dir"}) {
      struct stat s{};
      ::lstat((root + path).c_str(), &s);
      state += concat(path, " ", s.st_mode, " ", s.st_uid, " ", s.st_nlink, " ", s.st_mtim.tv_nsec, " ", s.st_ino, "\n");
    }
    return state + sys::read_file(root + "/canary/file").value_or("gone");
  }
  std::string root;
  Fd layer;
  std::string before;
};

}  // namespace berth::rootfs::test
