// SPDX-License-Identifier: Apache-2.0
#include "agent/accounting/quantity.h"

#include <array>
#include <cstdio>
#include <limits>
#include <optional>

#include "runtime/base/strings.h"

namespace berth::accounting {
namespace {

using Wide = unsigned __int128;

struct Suffix {
  std::string_view text;
  uint64_t numerator;
  uint64_t denominator;
};
constexpr std::array<Suffix, 14> kSuffixes{{{"", 1, 1},
                                            {"m", 1, 1000},
                                            {"k", 1000, 1},
                                            {"M", 1000'000, 1},
                                            {"G", 1000'000'000, 1},
                                            {"T", 1000'000'000'000, 1},
                                            {"P", 1000'000'000'000'000, 1},
                                            {"E", 1000'000'000'000'000'000, 1},
                                            {"Ki", 1ull << 10, 1},
                                            {"Mi", 1ull << 20, 1},
                                            {"Gi", 1ull << 30, 1},
                                            {"Ti", 1ull << 40, 1},
                                            {"Pi", 1ull << 50, 1},
                                            {"Ei", 1ull << 60, 1}}};

// The multiplier of a suffix or of an exponent like "e3", "E-3".
std::optional<Suffix> multiplier(std::string_view text) {
  for (const auto& suffix : kSuffixes) {
    if (suffix.text == text) return suffix;
  }
  if (text.size() < 2 || (text[0] != 'e' && text[0] != 'E')) return std::nullopt;
  text.remove_prefix(1);
  const bool negative = text[0] == '-';
  if (negative) text.remove_prefix(1);
  const auto exponent = parse_uint32(text);
  if (!exponent || *exponent > 18) return std::nullopt;
  uint64_t power = 1;
  for (uint32_t i = 0; i < *exponent; ++i) power *= 10;
  return negative ? Suffix{"", 1, power} : Suffix{"", power, 1};
}

struct Decimal {
  Wide mantissa = 0;
  Wide scale = 1;  // value = mantissa / scale
  size_t length = 0;
  bool overflow = false;
};

std::optional<Decimal> leading_decimal(std::string_view text) {
  Decimal out;
  bool digits = false;
  bool point = false;
  for (; out.length < text.size(); ++out.length) {
    const char c = text[out.length];
    if (c == '.' && !point) {
      point = true;
      continue;
    }
    if (c < '0' || c > '9') break;
    digits = true;
    out.overflow |= __builtin_mul_overflow(out.mantissa, Wide{10}, &out.mantissa);
    out.overflow |= __builtin_add_overflow(out.mantissa, static_cast<Wide>(c - '0'), &out.mantissa);
    if (point) out.overflow |= __builtin_mul_overflow(out.scale, Wide{10}, &out.scale);
  }
  // "1." and ".5" are typing errors more often than numbers.
  if (!digits || text[0] == '.' || text[out.length - 1] == '.') return std::nullopt;
  while (out.scale > 1 && out.mantissa % 10 == 0) {
    out.mantissa /= 10;
    out.scale /= 10;
  }
  return out;
}

}  // namespace

bool counted_in_bytes(std::string_view resource) {
  return resource == "memory" || resource == "ephemeral-storage" || resource.starts_with("hugepages-");
}

Result<int64_t> parse_quantity(std::string_view resource, std::string_view text) {
  const auto number = text.empty() ? std::nullopt : leading_decimal(text);
  const auto unit = number ? multiplier(text.substr(number->length)) : std::nullopt;
  if (!unit) {
    return fail(Code::kInvalidArgument, concat(resource, " ", quote(text), ": not a quantity (such as 500m, 1.5, 128Mi, 1G)"));
  }
  const bool milli = resource == "cpu";
  Wide numerator = number->mantissa;
  Wide denominator = number->scale;
  bool overflow = number->overflow;
  overflow |= __builtin_mul_overflow(numerator, Wide{unit->numerator}, &numerator);
  overflow |= __builtin_mul_overflow(numerator, Wide{milli ? 1000u : 1u}, &numerator);
  overflow |= __builtin_mul_overflow(denominator, Wide{unit->denominator}, &denominator);
  if (overflow) return fail(Code::kOutOfRange, concat(resource, " ", quote(text), ": too large"));
  if (numerator % denominator != 0) {
    return fail(Code::kInvalidArgument,
                concat(resource, " ", quote(text), ": finer than ", milli ? "1m" : counted_in_bytes(resource) ? "1 byte" : "1"));
  }
  const Wide value = numerator / denominator;
  if (value > static_cast<Wide>(std::numeric_limits<int64_t>::max())) {
    return fail(Code::kOutOfRange, concat(resource, " ", quote(text), ": too large"));
  }
  return static_cast<int64_t>(value);
}

std::string format_quantity(std::string_view resource, int64_t amount) {
  if (resource == "cpu") return amount % 1000 == 0 ? std::to_string(amount / 1000) : concat(amount, "m");
  if (!counted_in_bytes(resource) || amount == 0) return std::to_string(amount);
  for (size_t i = kSuffixes.size(); i-- > 8;) {
    const auto unit = static_cast<int64_t>(kSuffixes[i].numerator);
    if (amount % unit == 0) return concat(amount / unit, kSuffixes[i].text);
  }
  return std::to_string(amount);
}

std::string display_quantity(std::string_view resource, int64_t amount) {
  if (!counted_in_bytes(resource)) return format_quantity(resource, amount);
  for (size_t i = kSuffixes.size(); i-- > 8;) {
    const auto unit = static_cast<int64_t>(kSuffixes[i].numerator);
    if (amount < unit) continue;
    if (amount % unit == 0) return concat(amount / unit, kSuffixes[i].text);
    std::array<char, 48> text{};
    std::snprintf(text.data(), text.size(), "%.1f%s", static_cast<double>(amount) / static_cast<double>(unit),
                  std::string(kSuffixes[i].text).c_str());
    return text.data();
  }
  return std::to_string(amount);
}

}  // namespace berth::accounting
