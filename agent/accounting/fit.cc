// SPDX-License-Identifier: Apache-2.0
#include "agent/accounting/fit.h"

#include <algorithm>
#include <limits>
#include <numeric>
#include <set>
#include <tuple>

#include "agent/accounting/quantity.h"
#include "runtime/base/strings.h"

namespace berth::accounting {
namespace {

using Wide = __int128;
constexpr int64_t kMax = std::numeric_limits<int64_t>::max();

int rank(const std::string& name) {
  if (name == "cpu") return 0;
  if (name == "memory") return 1;
  if (name == "ephemeral-storage") return 2;
  if (name == "pids") return 3;
  if (name.starts_with("hugepages-")) return 4;
  return name == "slots" ? 6 : 5;
}

struct Before {
  bool operator()(const std::string& a, const std::string& b) const { return dimension_before(a, b); }
};
using Names = std::set<std::string, Before>;

// a/b < c/d for b, d > 0.
bool less(Wide a, Wide b, Wide c, Wide d) { return a * d < c * b; }

int64_t amount_of(const Amounts& amounts, const std::string& name) {
  const auto it = amounts.find(name);
  return it == amounts.end() ? 0 : it->second;
}

// What one copy takes: "slots" is implicitly one where the node counts slots.
int64_t asked(const FitInput& input, const std::string& name) {
  const int64_t c = amount_of(input.shape, name);
  return c == 0 && name == "slots" && input.capacity.contains(name) ? 1 : c;
}

// C with overcommit; nothing when it leaves int64.
std::optional<int64_t> effective_capacity(const FitInput& input, const std::string& name) {
  const int64_t c = amount_of(input.capacity, name);
  const auto it = input.overcommit.find(name);
  if (it == input.overcommit.end()) return c;
  const Wide wide = Wide{c} * it->second.first / it->second.second;
  return wide > kMax ? std::nullopt : std::optional<int64_t>(static_cast<int64_t>(wide));
}

bool overcommit_allowed(const FitInput& input, const std::string& name, std::pair<int64_t, int64_t> ratio) {
  if (ratio.first <= 0 || ratio.second <= 0) return false;
  if (ratio.first == ratio.second || name == "cpu" || name == "ephemeral-storage") return true;
  return name == "memory" && (input.memory_overcommit || ratio.first < ratio.second);
}

Names invalid_dimensions(const FitInput& input) {
  Names bad;
  const auto negative = [&bad](const Amounts& amounts) {
    for (const auto& [name, value] : amounts) {
      if (value < 0) bad.insert(name);
    }
  };
  negative(input.capacity);
  negative(input.shape);
  negative(input.allocated);
  negative(input.reserved);
  for (const auto& zone : input.zones) negative(zone);
  for (const auto& [name, ratio] : input.overcommit) {
    if (!overcommit_allowed(input, name, ratio) || !effective_capacity(input, name)) bad.insert(name);
  }
  return bad;
}

struct Refusal {
  FitError error = FitError::kNone;
  std::vector<std::string> dims;
};

Refusal refuse(const FitInput& input) {
  Names bad = invalid_dimensions(input);
  Names misaligned;
  for (const auto& [name, c] : input.shape) {
    if (!name.starts_with("hugepages-") || c <= 0) continue;
    const auto page = parse_quantity(name, std::string_view(name).substr(10));
    if (!page || *page == 0) {
      bad.insert(name);
    } else if (c % *page != 0) {
      misaligned.insert(name);
    }
  }
  if (!bad.empty()) return {FitError::kInvalidArgument, {bad.begin(), bad.end()}};
  if (!misaligned.empty()) return {FitError::kHugepageAlignment, {misaligned.begin(), misaligned.end()}};
  const int64_t cpu = amount_of(input.shape, "cpu");
  if (input.exclusive_cpu && cpu % 1000 != 0) return {FitError::kIntegralCpuRequired, {"cpu"}};
  if (input.exclusive_cpu && input.threads_per_core > 0 && cpu / 1000 % input.threads_per_core != 0) {
    return {FitError::kSmtAlignment, {"cpu"}};
  }
  return {};
}

// One dimension, and what is free of it.
std::pair<Dimension, int64_t> measure(const FitInput& input, const std::string& name) {
  Dimension d;
  d.name = name;
  const int64_t c = asked(input, name);
  if (c == 0) {
    d.unbounded = true;
    return {d, 0};
  }
  const int64_t capacity = effective_capacity(input, name).value_or(0);
  if (!input.capacity.contains(name)) {
    d.state = Dimension::State::kMissing;
  } else if (capacity == 0) {
    d.state = Dimension::State::kExhausted;
  }
  const Wide left = Wide{capacity} - amount_of(input.allocated, name) - amount_of(input.reserved, name);
  const int64_t free = left > 0 ? static_cast<int64_t>(left) : 0;
  if (left < 0) d.deficit = -left > kMax ? kMax : static_cast<int64_t>(-left);
  d.n = capacity / c;
  d.h = free / c;
  const int64_t divisor = std::gcd(capacity, c);
  d.ratio = {capacity / divisor, c / divisor};
  return {d, free};
}

// The sums of zones on top of the unzoned dimensions; nothing when a sum leaves int64.
std::optional<FitInput> totals(const FitInput& input, Names& overflowed) {
  FitInput sum = input;
  for (const auto& zone : input.zones) {
    for (const auto& [name, value] : zone) {
      if (__builtin_add_overflow(sum.capacity[name], value, &sum.capacity[name])) overflowed.insert(name);
    }
  }
  return overflowed.empty() ? std::optional<FitInput>(std::move(sum)) : std::nullopt;
}

}  // namespace

bool dimension_before(const std::string& a, const std::string& b) {
  return std::tuple(rank(a), std::string_view(a)) < std::tuple(rank(b), std::string_view(b));
}

std::string Fraction::text() const {
  const int64_t divisor = std::gcd(num, den);
  if (num == 0) return "0";
  return den == divisor ? std::to_string(num / divisor) : concat(num / divisor, "/", den / divisor);
}

const char* fit_error_name(FitError error) {
  switch (error) {
    case FitError::kNone: return "";
    case FitError::kInvalidArgument: return "INVALID_ARGUMENT";
    case FitError::kHugepageAlignment: return "HUGEPAGE_ALIGNMENT";
    case FitError::kIntegralCpuRequired: return "INTEGRAL_CPU_REQUIRED";
    case FitError::kSmtAlignment: return "SMT_ALIGNMENT";
  }
  return "";
}

FitResult fit(const FitInput& input) {
  FitResult out;
  if (auto refusal = refuse(input); refusal.error != FitError::kNone) {
    out.error = refusal.error;
    out.error_dims = std::move(refusal.dims);
    return out;
  }
  Names names;
  for (const auto& [name, value] : input.capacity) names.insert(name);
  for (const auto& [name, value] : input.shape) names.insert(name);

  out.unbounded = true;
  Fraction least_free;
  for (const auto& name : names) {
    auto [dim, free] = measure(input, name);
    if (!dim.unbounded) {
      const int64_t c = asked(input, name);
      if (out.unbounded || less(dim.ratio.num, dim.ratio.den, out.r_real.num, out.r_real.den)) {
        out.r_real = dim.ratio;
        out.r = dim.n;
        out.binding = name;
      }
      if (out.unbounded || less(free, c, least_free.num, least_free.den)) {
        least_free = {free, c};
        out.h = dim.h;
        out.h_binding = name;
      }
      out.unbounded = false;
    }
    out.dims.push_back(std::move(dim));
  }
  for (const auto& dim : out.dims) {
    if (!dim.unbounded && dim.n == out.r) out.co_binding.push_back(dim.name);
  }
  return out;
}

ZonedFit fit_zones(const FitInput& input) {
  ZonedFit out;
  Names overflowed;
  if (auto refusal = refuse(input); refusal.error != FitError::kNone) {
    out.error = refusal.error;
    out.error_dims = std::move(refusal.dims);
    return out;
  }
  const auto sum = totals(input, overflowed);
  if (!sum) {
    out.error = FitError::kInvalidArgument;
    out.error_dims = {overflowed.begin(), overflowed.end()};
    return out;
  }
  if (const auto all = fit(*sum); !all.unbounded) out.none = all.r;

  Amounts zoned;  // what the shape asks for and zones have
  FitInput rest = input;
  for (const auto& zone : input.zones) {
    for (const auto& [name, value] : zone) {
      if (amount_of(input.shape, name) > 0) zoned[name] = input.shape.at(name);
    }
  }
  for (const auto& [name, c] : zoned) rest.shape.erase(name), rest.capacity.erase(name);
  if (const auto unzoned = fit(rest); !unzoned.unbounded) out.single_numa = unzoned.r;
  if (zoned.empty()) return out;

  Wide total = 0;
  for (const auto& zone : input.zones) {
    int64_t least = kMax;
    for (const auto& [name, c] : zoned) least = std::min(least, amount_of(zone, name) / c);
    out.per_zone.push_back(least);
    total += least;
  }
  const int64_t bounded = total > kMax ? kMax : static_cast<int64_t>(total);
  out.single_numa = out.single_numa ? std::min(*out.single_numa, bounded) : bounded;
  return out;
}

}  // namespace berth::accounting
