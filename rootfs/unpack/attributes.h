// SPDX-License-Identifier: Apache-2.0
// Owner, mode, extended attributes and times on an open descriptor, in the one order that keeps setuid bits and file
// capabilities: chown clears both, so it comes first.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "runtime/base/result.h"

namespace berth::rootfs {

// False for names that an image must not set: trusted.* and user.overlay.* (they steer overlayfs), security.* other than
// capability (they would be labels of this host), names with NUL.
bool xattr_is_allowed(const std::string& name);

// A file system without support for extended attributes is no error: the value is dropped, as other runtimes do.
Result<> set_xattrs(int fd, const std::map<std::string, std::string>& xattrs);
Result<> set_owner_and_mode(int fd, uint32_t uid, uint32_t gid, uint32_t mode);
Result<> set_mtime(int fd, int64_t seconds, uint32_t nanos);
// Everything of `from` (owner, mode, allowed xattrs, mtime) onto `to`; `from` may be O_PATH-less read-only.
Result<> copy_attributes(int from, int to);

}  // namespace berth::rootfs
