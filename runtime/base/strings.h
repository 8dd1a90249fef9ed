// SPDX-License-Identifier: Apache-2.0
// Text without iostreams or locale: concatenation, quoting for messages, strict number parsing, splitting.
#pragma once

#include <concepts>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace berth {

inline void append_text(std::string& out, std::string_view text) { out += text; }
inline void append_text(std::string& out, char c) { out += c; }
template <std::integral T>
void append_text(std::string& out, T value) {
  out += std::to_string(value);
}

// concat("a", 1, '/') → "a1/".
template <typename... Parts>
std::string concat(const Parts&... parts) {
  std::string out;
  (append_text(out, parts), ...);
  return out;
}

// `"text"` with quotes, backslashes and control bytes escaped: every operand in a message goes through this, since
// names come from images, configs and registries and must not reach a terminal or a log raw.
std::string quote(std::string_view text);

// The whole of `text` as a decimal number in range of the type, or nothing: no sign for unsigned, no spaces, no suffix.
std::optional<int64_t> parse_int64(std::string_view text);
std::optional<uint64_t> parse_uint64(std::string_view text);
std::optional<uint32_t> parse_uint32(std::string_view text);

// Parts between separators; empty parts are kept ("a,,b" → 3 parts; "" → 1 empty part).
std::vector<std::string_view> split(std::string_view text, char separator);
std::string_view trim(std::string_view text);
std::string join(const std::vector<std::string>& parts, std::string_view separator);

// Lower-case hexadecimal of bytes, and `bytes` random bytes from getrandom(2) as hex (ids: 32 bytes = 64 characters).
std::string hex(std::string_view bytes);
std::string random_hex(unsigned bytes);

}  // namespace berth
