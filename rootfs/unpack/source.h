// SPDX-License-Identifier: Apache-2.0
// Streams of bytes, each pulling from the one below: file → hash → decompress → budget and hash → tar reader.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>

#include "rootfs/content/digest.h"
#include "runtime/base/result.h"

namespace berth::rootfs {

// Not thread-safe; 0 means the end, for ever.
class ByteSource {
 public:
  virtual ~ByteSource() = default;
  virtual Result<size_t> read(std::span<char> into) = 0;
};

// Reads a descriptor (not owned).
class FileSource : public ByteSource {
 public:
  explicit FileSource(int fd) : fd_(fd) {}
  Result<size_t> read(std::span<char> into) override;

 private:
  int fd_;
};

// Reads a buffer (not owned).
class MemorySource : public ByteSource {
 public:
  explicit MemorySource(std::string_view bytes) : left_(bytes) {}
  Result<size_t> read(std::span<char> into) override;

 private:
  std::string_view left_;
};

// Counts and hashes what passes.
class HashSource : public ByteSource {
 public:
  explicit HashSource(ByteSource& below) : below_(below) {}
  Result<size_t> read(std::span<char> into) override;
  int64_t count() const { return count_; }
  // After the end was read.
  Digest digest() { return hash_.finish(); }

 private:
  ByteSource& below_;
  Sha256 hash_;
  int64_t count_ = 0;
};

// gzip (several members, checksums verified), zstd (several frames) or plain bytes, told apart by their first bytes.
// kUnimplemented for xz and bzip2; kDataLoss for what is cut short or corrupt.
Result<std::unique_ptr<ByteSource>> decompress(ByteSource& below);

}  // namespace berth::rootfs
