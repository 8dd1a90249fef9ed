// SPDX-License-Identifier: Apache-2.0
// Registry credentials of the person at the keyboard, as `docker login` and `podman login` keep them.
#pragma once

#include <string>

#include "rootfs/images.h"

namespace berth::cli {

// The credentials for `host` ("docker.io", "127.0.0.1:5000") in the text of a docker config.json or auth.json; empty
// when it has none. Malformed text or entries give kInvalidArgument.
Result<rootfs::RegistryAuth> auth_from_config(std::string_view json, const std::string& host);

// Looks in $REGISTRY_AUTH_FILE, $DOCKER_CONFIG/config.json, ~/.docker/config.json and the podman files, in this order;
// for the registry of a normalized reference. Files that are absent are skipped.
Result<rootfs::RegistryAuth> auth_for(const std::string& normalized_reference);

}  // namespace berth::cli
