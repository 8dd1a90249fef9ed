// SPDX-License-Identifier: Apache-2.0
// Members of a JSON object with a default where absent or of another type: for messages between our own programs, where
// a missing member means "as before it existed". config.json is read by runtime/oci, strictly.
#pragma once

#include <boost/json.hpp>
#include <cstdint>
#include <string>
#include <string_view>

#include "runtime/base/result.h"
#include "runtime/base/strings.h"

namespace berth::shim {

inline std::string text_field(const boost::json::object& object, std::string_view name) {
  const auto* value = object.if_contains(name);
  return value != nullptr && value->is_string() ? std::string(std::string_view(value->get_string())) : std::string();
}

inline bool bool_field(const boost::json::object& object, std::string_view name, bool fallback = false) {
  const auto* value = object.if_contains(name);
  return value != nullptr && value->is_bool() ? value->get_bool() : fallback;
}

inline int64_t int_field(const boost::json::object& object, std::string_view name, int64_t fallback = 0) {
  const auto* value = object.if_contains(name);
  if (value == nullptr) return fallback;
  if (value->is_int64()) return value->get_int64();
  if (value->is_uint64() && value->get_uint64() <= INT64_MAX) return static_cast<int64_t>(value->get_uint64());
  return fallback;
}

inline const boost::json::object* object_field(const boost::json::object& object, std::string_view name) {
  const auto* value = object.if_contains(name);
  return value != nullptr ? value->if_object() : nullptr;
}

// kInvalidArgument unless `text` is one JSON object; `what` names it in the message.
inline Result<boost::json::object> parse_object(std::string_view text, std::string_view what) {
  boost::json::error_code error;
  auto value = boost::json::parse(boost::json::string_view(text.data(), text.size()), error);
  if (error || !value.is_object()) return fail(Code::kInvalidArgument, concat(what, ": not a JSON object"));
  return std::move(value.get_object());
}

}  // namespace berth::shim
