// SPDX-License-Identifier: Apache-2.0
// The image config document (image-spec config.md) and chain ids.
#pragma once

#include <string_view>
#include <vector>

#include "rootfs/content/digest.h"
#include "rootfs/images.h"
#include "runtime/base/result.h"

namespace berth::rootfs {

struct ParsedConfig {
  ImageConfig config;
  std::vector<Digest> diff_ids;
};

// kInvalidArgument when a field has the wrong type, a string holds NUL, or a diff id is malformed.
Result<ParsedConfig> parse_image_config(std::string_view bytes);

// config.md, "Layer ChainID": chain[0] = diff[0]; chain[i] = sha256(chain[i-1] + " " + diff[i]).
std::vector<Digest> chain_ids(const std::vector<Digest>& diff_ids);

}  // namespace berth::rootfs
