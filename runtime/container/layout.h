// SPDX-License-Identifier: Apache-2.0
// Where a container's state lives: <root>/<id>/ (0711 at most), everything below by these names.
#pragma once

#include <string>

#include "runtime/base/fd.h"
#include "runtime/base/result.h"

namespace berth::container {

// The state record (state_file.h): written before the first side effect, replaced as the container advances.
inline constexpr char kStateFile[] = "state.json";
// The spec as create() understood it; later edits of the bundle have no effect.
inline constexpr char kConfigFile[] = "config.json";
// The start gate: exists from create until start; with a live init it means "created".
inline constexpr char kExecFifo[] = "exec.fifo";
// flock(2)ed exclusively by start, remove and the end of create, so that they do not meet half way.
inline constexpr char kLockFile[] = "lock";

// [A-Za-z0-9_+.-]{1,255}, not "." or "..", as runc accepts them (§3 trap 76, R19).
Result<> check_id(const std::string& id);

std::string state_dir(const std::string& root, const std::string& id);    // <root>/<id>
std::string state_path(const std::string& root, const std::string& id);   // …/state.json
std::string config_path(const std::string& root, const std::string& id);  // …/config.json

// Makes <root> (0700) when missing and <root>/<id> (0711); kAlreadyExists with runc's words when the id is taken.
Result<Fd> make_state_dir(const std::string& root, const std::string& id);
// kNotFound "container does not exist" when there is none.
Result<Fd> open_state_dir(const std::string& root, const std::string& id);

}  // namespace berth::container
