// SPDX-License-Identifier: Apache-2.0
// Identity-mapped mounts (uidMappings/gidMappings of a mount, "idmap", "ridmap").
#pragma once

#include "runtime/base/fd.h"
#include "runtime/base/result.h"
#include "runtime/oci/spec.h"
#include "runtime/plan/mount_options.h"

namespace berth::plan {

// Lines "container host size\n" as /proc/PID/uid_map takes them.
std::string map_lines(const std::vector<oci::IdMapping>& mappings);

// A user namespace with these mappings and no process in it.
Result<Fd> make_user_namespace(const std::vector<oci::IdMapping>& uids, const std::vector<oci::IdMapping>& gids);

// Maps a detached mount by its own mappings, or by the container's user namespace (`fallback`, may be -1) without any.
Result<> apply_idmap(int mount, const oci::Mount& spec, const MountOptions& options, int fallback);

}  // namespace berth::plan
