// SPDX-License-Identifier: Apache-2.0
#include "runtime/base/fd.h"

#include <cerrno>
#include <unistd.h>

namespace berth {

void Fd::reset() {
  if (fd_ < 0) return;
  const int saved = errno;
  ::close(fd_);
  errno = saved;
  fd_ = -1;
}

}  // namespace berth
