// SPDX-License-Identifier: Apache-2.0
// config.json ⇄ oci::Spec. Strict: a value of the wrong type, a number out of range or a missing required field is
// kInvalidArgument with the JSON path in the message (`config.linux.resources.pids.limit: must be an integer`). Unknown
// members are ignored, as the spec demands. Writers leave out what is absent or empty, so that parse(write(x)) == x.
// Semantics (is the id valid, do the options fit together) are validate.h's. Pure and thread-safe.
#pragma once

#include <string>
#include <string_view>

#include "runtime/base/result.h"
#include "runtime/oci/spec.h"

namespace berth::oci {

Result<Spec> parse_spec(std::string_view json);
Result<Process> parse_process(std::string_view json);      // exec --process
Result<Resources> parse_resources(std::string_view json);  // update --resources
Result<Seccomp> parse_seccomp(std::string_view json);      // a profile file

std::string to_json(const Spec& spec);
std::string to_json(const Process& process);
std::string to_json(const Resources& resources);

}  // namespace berth::oci
