// SPDX-License-Identifier: Apache-2.0
// JSON as Go's encoding/json prints it, for callers that compare text.
#pragma once

#include <boost/json.hpp>
#include <string>
#include <string_view>

namespace berth::cli {

// `text` quoted and escaped; bytes that are no UTF-8 become U+FFFD, as engines refuse them.
std::string json_string(std::string_view text);
// `step` per level, no newline at the end (json.MarshalIndent).
std::string pretty_json(const boost::json::value& value, std::string_view step = "  ");

}  // namespace berth::cli
