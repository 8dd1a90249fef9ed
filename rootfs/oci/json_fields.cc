// SPDX-License-Identifier: Apache-2.0
#include "rootfs/oci/json_fields.h"

#include <algorithm>

#include "runtime/base/strings.h"

namespace berth::rootfs {
namespace {

namespace json = boost::json;

const json::value* present(const json::object& object, std::string_view name) {
  const auto* value = object.if_contains(name);
  return value == nullptr || value->is_null() ? nullptr : value;
}

std::unexpected<Error> wrong_type(std::string_view name, std::string_view expected) {
  return fail(Code::kInvalidArgument, concat(quote(name), " is not ", expected));
}

}  // namespace

Result<json::value> parse_json(std::string_view bytes) {
  boost::system::error_code error;
  json::value value = json::parse(bytes, error);
  if (error) return fail(Code::kInvalidArgument, concat("not valid JSON: ", error.message()));
  return value;
}

Result<std::string> text_field(const json::object& object, std::string_view name) {
  const auto* value = present(object, name);
  if (value == nullptr) return std::string();
  const auto* text = value->if_string();
  if (text == nullptr) return wrong_type(name, "a string");
  return std::string(text->data(), text->size());
}

Result<std::vector<std::string>> list_field(const json::object& object, std::string_view name) {
  std::vector<std::string> list;
  const auto* value = present(object, name);
  if (value == nullptr) return list;
  const auto* array = value->if_array();
  if (array == nullptr) return wrong_type(name, "an array of strings");
  for (const auto& entry : *array) {
    const auto* text = entry.if_string();
    if (text == nullptr) return wrong_type(name, "an array of strings");
    list.emplace_back(text->data(), text->size());
  }
  return list;
}

Result<std::vector<std::string>> set_field(const json::object& object, std::string_view name) {
  std::vector<std::string> keys;
  const auto* value = present(object, name);
  if (value == nullptr) return keys;
  const auto* map = value->if_object();
  if (map == nullptr) return wrong_type(name, "an object");
  for (const auto& entry : *map) keys.emplace_back(entry.key().data(), entry.key().size());
  std::ranges::sort(keys);
  return keys;
}

Result<std::map<std::string, std::string>> map_field(const json::object& object, std::string_view name) {
  std::map<std::string, std::string> result;
  const auto* value = present(object, name);
  if (value == nullptr) return result;
  const auto* map = value->if_object();
  if (map == nullptr) return wrong_type(name, "an object of strings");
  for (const auto& entry : *map) {
    const auto* text = entry.value().if_string();
    if (text == nullptr) return wrong_type(name, "an object of strings");
    result.emplace(std::string(entry.key().data(), entry.key().size()), std::string(text->data(), text->size()));
  }
  return result;
}

const json::object* object_field(const json::object& object, std::string_view name) {
  const auto* value = present(object, name);
  return value == nullptr ? nullptr : value->if_object();
}

}  // namespace berth::rootfs
