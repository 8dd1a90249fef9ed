// SPDX-License-Identifier: Apache-2.0
// Reading fields of hostile JSON: absent and null are "empty", a wrong type is an error.
#pragma once

#include <boost/json.hpp>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/base/result.h"

namespace berth::rootfs {

// Strict JSON, nothing after it, at most 32 levels deep. kInvalidArgument otherwise.
Result<boost::json::value> parse_json(std::string_view bytes);
// Empty when absent or null; kInvalidArgument naming the field when it is no string.
Result<std::string> text_field(const boost::json::object& object, std::string_view name);
Result<std::vector<std::string>> list_field(const boost::json::object& object, std::string_view name);
// The keys of an object of objects ({"80/tcp": {}}), sorted.
Result<std::vector<std::string>> set_field(const boost::json::object& object, std::string_view name);
Result<std::map<std::string, std::string>> map_field(const boost::json::object& object, std::string_view name);
// Null when absent or not an object.
const boost::json::object* object_field(const boost::json::object& object, std::string_view name);

}  // namespace berth::rootfs
