// SPDX-License-Identifier: Apache-2.0
// Fields of tar headers as numbers and text. Private to the tar reader.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/base/result.h"

namespace berth::rootfs::tar_fields {

constexpr size_t kBlock = 512;

struct Field {
  size_t offset;
  size_t size;
};
constexpr Field kName{0, 100}, kMode{100, 8}, kUid{108, 8}, kGid{116, 8}, kSize{124, 12}, kMtime{136, 12}, kChecksum{148, 8};
constexpr Field kType{156, 1}, kLink{157, 100}, kMagic{257, 8}, kMajor{329, 8}, kMinor{337, 8}, kPrefix{345, 155};
constexpr Field kGnuSparse{386, 96}, kGnuExtended{482, 1}, kGnuRealSize{483, 12};

inline std::string_view raw(const char* block, Field field) { return {block + field.offset, field.size}; }
// Up to the first NUL.
std::string text(const char* block, Field field);
// Octal with spaces and NULs around, or base 256 when the top bit is set. kInvalidArgument when malformed or out of range.
Result<int64_t> number(std::string_view field, std::string_view what);
// The sum of the header's bytes with the checksum field as spaces.
bool checksum_ok(const char* block);
bool all_zero(const char* block);

// "seconds[.fraction]", possibly negative.
Result<> parse_time(std::string_view text, int64_t& seconds, uint32_t& nanos);

using Pair = std::pair<std::string, std::string>;
// The records "LENGTH KEY=VALUE\n" of an extended header, in order.
Result<std::vector<Pair>> parse_pax(std::string_view bytes);

}  // namespace berth::rootfs::tar_fields
