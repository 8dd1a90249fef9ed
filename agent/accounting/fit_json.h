// SPDX-License-Identifier: Apache-2.0
// Fit questions and answers as JSON, one object a line.
//
// In: {"capacity": {...}, "shape": {...}, "allocated"?, "reserved"?, "overcommit"?: {"cpu": [4, 1]}} or, for NUMA,
// {"zones": [{...}], "unzoned": {...}, "shape": {...}}; also wrapped as {"input": {...}}. Amounts are integers in base
// units, or quantities as text ("500m").
// Out: R, R_real, binding, co_binding, H, H_binding, dims | error, dims | unbounded, dims | per_zone, single_numa, none.
#pragma once

#include <string>
#include <string_view>

#include "agent/accounting/fit.h"
#include "runtime/base/result.h"

namespace berth::accounting {

// kInvalidArgument naming the key that is wrong; unknown keys are refused.
Result<FitInput> fit_input_from_json(std::string_view text);
std::string to_json(const FitResult& result);
std::string to_json(const ZonedFit& result);

// The answer to one line, without the line's end.
Result<std::string> fit_line(std::string_view text);

}  // namespace berth::accounting
