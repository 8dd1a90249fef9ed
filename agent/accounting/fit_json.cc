// SPDX-License-Identifier: Apache-2.0
#include "agent/accounting/fit_json.h"

#include <boost/json.hpp>

#include "agent/accounting/quantity.h"
#include "runtime/base/strings.h"

namespace berth::accounting {
namespace {

namespace json = boost::json;

std::string_view view(json::string_view text) { return {text.data(), text.size()}; }

Result<int64_t> integer(std::string_view where, std::string_view name, const json::value& value) {
  if (value.is_int64()) return value.get_int64();
  if (value.is_string()) {
    TRY_ASSIGN(const int64_t amount, parse_quantity(name, view(value.get_string())), std::string(where));
    return amount;
  }
  return fail(Code::kInvalidArgument, concat(where, ".", name, ": not an integer within 64 bits"));
}

Result<Amounts> amounts(std::string_view where, const json::value& value) {
  if (!value.is_object()) return fail(Code::kInvalidArgument, concat(where, ": not an object"));
  Amounts out;
  for (const auto& entry : value.get_object()) {
    const auto name = view(entry.key());
    TRY_ASSIGN(out[std::string(name)], integer(where, name, entry.value()));
  }
  return out;
}

Result<> read_overcommit(const json::value& value, FitInput& input) {
  if (!value.is_object()) return fail(Code::kInvalidArgument, "overcommit: not an object");
  for (const auto& entry : value.get_object()) {
    const auto name = view(entry.key());
    const auto* ratio = entry.value().if_array();
    if (ratio == nullptr || ratio->size() != 2) {
      return fail(Code::kInvalidArgument, concat("overcommit.", name, ": not [numerator, denominator]"));
    }
    TRY_ASSIGN(const int64_t num, integer("overcommit", name, (*ratio)[0]));
    TRY_ASSIGN(const int64_t den, integer("overcommit", name, (*ratio)[1]));
    input.overcommit[std::string(name)] = {num, den};
  }
  return {};
}

Result<> read_key(std::string_view key, const json::value& value, FitInput& input) {
  if (key == "capacity" || key == "unzoned") {
    TRY_ASSIGN(input.capacity, amounts(key, value));
  } else if (key == "shape") {
    TRY_ASSIGN(input.shape, amounts(key, value));
  } else if (key == "allocated") {
    TRY_ASSIGN(input.allocated, amounts(key, value));
  } else if (key == "reserved") {
    TRY_ASSIGN(input.reserved, amounts(key, value));
  } else if (key == "overcommit") {
    return read_overcommit(value, input);
  } else if (key == "zones") {
    if (!value.is_array()) return fail(Code::kInvalidArgument, "zones: not an array");
    for (const auto& zone : value.get_array()) {
      TRY_ASSIGN(input.zones.emplace_back(), amounts("zones", zone));
    }
  } else if (key == "exclusive_cpu" || key == "memory_overcommit") {
    if (!value.is_bool()) return fail(Code::kInvalidArgument, concat(key, ": not true or false"));
    (key == "exclusive_cpu" ? input.exclusive_cpu : input.memory_overcommit) = value.get_bool();
  } else if (key == "threads_per_core") {
    TRY_ASSIGN(input.threads_per_core, integer("input", key, value));
  } else {
    return fail(Code::kInvalidArgument, concat("unknown key ", quote(key)));
  }
  return {};
}

template <typename List>
std::string names_json(const List& names) {
  std::string out = "[";
  for (const auto& name : names) out += concat(out.size() > 1 ? "," : "", json::serialize(json::string(name)));
  return out + "]";
}

std::string error_json(FitError error, const std::vector<std::string>& dims) {
  return concat("{\"error\":\"", fit_error_name(error), "\",\"dims\":", names_json(dims), "}");
}

// A known C of 0 is spelled "OK" on this wire: n = 0 tells it, and MISSING tells the other case.
std::string dimension_json(const Dimension& d) {
  if (d.unbounded) return "{\"unbounded\":true}";
  return concat("{\"n\":", d.n, ",\"ratio\":\"", d.ratio.text(), "\",\"h\":", d.h, ",\"state\":\"",
                d.state == Dimension::State::kMissing ? "MISSING" : "OK", "\"",
                d.deficit > 0 ? concat(",\"deficit\":", d.deficit) : std::string(), "}");
}

std::string optional_json(const std::optional<int64_t>& value) { return value ? std::to_string(*value) : "null"; }

}  // namespace

Result<FitInput> fit_input_from_json(std::string_view text) {
  json::error_code error;
  const json::value value = json::parse({text.data(), text.size()}, error);
  if (error) return fail(Code::kInvalidArgument, concat("not JSON: ", error.message()));
  const auto* object = value.if_object();
  if (object == nullptr) return fail(Code::kInvalidArgument, "not a JSON object");
  if (const auto* inner = object->if_contains("input")) {
    object = inner->if_object();
    if (object == nullptr) return fail(Code::kInvalidArgument, "input: not an object");
  }
  FitInput input;
  for (const auto& entry : *object) TRY(read_key(view(entry.key()), entry.value(), input));
  return input;
}

std::string to_json(const FitResult& result) {
  if (result.error != FitError::kNone) return error_json(result.error, result.error_dims);
  std::string dims = "{";
  for (const auto& d : result.dims) {
    dims += concat(dims.size() > 1 ? "," : "", json::serialize(json::string(d.name)), ":", dimension_json(d));
  }
  dims += "}";
  if (result.unbounded) return concat("{\"unbounded\":true,\"dims\":", dims, "}");
  return concat("{\"R\":", result.r, ",\"R_real\":\"", result.r_real.text(), "\",\"binding\":",
                json::serialize(json::string(result.binding)), ",\"co_binding\":", names_json(result.co_binding),
                ",\"H\":", result.h, ",\"H_binding\":", json::serialize(json::string(result.h_binding)), ",\"dims\":", dims, "}");
}

std::string to_json(const ZonedFit& result) {
  if (result.error != FitError::kNone) return error_json(result.error, result.error_dims);
  std::string zones = "[";
  for (const int64_t n : result.per_zone) zones += concat(zones.size() > 1 ? "," : "", n);
  return concat("{\"per_zone\":", zones, "],\"single_numa\":", optional_json(result.single_numa),
                ",\"none\":", optional_json(result.none), "}");
}

Result<std::string> fit_line(std::string_view text) {
  TRY_ASSIGN(const FitInput input, fit_input_from_json(text));
  return input.zones.empty() ? to_json(fit(input)) : to_json(fit_zones(input));
}

}  // namespace berth::accounting
