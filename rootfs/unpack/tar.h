// SPDX-License-Identifier: Apache-2.0
// A reader for the tar formats that layers use: ustar, PAX, GNU long names and sparse files (old GNU, PAX 0.0, 0.1, 1.0).
//
// Ours and not libarchive's, because names must stay the bytes they are (libarchive converts them through the locale,
// and yields none where that fails) and because each allocation that the archive can cause needs a limit (CVE-2025-58183).
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "rootfs/unpack/source.h"

namespace berth::rootfs {

enum class TarKind : unsigned char { kFile, kHardLink, kSymlink, kCharDevice, kBlockDevice, kDirectory, kFifo };

struct TarEntry {
  TarKind kind = TarKind::kFile;
  std::string path;    // as in the archive: not yet judged
  std::string target;  // of a link
  uint32_t mode = 0;   // permission, setuid, setgid, sticky
  uint32_t uid = 0;
  uint32_t gid = 0;
  int64_t size = 0;    // of the file; with holes, not of its data in the archive
  int64_t mtime_seconds = 0;
  uint32_t mtime_nanos = 0;
  uint32_t device_major = 0;
  uint32_t device_minor = 0;
  std::map<std::string, std::string> xattrs;
  struct Segment {
    int64_t offset = 0;
    int64_t size = 0;
  };
  std::optional<std::vector<Segment>> sparse;  // where the data in the archive goes
};

struct TarLimits {
  size_t pax_bytes = 1u << 20;         // extended headers of one entry
  size_t long_name_bytes = 64u << 10;  // GNU L and K records
  size_t sparse_segments = 32768;
  int64_t file_bytes = int64_t{1} << 40;
};

// Not thread-safe. After an error nothing more may be called.
class TarReader {
 public:
  explicit TarReader(ByteSource& source, TarLimits limits = {}) : source_(source), limits_(limits) {}

  // The next entry; what is left of the last one's data is skipped. Nothing at the end of the archive. kDataLoss when cut
  // short, kInvalidArgument when malformed, kResourceExhausted beyond a limit.
  Result<std::optional<TarEntry>> next();
  // Data of the current entry, 0 at its end.
  Result<size_t> read_data(std::span<char> into);
  // Reads to the end of the stream, so that a digest covers all of it.
  Result<> drain();

 private:
  struct Header;
  using Records = std::map<std::string, std::string>;

  Result<bool> read_block(char* block);
  Result<> read_exactly(std::span<char> into);
  Result<std::string> read_record(int64_t size, size_t limit, std::string_view what);
  Result<> skip(int64_t size);
  Result<std::optional<TarEntry>> finish_entry(const char* block, char type);
  Result<> apply_pax(TarEntry& entry);
  Result<> apply_sparse_pax(TarEntry& entry);
  Result<> read_sparse_old(const char* block, TarEntry& entry);
  Result<> read_sparse_map(TarEntry& entry);
  Result<> add_segment(TarEntry& entry, int64_t offset, int64_t size);
  Result<> check_sparse(const TarEntry& entry) const;

  ByteSource& source_;
  TarLimits limits_;
  Records pax_;
  Records global_pax_;
  std::vector<std::pair<std::string, std::string>> sparse_pairs_;  // GNU.sparse.offset/numbytes in order (format 0.0)
  std::optional<std::string> long_name_;
  std::optional<std::string> long_link_;
  int64_t data_left_ = 0;
  int64_t padding_ = 0;
  bool ended_ = false;
};

}  // namespace berth::rootfs
