// SPDX-License-Identifier: Apache-2.0
// Files with holes: four encodings, one result, a list of (offset, size) in ascending order inside the file.
#include <array>

#include "rootfs/unpack/tar.h"
#include "rootfs/unpack/tar_fields.h"
#include "runtime/base/strings.h"

namespace berth::rootfs {
namespace {

using namespace tar_fields;
constexpr size_t kPairSize = 24;  // offset and size, 12 bytes each
constexpr size_t kExtendedPairs = 21;
constexpr size_t kExtendedFlag = 504;

std::unexpected<Error> malformed_map() { return fail(Code::kInvalidArgument, "tar: malformed map of a sparse file"); }

}  // namespace

Result<> TarReader::add_segment(TarEntry& entry, int64_t offset, int64_t size) {
  if (!entry.sparse) entry.sparse.emplace();
  if (entry.sparse->size() >= limits_.sparse_segments) {
    return fail(Code::kResourceExhausted, concat("tar: a sparse file has more than ", limits_.sparse_segments, " parts"));
  }
  entry.sparse->push_back({offset, size});
  return {};
}

Result<> TarReader::check_sparse(const TarEntry& entry) const {
  if (entry.size < 0 || entry.size > limits_.file_bytes) return fail(Code::kResourceExhausted, "tar: a sparse file is too large");
  int64_t end = 0;
  int64_t data = 0;
  for (const auto& segment : *entry.sparse) {
    if (segment.offset < end || segment.size < 0 || segment.size > entry.size || segment.offset > entry.size - segment.size) return malformed_map();
    end = segment.offset + segment.size;
    data += segment.size;
  }
  return data == data_left_ ? Result<>{} : malformed_map();
}

// Old GNU: four pairs in the header, 21 in each extension block.
Result<> TarReader::read_sparse_old(const char* block, TarEntry& entry) {
  TRY_ASSIGN(const int64_t real_size, number(raw(block, kGnuRealSize), "size"));
  entry.sparse.emplace();
  const auto add_pairs = [&](const char* start, size_t count) -> Result<> {
    for (size_t i = 0; i < count; ++i) {
      const char* pair = start + i * kPairSize;
      if (*pair == '\0') return {};
      TRY_ASSIGN(const int64_t offset, number({pair, 12}, "sparse offset"));
      TRY_ASSIGN(const int64_t size, number({pair + 12, 12}, "sparse size"));
      TRY(add_segment(entry, offset, size));
    }
    return {};
  };
  TRY(add_pairs(block + kGnuSparse.offset, 4));
  bool more = block[kGnuExtended.offset] != '\0';
  while (more) {
    std::array<char, kBlock> extension;
    TRY(read_exactly(extension));
    TRY(add_pairs(extension.data(), kExtendedPairs));
    more = extension[kExtendedFlag] != '\0';
    if (entry.sparse->empty()) return malformed_map();
  }
  entry.size = real_size;
  return check_sparse(entry);
}

// Format 1.0: decimal lines at the start of the data, padded to a block.
Result<> TarReader::read_sparse_map(TarEntry& entry) {
  std::array<char, kBlock> block;
  size_t at = kBlock;
  const auto next_number = [&]() -> Result<int64_t> {
    std::string digits;
    while (true) {
      if (at == kBlock) {
        if (data_left_ < static_cast<int64_t>(kBlock)) return malformed_map();
        TRY(read_exactly(block));
        data_left_ -= static_cast<int64_t>(kBlock);
        at = 0;
      }
      const char c = block[at++];
      if (c == '\n') break;
      digits += c;
      if (digits.size() > 20) return malformed_map();
    }
    const auto value = parse_int64(digits);
    if (!value || *value < 0) return malformed_map();
    return *value;
  };
  TRY_ASSIGN(const int64_t count, next_number());
  entry.sparse.emplace();
  for (int64_t i = 0; i < count; ++i) {
    TRY_ASSIGN(const int64_t offset, next_number());
    TRY_ASSIGN(const int64_t size, next_number());
    TRY(add_segment(entry, offset, size));
  }
  return {};
}

Result<> TarReader::apply_sparse_pax(TarEntry& entry) {
  const auto find = [&](const char* key) -> const std::string* {
    const auto found = pax_.find(key);
    return found == pax_.end() ? nullptr : &found->second;
  };
  const auto* major = find("GNU.sparse.major");
  const auto* map = find("GNU.sparse.map");
  const auto* old_size = find("GNU.sparse.size");
  const auto* real_size = find("GNU.sparse.realsize");
  const bool version_1 = major != nullptr && *major == "1";
  if (!version_1 && map == nullptr && sparse_pairs_.empty()) return {};
  if (const auto* name = find("GNU.sparse.name")) entry.path = *name;
  if (version_1) {
    TRY(read_sparse_map(entry));
  } else if (map != nullptr) {
    const auto numbers = split(*map, ',');
    if (numbers.size() % 2 != 0) return malformed_map();
    for (size_t i = 0; i < numbers.size(); i += 2) {
      const auto offset = parse_int64(numbers[i]);
      const auto size = parse_int64(numbers[i + 1]);
      if (!offset || !size) return malformed_map();
      TRY(add_segment(entry, *offset, *size));
    }
  } else {
    if (sparse_pairs_.size() % 2 != 0) return malformed_map();
    for (size_t i = 0; i < sparse_pairs_.size(); i += 2) {
      const auto offset = parse_int64(sparse_pairs_[i].second);
      const auto size = parse_int64(sparse_pairs_[i + 1].second);
      if (!offset || !size || sparse_pairs_[i].first == sparse_pairs_[i + 1].first) return malformed_map();
      TRY(add_segment(entry, *offset, *size));
    }
  }
  const auto size = parse_int64(version_1 && real_size != nullptr ? *real_size : old_size != nullptr ? *old_size : "");
  if (!size) return malformed_map();
  entry.size = *size;
  return check_sparse(entry);
}

}  // namespace berth::rootfs
