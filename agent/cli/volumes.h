// SPDX-License-Identifier: Apache-2.0
// Volumes: `-v SOURCE:TARGET[:OPTIONS]`, `--mount type=…`, `--tmpfs PATH[:OPTIONS]`.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "runtime/base/result.h"

namespace berth::cli {

struct Volume {
  enum class Kind : unsigned char { kBind, kNamed, kAnonymous, kTmpfs };
  Kind kind = Kind::kBind;
  std::string source;  // absolute host path (kBind), name (kNamed), else empty
  std::string target;  // absolute path in the container
  bool read_only = false;
  bool relabel = false;
  bool create_source = true;  // -v makes a missing directory, --mount refuses it
  std::string propagation;    // "", "rprivate", "rslave", "rshared"
  unsigned mode = 01777;      // of a tmpfs
};

// `working_dir` resolves relative sources ("./data:/data"). kInvalidArgument naming the rule.
Result<Volume> parse_volume(std::string_view text, const std::string& working_dir);
Result<Volume> parse_mount(std::string_view text, const std::string& working_dir);
Result<Volume> parse_tmpfs(std::string_view text);

// The host directory that is bound for a volume, created when it is missing: named ones below
// <root>/volumes/<name>/_data, anonymous and tmpfs ones below <scratch>.
Result<std::string> prepare_volume(const Volume& volume, const std::string& root, const std::string& scratch,
                                   size_t index);

}  // namespace berth::cli
