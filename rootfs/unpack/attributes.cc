// SPDX-License-Identifier: Apache-2.0
#include "rootfs/unpack/attributes.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>
#include <vector>

#include "runtime/base/strings.h"

namespace berth::rootfs {

bool xattr_is_allowed(const std::string& name) {
  if (name.empty() || name.find('\0') != std::string::npos) return false;
  if (name == "security.capability") return true;
  return name.starts_with("user.") && !name.starts_with("user.overlay.");
}

Result<> set_xattrs(int fd, const std::map<std::string, std::string>& xattrs) {
  for (const auto& [name, value] : xattrs) {
    if (!xattr_is_allowed(name)) continue;
    if (::fsetxattr(fd, name.c_str(), value.data(), value.size(), 0) == 0) continue;
    if (errno != ENOTSUP) return fail_errno(concat("set attribute ", quote(name)));
  }
  return {};
}

Result<> set_owner_and_mode(int fd, uint32_t uid, uint32_t gid, uint32_t mode) {
  if (::fchown(fd, uid, gid) != 0) return fail_errno("change owner");
  if (::fchmod(fd, mode & 07777) != 0) return fail_errno("change mode");
  return {};
}

Result<> set_mtime(int fd, int64_t seconds, uint32_t nanos) {
  const timespec when{seconds, static_cast<long>(nanos)};
  const timespec times[2] = {when, when};
  if (::futimens(fd, times) != 0) return fail_errno("set time");
  return {};
}

Result<> copy_attributes(int from, int to) {
  struct stat info{};
  if (::fstat(from, &info) != 0) return fail_errno("stat");
  TRY(set_owner_and_mode(to, info.st_uid, info.st_gid, info.st_mode));
  std::map<std::string, std::string> xattrs;
  std::vector<char> names(64u << 10);
  const ssize_t size = ::flistxattr(from, names.data(), names.size());
  for (const char* name = names.data(); size > 0 && name < names.data() + size; name += ::strlen(name) + 1) {
    std::string value(64u << 10, '\0');
    const ssize_t got = ::fgetxattr(from, name, value.data(), value.size());
    if (got < 0) continue;
    value.resize(static_cast<size_t>(got));
    xattrs[name] = std::move(value);
  }
  TRY(set_xattrs(to, xattrs));
  return set_mtime(to, info.st_mtim.tv_sec, static_cast<uint32_t>(info.st_mtim.tv_nsec));
}

}  // namespace berth::rootfs
