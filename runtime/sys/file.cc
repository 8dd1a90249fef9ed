// SPDX-License-Identifier: Apache-2.0
#include "runtime/sys/file.h"

#include <cerrno>
#include <cstring>
#include <dirent.h>
#include <fcntl.h>
#include <memory>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/base/strings.h"

namespace berth::sys {
namespace {

struct CloseDirectory {
  void operator()(DIR* directory) const { ::closedir(directory); }
};
using Directory = std::unique_ptr<DIR, CloseDirectory>;

Result<Directory> open_directory(int dirfd) {
  const int copy = ::openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (copy < 0) return fail_errno("open directory");
  Directory directory(::fdopendir(copy));
  if (!directory) {
    const int error = errno;
    ::close(copy);
    return fail_errno("read directory", error);
  }
  return directory;
}

bool is_dot(const char* name) { return ::strcmp(name, ".") == 0 || ::strcmp(name, "..") == 0; }

Result<> remove_children(int dirfd, dev_t device);

Result<> remove_entry(int dirfd, const std::string& name, dev_t device) {
  if (::unlinkat(dirfd, name.c_str(), 0) == 0 || errno == ENOENT) return {};
  if (errno != EISDIR && errno != EPERM) return fail_errno(concat("remove ", quote(name)));
  Fd child(::openat(dirfd, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!child) return errno == ENOENT ? Result<>{} : fail_errno(concat("open ", quote(name)));
  struct stat info{};
  if (::fstat(child.get(), &info) != 0) return fail_errno(concat("stat ", quote(name)));
  if (info.st_dev != device) {
    return fail(Code::kFailedPrecondition, concat("remove ", quote(name), ": it is a mount point"));
  }
  TRY(remove_children(child.get(), device));
  if (::unlinkat(dirfd, name.c_str(), AT_REMOVEDIR) != 0 && errno != ENOENT) return fail_errno(concat("remove ", quote(name)));
  return {};
}

Result<> remove_children(int dirfd, dev_t device) {
  TRY_ASSIGN(const auto names, list_directory(dirfd));
  for (const auto& name : names) TRY(remove_entry(dirfd, name, device));
  return {};
}

}  // namespace

Result<Fd> open_at(int dirfd, const std::string& path, int flags, unsigned mode) {
  while (true) {
    Fd fd(::openat(dirfd, path.c_str(), flags | O_CLOEXEC, mode));
    if (fd) return fd;
    if (errno != EINTR) return fail_errno(concat("open ", quote(path)));
  }
}

Result<std::string> read_all(int fd, size_t limit) {
  std::string data;
  char chunk[16384];
  while (true) {
    const ssize_t got = ::read(fd, chunk, sizeof chunk);
    if (got == 0) return data;
    if (got < 0) {
      if (errno == EINTR) continue;
      return fail_errno("read");
    }
    if (data.size() + static_cast<size_t>(got) > limit) {
      return fail(Code::kResourceExhausted, concat("file is larger than ", limit, " bytes"));
    }
    data.append(chunk, static_cast<size_t>(got));
  }
}

Result<std::string> read_file_at(int dirfd, const std::string& path, size_t limit) {
  TRY_ASSIGN(const Fd fd, open_at(dirfd, path, O_RDONLY));
  TRY_ASSIGN(auto data, read_all(fd.get(), limit), quote(path));
  return data;
}

Result<std::string> read_file(const std::string& path, size_t limit) { return read_file_at(AT_FDCWD, path, limit); }

Result<> write_all(int fd, std::string_view data) {
  while (!data.empty()) {
    const ssize_t put = ::write(fd, data.data(), data.size());
    if (put < 0) {
      if (errno == EINTR) continue;
      return fail_errno("write");
    }
    data.remove_prefix(static_cast<size_t>(put));
  }
  return {};
}

Result<> write_file_at(int dirfd, const std::string& path, std::string_view data) {
  TRY_ASSIGN(const Fd fd, open_at(dirfd, path, O_WRONLY));
  while (true) {
    if (::write(fd.get(), data.data(), data.size()) >= 0) return {};
    if (errno != EINTR) return fail_errno(concat("write ", quote(path)));
  }
}

Result<> replace_file_at(int dirfd, const std::string& name, std::string_view data, unsigned mode, bool sync) {
  const size_t slash = name.rfind('/');
  const std::string folder = slash == std::string::npos ? "." : name.substr(0, slash == 0 ? 1 : slash);
  const std::string base = slash == std::string::npos ? name : name.substr(slash + 1);
  TRY_ASSIGN(const Fd parent, open_at(dirfd, folder, O_RDONLY | O_DIRECTORY));
  const std::string temporary = concat(".", base, ".", random_hex(6), ".tmp");
  const auto write_temporary = [&]() -> Result<> {
    TRY_ASSIGN(const Fd fd, open_at(parent.get(), temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode));
    TRY(write_all(fd.get(), data), quote(name));
    if (sync && ::fsync(fd.get()) != 0) return fail_errno(concat("fsync ", quote(name)));
    if (::renameat(parent.get(), temporary.c_str(), parent.get(), base.c_str()) != 0) return fail_errno(concat("rename ", quote(name)));
    return {};
  };
  if (auto written = write_temporary(); !written) {
    ::unlinkat(parent.get(), temporary.c_str(), 0);
    return written;
  }
  if (sync && ::fsync(parent.get()) != 0) return fail_errno(concat("fsync ", quote(folder)));
  return {};
}

Result<> replace_file(const std::string& path, std::string_view data, unsigned mode, bool sync) {
  return replace_file_at(AT_FDCWD, path, data, mode, sync);
}

Result<> make_directories(const std::string& path, unsigned mode) {
  for (size_t at = 1; at != std::string::npos;) {
    at = path.find('/', at + 1);
    const std::string prefix = path.substr(0, at);
    if (::mkdir(prefix.c_str(), mode) != 0 && errno != EEXIST) return fail_errno(concat("create directory ", quote(prefix)));
  }
  return {};
}

Result<> remove_tree_at(int dirfd, const std::string& name) {
  struct stat info{};
  if (::fstatat(dirfd, name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) {
    return errno == ENOENT ? Result<>{} : fail_errno(concat("stat ", quote(name)));
  }
  return remove_entry(dirfd, name, info.st_dev);
}

Result<> remove_tree(const std::string& path) { return remove_tree_at(AT_FDCWD, path); }

Result<std::vector<std::string>> list_directory(int dirfd) {
  TRY_ASSIGN(const Directory directory, open_directory(dirfd));
  std::vector<std::string> names;
  while (const dirent* entry = ::readdir(directory.get())) {
    if (!is_dot(entry->d_name)) names.emplace_back(entry->d_name);
  }
  return names;
}

Result<std::vector<std::string>> list_directory(const std::string& path) {
  TRY_ASSIGN(const Fd fd, open_path(path, O_RDONLY | O_DIRECTORY));
  return list_directory(fd.get());
}

bool path_exists(const std::string& path) { return ::access(path.c_str(), F_OK) == 0; }

}  // namespace berth::sys
