// SPDX-License-Identifier: Apache-2.0
// One layer: compressed bytes in, a directory in overlayfs form out.
//
// Takes descriptors and numbers only, no path and no store, so that it can run in a confined process.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <vector>

#include "rootfs/content/digest.h"
#include "rootfs/unpack/source.h"
#include "rootfs/unpack/tar.h"
#include "runtime/base/result.h"

namespace berth::rootfs {

struct UnpackLimits {
  uint64_t entries = 1'000'000;
  size_t depth = 256;                        // components of a path
  size_t path_bytes = 4096;
  int64_t ratio = 200;                       // uncompressed to compressed…
  int64_t ratio_free_bytes = 64ll << 20;     // …which may be higher below this many bytes
  TarLimits tar;
};

struct UnpackOptions {
  UnpackLimits limits;
  Digest compressed;             // verified against the bytes read, unless empty
  Digest diff_id;                // verified against the uncompressed bytes, unless empty
  std::vector<int> lower;        // directories of the layers below, uppermost first (not owned)
  std::function<Result<>()> check;  // asked between entries and chunks: an error stops (cancelled, deadline)
  std::function<void(int64_t)> progress;  // compressed bytes read so far
};

struct UnpackReport {
  int64_t compressed_bytes = 0;
  int64_t uncompressed_bytes = 0;
  uint64_t entries = 0;
};

// Unpacks the layer read from `blob` into the empty directory `target`. On failure the directory holds a part: the caller
// removes it. kDataLoss: a digest differs or the stream is cut short. kInvalidArgument: the archive is malformed or an
// entry would leave the layer. kResourceExhausted: a limit, or the disk is full. Guards: security I01, I02.
Result<UnpackReport> unpack_layer(ByteSource& blob, int target, const UnpackOptions& options);

}  // namespace berth::rootfs
