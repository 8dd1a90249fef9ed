// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace berth::agent {

// Of the whole program; semantic, since CRI clients parse it.
inline constexpr const char* kVersion = "0.1.0";

}  // namespace berth::agent
