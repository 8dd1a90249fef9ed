// SPDX-License-Identifier: Apache-2.0
#include "rootfs/lock.h"

#include <cerrno>
#include <chrono>
#include <fcntl.h>
#include <sys/file.h>
#include <thread>

#include "runtime/base/strings.h"
#include "runtime/sys/file.h"

namespace berth::rootfs {
namespace {

Result<bool> try_lock(const Fd& fd, int operation, const std::string& path) {
  while (::flock(fd.get(), operation | LOCK_NB) != 0) {
    if (errno == EWOULDBLOCK) return false;
    if (errno != EINTR) return fail_errno(concat("lock ", quote(path)));
  }
  return true;
}

Result<Fd> open_lock(const std::string& path) { return sys::open_path(path, O_RDWR | O_CREAT | O_NOFOLLOW, 0600); }

}  // namespace

Result<Fd> lock_shared(const std::string& path, const std::function<Result<>()>& stop) {
  TRY_ASSIGN(Fd fd, open_lock(path));
  while (true) {
    TRY_ASSIGN(const bool locked, try_lock(fd, LOCK_SH, path));
    if (locked) return fd;
    if (stop) TRY(stop());
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
}

Result<Fd> try_lock_exclusive(const std::string& path) {
  TRY_ASSIGN(Fd fd, open_lock(path));
  TRY_ASSIGN(const bool locked, try_lock(fd, LOCK_EX, path));
  if (!locked) return Fd();
  return fd;
}

}  // namespace berth::rootfs
