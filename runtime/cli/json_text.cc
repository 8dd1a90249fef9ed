// SPDX-License-Identifier: Apache-2.0
#include "runtime/cli/json_text.h"

namespace berth::cli {
namespace {

// Length of the well-formed UTF-8 sequence at the start of `text`, 0 when there is none.
size_t utf8_length(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char first = byte(0);
  const size_t length = first < 0x80                    ? 1
                        : first >= 0xc2 && first < 0xe0 ? 2
                        : (first & 0xf0) == 0xe0        ? 3
                        : first >= 0xf0 && first < 0xf5 ? 4
                                                        : 0;
  if (length == 0 || length > text.size()) return 0;
  for (size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return 0;
  }
  return length;
}

void append_pretty(const boost::json::value& value, std::string& out, std::string_view step, const std::string& outer) {
  const std::string inner = outer + std::string(step);
  std::string_view between = "\n";
  if (value.is_object() && !value.get_object().empty()) {
    out += '{';
    for (const auto& entry : value.get_object()) {
      out.append(between).append(inner).append(json_string(entry.key())).append(": ");
      append_pretty(entry.value(), out, step, inner);
      between = ",\n";
    }
    out.append("\n").append(outer).append("}");
  } else if (value.is_array() && !value.get_array().empty()) {
    out += '[';
    for (const auto& entry : value.get_array()) {
      out.append(between).append(inner);
      append_pretty(entry, out, step, inner);
      between = ",\n";
    }
    out.append("\n").append(outer).append("]");
  } else {
    out += boost::json::serialize(value);
  }
}

}  // namespace

std::string json_string(std::string_view text) {
  std::string valid;
  while (!text.empty()) {
    const size_t length = utf8_length(text);
    if (length == 0) {
      valid += "\xef\xbf\xbd";
      text.remove_prefix(1);
    } else {
      valid += text.substr(0, length);
      text.remove_prefix(length);
    }
  }
  return boost::json::serialize(boost::json::string_view(valid.data(), valid.size()));
}

std::string pretty_json(const boost::json::value& value, std::string_view step) {
  std::string out;
  append_pretty(value, out, step, {});
  return out;
}

}  // namespace berth::cli
