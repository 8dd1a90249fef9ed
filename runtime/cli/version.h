// SPDX-License-Identifier: Apache-2.0
// `--version`: go-runc reads the lines that start with "runc version ", "commit: " and "spec: ".
#pragma once

#include <string>

namespace berth::cli {

inline constexpr char kVersion[] = "0.1.0";
inline constexpr char kSpecVersion[] = "1.3.0";  // the newest runtime-spec that is understood

inline std::string version_text() {
  return std::string("runc version 1.3.0+berth-") + kVersion + "\ncommit: berth-" + kVersion +
         "\nspec: " + kSpecVersion + "\n";
}

}  // namespace berth::cli
