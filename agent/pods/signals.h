// SPDX-License-Identifier: Apache-2.0
// Signals as CRI's enum, as image configs write them ("SIGQUIT", "QUIT", "3"), and as numbers. Pure.
#pragma once

#include <string_view>

#include "cri/proto/runtime/v1/api.pb.h"
#include "runtime/base/result.h"

namespace berth::pods {

// "SIGTERM", "TERM", "sigrtmin+3", "15" → the number; kInvalidArgument otherwise.
Result<int> parse_signal(std::string_view text);

// The request's signal, else the image's, else SIGTERM. An image's unknown signal is SIGTERM (with a warning): it must
// not keep a container from being created.
Result<int> stop_signal_number(::runtime::v1::Signal request, std::string_view image);

// The enum's value for a number, SIGNAL_RUNTIME_DEFAULT where there is none.
::runtime::v1::Signal signal_enum(int number);

}  // namespace berth::pods
