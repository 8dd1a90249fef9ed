// SPDX-License-Identifier: Apache-2.0
// What a spec means beyond its syntax: every check has one message. Pure.
#pragma once

#include "runtime/base/result.h"
#include "runtime/oci/spec.h"

namespace berth::oci {

// kInvalidArgument with the first thing that is wrong; kUnimplemented for what this runtime cannot do.
Result<> validate(const Spec& spec);
// The part that exec needs too.
Result<> validate_process(const Process& process);

}  // namespace berth::oci
