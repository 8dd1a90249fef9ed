// SPDX-License-Identifier: Apache-2.0
#include "rootfs/unpack/tar.h"

#include <algorithm>
#include <array>
#include <limits>

#include "rootfs/unpack/tar_fields.h"
#include "runtime/base/strings.h"

namespace berth::rootfs {
namespace {

using namespace tar_fields;

constexpr std::string_view kXattrPrefix = "SCHILY.xattr.";
constexpr unsigned kMaxConsecutiveHeaders = 64;  // of extended headers before one entry

int64_t padding_of(int64_t size) { return (static_cast<int64_t>(kBlock) - size % static_cast<int64_t>(kBlock)) % static_cast<int64_t>(kBlock); }

std::unexpected<Error> malformed(std::string_view what) { return fail(Code::kInvalidArgument, concat("tar: ", what)); }

Result<uint32_t> narrow(int64_t value, std::string_view what) {
  if (value < 0 || value > std::numeric_limits<uint32_t>::max() - 1) return malformed(concat(what, " is out of range"));
  return static_cast<uint32_t>(value);
}

Result<TarKind> kind_of(char type, const std::string& path) {
  switch (type) {
    case '0':
    case '\0':
    case '7':
    case 'S':
      // Before POSIX, a directory was a file whose name ends with a slash.
      return path.ends_with('/') && type == '\0' ? TarKind::kDirectory : TarKind::kFile;
    case '1': return TarKind::kHardLink;
    case '2': return TarKind::kSymlink;
    case '3': return TarKind::kCharDevice;
    case '4': return TarKind::kBlockDevice;
    case '5': return TarKind::kDirectory;
    case '6': return TarKind::kFifo;
    default: return fail(Code::kUnimplemented, concat("tar: entry ", quote(path), " has unknown type ", static_cast<int>(type)));
  }
}

std::string entry_path(const char* block) {
  std::string name = text(block, kName);
  const bool posix = raw(block, kMagic).starts_with(std::string_view("ustar\0", 6));
  const std::string prefix = posix ? text(block, kPrefix) : std::string();
  return prefix.empty() ? name : concat(prefix, "/", name);
}

}  // namespace

Result<> TarReader::read_exactly(std::span<char> into) {
  while (!into.empty()) {
    TRY_ASSIGN(const size_t got, source_.read(into));
    if (got == 0) return fail(Code::kDataLoss, "tar: the archive is cut short");
    into = into.subspan(got);
  }
  return {};
}

// False at a clean end of the stream.
Result<bool> TarReader::read_block(char* block) {
  TRY_ASSIGN(const size_t got, source_.read({block, kBlock}));
  if (got == 0) return false;
  TRY(read_exactly({block + got, kBlock - got}));
  return true;
}

Result<> TarReader::skip(int64_t size) {
  std::array<char, 16384> waste;
  while (size > 0) {
    const auto chunk = static_cast<size_t>(std::min<int64_t>(size, waste.size()));
    TRY(read_exactly({waste.data(), chunk}));
    size -= static_cast<int64_t>(chunk);
  }
  return {};
}

Result<std::string> TarReader::read_record(int64_t size, size_t limit, std::string_view what) {
  if (size < 0 || static_cast<uint64_t>(size) > limit) {
    return fail(Code::kResourceExhausted, concat("tar: ", what, " is larger than ", limit, " bytes"));
  }
  std::string bytes(static_cast<size_t>(size), '\0');
  TRY(read_exactly(bytes));
  TRY(skip(padding_of(size)));
  return bytes;
}

Result<size_t> TarReader::read_data(std::span<char> into) {
  if (data_left_ == 0) return 0;
  const auto want = static_cast<size_t>(std::min<int64_t>(data_left_, static_cast<int64_t>(into.size())));
  TRY_ASSIGN(const size_t got, source_.read(into.first(want)));
  if (got == 0) return fail(Code::kDataLoss, "tar: the archive is cut short");
  data_left_ -= static_cast<int64_t>(got);
  return got;
}

Result<> TarReader::drain() {
  std::array<char, 16384> waste;
  while (true) {
    TRY_ASSIGN(const size_t got, source_.read(waste));
    if (got == 0) return {};
  }
}

Result<std::optional<TarEntry>> TarReader::next() {
  if (ended_) return std::nullopt;
  TRY(skip(data_left_ + padding_));
  data_left_ = padding_ = 0;
  pax_ = global_pax_;
  sparse_pairs_.clear();
  long_name_.reset();
  long_link_.reset();
  for (unsigned headers = 0; headers < kMaxConsecutiveHeaders; ++headers) {
    char block[kBlock];
    TRY_ASSIGN(const bool more, read_block(block));
    if (!more || all_zero(block)) {
      if (headers > 0) return malformed("an extended header without an entry at the end");
      ended_ = true;
      return std::nullopt;
    }
    if (!checksum_ok(block)) return malformed("wrong header checksum");
    const char type = block[kType.offset];
    TRY_ASSIGN(const int64_t size, number(raw(block, kSize), "size"));
    if (type == 'x' || type == 'g') {
      TRY_ASSIGN(const std::string bytes, read_record(size, limits_.pax_bytes, "extended header"));
      TRY_ASSIGN(const auto records, parse_pax(bytes));
      for (const auto& [key, value] : records) {
        if (key == "GNU.sparse.offset" || key == "GNU.sparse.numbytes") sparse_pairs_.emplace_back(key, value);
        pax_[key] = value;
        // Of global headers only times could matter; names, links and sizes for every entry are an attack.
        if (type == 'g' && key == "mtime") global_pax_[key] = value;
        if (type == 'g' && key != "mtime") pax_.erase(key);
      }
    } else if (type == 'L' || type == 'K') {
      TRY_ASSIGN(std::string bytes, read_record(size, limits_.long_name_bytes, "long name"));
      bytes.resize(std::min(bytes.size(), bytes.find('\0')));
      (type == 'L' ? long_name_ : long_link_) = std::move(bytes);
    } else {
      return finish_entry(block, type);
    }
  }
  return fail(Code::kResourceExhausted, "tar: too many extended headers before an entry");
}

Result<std::optional<TarEntry>> TarReader::finish_entry(const char* block, char type) {
  TarEntry entry;
  entry.path = long_name_ ? *long_name_ : entry_path(block);
  entry.target = long_link_ ? *long_link_ : text(block, kLink);
  TRY_ASSIGN(const int64_t mode, number(raw(block, kMode), "mode"));
  entry.mode = static_cast<uint32_t>(mode & 07777);
  TRY_ASSIGN(const int64_t uid, number(raw(block, kUid), "uid"));
  TRY_ASSIGN(entry.uid, narrow(uid, "uid"));
  TRY_ASSIGN(const int64_t gid, number(raw(block, kGid), "gid"));
  TRY_ASSIGN(entry.gid, narrow(gid, "gid"));
  TRY_ASSIGN(entry.size, number(raw(block, kSize), "size"));
  if (auto mtime = number(raw(block, kMtime), "mtime")) entry.mtime_seconds = *mtime;
  if (type == '3' || type == '4') {
    TRY_ASSIGN(const int64_t major, number(raw(block, kMajor), "device"));
    TRY_ASSIGN(const int64_t minor, number(raw(block, kMinor), "device"));
    if (major > 0xfff || minor > 0xfffff) return malformed("device number is out of range");
    entry.device_major = static_cast<uint32_t>(major);
    entry.device_minor = static_cast<uint32_t>(minor);
  }
  TRY(apply_pax(entry));
  TRY_ASSIGN(entry.kind, kind_of(type, entry.path));
  if (entry.size < 0 || entry.size > limits_.file_bytes) return fail(Code::kResourceExhausted, concat("tar: entry ", quote(entry.path), " is too large"));
  // Only files carry data; other types may state a size (old writers: hard links), which is then not followed by data.
  const bool has_data = entry.kind == TarKind::kFile;
  data_left_ = has_data ? entry.size : 0;
  padding_ = padding_of(data_left_);
  if (!has_data) entry.size = 0;
  if (type == 'S') TRY(read_sparse_old(block, entry));
  if (has_data) TRY(apply_sparse_pax(entry));
  return entry;
}

Result<> TarReader::apply_pax(TarEntry& entry) {
  for (const auto& [key, value] : pax_) {
    if (key == "path") {
      entry.path = value;
    } else if (key == "linkpath") {
      entry.target = value;
    } else if (key == "size" || key == "uid" || key == "gid") {
      const auto parsed = parse_int64(value);
      if (!parsed || *parsed < 0) return malformed(concat(key, " is not a number"));
      if (key == "size") {
        entry.size = *parsed;
      } else {
        TRY_ASSIGN((key == "uid" ? entry.uid : entry.gid), narrow(*parsed, key));
      }
    } else if (key == "mtime") {
      TRY(parse_time(value, entry.mtime_seconds, entry.mtime_nanos));
    } else if (key.starts_with(kXattrPrefix)) {
      entry.xattrs[key.substr(kXattrPrefix.size())] = value;
    }
  }
  return {};
}

}  // namespace berth::rootfs
