// SPDX-License-Identifier: Apache-2.0
// Images on behalf of a verb: look up, pull with progress and the caller's credentials.
#pragma once

#include <cstdio>
#include <string>

#include "agent/cli/context.h"

namespace berth::cli {

// "missing" (default), "always", "never".
Result<> check_pull_policy(const std::string& policy);

// Pulls and shows it on `out`. `platform` empty: this machine's.
Result<rootfs::Image> pull_image(Context& context, const std::string& reference, const std::string& platform, FILE* out,
                                 bool quiet);

// The image of `reference` by `policy`; kNotFound when it is absent and must not be pulled.
Result<rootfs::Image> obtain_image(Context& context, const std::string& reference, const std::string& policy,
                                   const std::string& platform, bool quiet);

}  // namespace berth::cli
