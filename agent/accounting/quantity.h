// SPDX-License-Identifier: Apache-2.0
// Amounts as people write them ("500m", "1.5", "128Mi", "1G"), to and from int64 base units. Exact: an amount that is no
// whole number of base units is refused, never rounded.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "runtime/base/result.h"

namespace berth::accounting {

// The amount of `text` in the resource's base unit: milli-cores for "cpu", else bytes or counts. Decimal digits with at
// most one point, then one of m k M G T P E Ki Mi Gi Ti Pi Ei or an exponent (e3). No sign, no spaces.
// kInvalidArgument naming the text; kOutOfRange beyond int64.
Result<int64_t> parse_quantity(std::string_view resource, std::string_view text);

// Shortest exact text: cpu "500m" or "2"; memory-like "128Mi", "1500"; counts as they are.
std::string format_quantity(std::string_view resource, int64_t amount);
// For tables: bytes with at most one decimal ("62.0Gi"); else as format_quantity.
std::string display_quantity(std::string_view resource, int64_t amount);

// True for memory, ephemeral-storage and hugepages-*: counted in bytes.
bool counted_in_bytes(std::string_view resource);

}  // namespace berth::accounting
