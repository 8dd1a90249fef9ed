// SPDX-License-Identifier: Apache-2.0
// Paths inside trees that an attacker controls: a rootfs, a layer, a volume. Always (descriptor, relative path), resolved
// by openat2(2); where the kernel lacks it, by a walker that opens one component at a time with O_NOFOLLOW and resolves
// links itself. Nothing here ever hands a string path of such a tree to the kernel.
//
// The symlink policy is in the name: `_in_root` treats the tree as "/" (links are followed, but inside: RESOLVE_IN_ROOT),
// `_beneath` refuses any link or ".." that would leave (RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS).
// Guards: CVE-2021-30465, CVE-2024-45310, CVE-2026-41579 and the rest of the path family.
#pragma once

#include <string>

#include "runtime/base/fd.h"
#include "runtime/base/result.h"

namespace berth::sys {

// Opens `path` with `root` as its "/"; magic links are refused. O_CLOEXEC is added.
Result<Fd> open_in_root(int root, const std::string& path, int flags, unsigned mode = 0);
// Opens `path` below `root`; no component may be a symbolic link, none may leave.
Result<Fd> open_beneath(int root, const std::string& path, int flags, unsigned mode = 0);

// mkdir -p inside the tree, each missing component created through its parent's descriptor. Returns the last directory
// opened O_PATH. Existing components may be links (resolved inside the root); a non-directory is an error.
Result<Fd> make_directories_in_root(int root, const std::string& path, unsigned mode = 0755);
// As above for the parents, then an empty regular file if nothing is there (a bind target). Returns it opened O_PATH.
Result<Fd> make_file_in_root(int root, const std::string& path, unsigned mode = 0644);

// "/proc/self/fd/N" — a name for a descriptor, for calls that take only strings.
std::string fd_path(int fd);

// For tests of the fallback: true makes every call use the walker.
void force_path_walker(bool on);

}  // namespace berth::sys
