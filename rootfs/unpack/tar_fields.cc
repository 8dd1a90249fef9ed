// SPDX-License-Identifier: Apache-2.0
#include "rootfs/unpack/tar_fields.h"

#include <algorithm>
#include <limits>

#include "runtime/base/strings.h"

namespace berth::rootfs::tar_fields {

std::string text(const char* block, Field field) {
  const auto bytes = raw(block, field);
  return std::string(bytes.substr(0, bytes.find('\0')));
}

Result<int64_t> number(std::string_view field, std::string_view what) {
  const auto refuse = [&] { return fail(Code::kInvalidArgument, concat("tar: ", what, " is not a number")); };
  if ((static_cast<unsigned char>(field.front()) & 0x80) != 0) {
    // Base 256, big endian; 0xff in front means negative, which only times may be and layers never need.
    if (static_cast<unsigned char>(field.front()) != 0x80) return refuse();
    uint64_t value = 0;
    for (const char c : field.substr(1)) {
      if (value > (std::numeric_limits<uint64_t>::max() >> 9)) return refuse();
      value = value << 8 | static_cast<unsigned char>(c);
    }
    return static_cast<int64_t>(value);
  }
  const auto is_padding = [](char c) { return c == ' ' || c == '\0'; };
  while (!field.empty() && is_padding(field.front())) field.remove_prefix(1);
  int64_t value = 0;
  while (!field.empty() && field.front() >= '0' && field.front() <= '7') {
    value = value * 8 + (field.front() - '0');
    field.remove_prefix(1);
  }
  if (!field.empty() && !is_padding(field.front())) return refuse();
  return value;
}

bool checksum_ok(const char* block) {
  const auto stated = number(raw(block, kChecksum), "checksum");
  if (!stated) return false;
  int64_t sum = 0;
  int64_t signed_sum = 0;  // some old writers
  for (size_t i = 0; i < kBlock; ++i) {
    const char c = i >= kChecksum.offset && i < kChecksum.offset + kChecksum.size ? ' ' : block[i];
    sum += static_cast<unsigned char>(c);
    signed_sum += static_cast<signed char>(c);
  }
  return *stated == sum || *stated == signed_sum;
}

bool all_zero(const char* block) {
  return std::all_of(block, block + kBlock, [](char c) { return c == 0; });
}

Result<> parse_time(std::string_view value, int64_t& seconds, uint32_t& nanos) {
  const size_t dot = value.find('.');
  const auto whole = parse_int64(value.substr(0, dot));
  if (!whole) return fail(Code::kInvalidArgument, concat("tar: time ", quote(value.substr(0, 40)), " is malformed"));
  seconds = *whole;
  nanos = 0;
  if (dot == std::string_view::npos) return {};
  uint32_t unit = 100'000'000;
  for (const char c : value.substr(dot + 1)) {
    if (c < '0' || c > '9') return fail(Code::kInvalidArgument, concat("tar: time ", quote(value.substr(0, 40)), " is malformed"));
    nanos += unit * static_cast<uint32_t>(c - '0');
    unit /= 10;
  }
  if (value.starts_with('-') && nanos > 0) {
    --seconds;
    nanos = 1'000'000'000 - nanos;
  }
  return {};
}

Result<std::vector<Pair>> parse_pax(std::string_view bytes) {
  std::vector<Pair> records;
  while (!bytes.empty() && bytes.front() != '\0') {
    const size_t space = bytes.find(' ');
    const auto length = parse_uint64(bytes.substr(0, space));
    if (space == std::string_view::npos || !length || *length > bytes.size() || *length < space + 3 || bytes[*length - 1] != '\n') {
      return fail(Code::kInvalidArgument, "tar: malformed extended header");
    }
    const auto record = bytes.substr(space + 1, *length - space - 2);
    const size_t equals = record.find('=');
    if (equals == std::string_view::npos || equals == 0) return fail(Code::kInvalidArgument, "tar: malformed extended header");
    records.emplace_back(record.substr(0, equals), record.substr(equals + 1));
    bytes.remove_prefix(*length);
  }
  return records;
}

}  // namespace berth::rootfs::tar_fields
