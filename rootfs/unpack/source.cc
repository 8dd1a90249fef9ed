// SPDX-License-Identifier: Apache-2.0
#include "rootfs/unpack/source.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <unistd.h>

namespace berth::rootfs {

Result<size_t> FileSource::read(std::span<char> into) {
  while (true) {
    const ssize_t got = ::read(fd_, into.data(), into.size());
    if (got >= 0) return static_cast<size_t>(got);
    if (errno != EINTR) return fail_errno("read layer");
  }
}

Result<size_t> MemorySource::read(std::span<char> into) {
  const size_t size = std::min(into.size(), left_.size());
  ::memcpy(into.data(), left_.data(), size);
  left_.remove_prefix(size);
  return size;
}

Result<size_t> HashSource::read(std::span<char> into) {
  TRY_ASSIGN(const size_t got, below_.read(into));
  hash_.update({into.data(), got});
  count_ += static_cast<int64_t>(got);
  return got;
}

}  // namespace berth::rootfs
