// SPDX-License-Identifier: Apache-2.0
// kube play, down, ps, exec, logs: Kubernetes manifests through berthd's CRI socket.
#pragma once

#include <string>
#include <vector>

#include "agent/cli/context.h"
#include "agent/cli/manifest.h"
#include "agent/cli/rpc/cri_client.h"

namespace berth::cli {

// `args` begins with the sub-verb. Returns the exit status.
int kube_command(const Globals& globals, std::vector<std::string> args);

// kube_ps.cc.
int kube_ps_command(const Globals& globals, std::vector<std::string> args);

// kube_play.cc. FILE or "-" for standard input.
Result<Manifest> load_manifest(const Globals& globals, const std::string& file);
// Makes the pods one after the other; on a failure what was made is removed again.
Result<> play(CriClient& client, const Manifest& manifest);
// Stops and removes the pods of the same names and namespaces that play made; prints each.
Result<> take_down(CriClient& client, const Globals& globals, const Manifest& manifest);

// Pods that play made, in `name_space` when given.
Result<v1::ListPodSandboxResponse> played_pods(CriClient& client);

}  // namespace berth::cli
