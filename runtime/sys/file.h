// SPDX-License-Identifier: Apache-2.0
// Files by descriptor or trusted absolute path. Paths inside a container's rootfs never come here: see sys/path.h.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/base/fd.h"
#include "runtime/base/result.h"

namespace berth::sys {

// openat(2) with O_CLOEXEC added; EINTR is retried. `dirfd` AT_FDCWD for absolute paths. The error quotes `path`.
Result<Fd> open_at(int dirfd, const std::string& path, int flags, unsigned mode = 0);
inline Result<Fd> open_path(const std::string& path, int flags, unsigned mode = 0) { return open_at(-100, path, flags, mode); }

// The whole file, refused with kResourceExhausted beyond `limit` bytes. Works for /proc and cgroup files (no size known).
Result<std::string> read_file(const std::string& path, size_t limit = 16u << 20);
Result<std::string> read_file_at(int dirfd, const std::string& path, size_t limit = 16u << 20);
Result<std::string> read_all(int fd, size_t limit = 16u << 20);

// Writes everything to an open descriptor, or to an existing file in one write(2) (kernel files: no O_CREAT, no O_TRUNC).
Result<> write_all(int fd, std::string_view data);
Result<> write_file_at(int dirfd, const std::string& path, std::string_view data);

// Durable replacement: temporary in the same directory, fsync (unless !sync), rename, fsync of the directory. Either the
// old or the new content is visible, never a mixture.
Result<> replace_file_at(int dirfd, const std::string& name, std::string_view data, unsigned mode = 0600, bool sync = true);
Result<> replace_file(const std::string& path, std::string_view data, unsigned mode = 0600, bool sync = true);

// mkdir -p of a trusted absolute path; existing directories are fine.
Result<> make_directories(const std::string& path, unsigned mode = 0700);
// Removes the tree `name` below `dirfd` without following symbolic links and without crossing onto another mount.
// Absent is success.
Result<> remove_tree_at(int dirfd, const std::string& name);
Result<> remove_tree(const std::string& path);

// Names in a directory, without "." and "..", unsorted.
Result<std::vector<std::string>> list_directory(int dirfd);
Result<std::vector<std::string>> list_directory(const std::string& path);

bool path_exists(const std::string& path);

}  // namespace berth::sys
