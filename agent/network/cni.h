// SPDX-License-Identifier: Apache-2.0
// A pod's network by CNI plugins: the list's plugins in order for ADD, in reverse for DEL.
#pragma once

#include "agent/network/cni_config.h"
#include "agent/network/kept_results.h"
#include "agent/network/network.h"

namespace berth::network {

// Runs ADD of every plugin, keeping intent and result; on failure DELs what ran. Thread-safe.
Result<NetworkResult> cni_attach(const NetworkConfig& config, const KeptResults& kept, const Attachment& attachment);
// Runs DEL of every plugin of the kept configuration. The kept result goes only when all of them succeeded.
Result<> cni_detach(const NetworkConfig& config, const KeptResults& kept, KeptResult result, const std::string& netns);

}  // namespace berth::network
