// SPDX-License-Identifier: Apache-2.0
// The containers that people started, as the verbs see them: the engine's records plus what `run` noted in annotations.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "agent/cli/context.h"

namespace berth::cli {

// Annotations of a container made by `run`; presentation only, the engine does not read them.
inline constexpr const char* kImageAnnotation = "io.berth.run.image";      // as typed
inline constexpr const char* kCommandAnnotation = "io.berth.run.command";  // JSON array of words
inline constexpr const char* kPortsAnnotation = "io.berth.run.ports";      // published_text()
inline constexpr const char* kRemoveAnnotation = "io.berth.run.auto-remove";
inline constexpr const char* kTerminalAnnotation = "io.berth.run.tty";
inline constexpr const char* kStdinAnnotation = "io.berth.run.stdin";
inline constexpr const char* kNetworkAnnotation = "io.berth.run.network";
inline constexpr const char* kStopTimeoutAnnotation = "io.berth.run.stop-timeout";
inline constexpr const char* kScratchAnnotation = "io.berth.run.scratch";  // directory of anonymous volumes
inline constexpr const char* kEnvAnnotation = "io.berth.run.env";          // JSON array, for inspect
inline constexpr const char* kUserAnnotation = "io.berth.run.user";
inline constexpr const char* kWorkDirAnnotation = "io.berth.run.workdir";
inline constexpr const char* kHostnameAnnotation = "io.berth.run.hostname";

std::string annotation(const google::protobuf::Map<std::string, std::string>& map, const char* key);

// "created", "running", "exited", "unknown".
const char* state_name(v1::ContainerState state);
// STATUS column: "Created", "Up 3 minutes", "Exited (0) 2 hours ago".
std::string status_text(const v1::ContainerStatus& status, long long now_nanos);

// Removes container, pod, log and scratch directory. A running one is refused unless `force`.
Result<> remove_completely(Context& context, const std::string& id, bool force);
// Ends the container within `grace` and releases its pod's network and namespaces; the record stays.
Result<> stop_completely(Context& context, const std::string& id, std::chrono::seconds grace);

// Runs `step` on each operand's container id; a failure is printed as "Error: …" and the others go on.
// Prints the operand as it was typed after success unless `quiet`. Returns the exit status.
int for_each_container(Context& context, const std::vector<std::string>& operands, bool quiet,
                       const std::function<Result<>(pods::Engine&, const std::string& id)>& step);

// The pod that a container belongs to.
Result<std::string> pod_of(pods::Engine& engine, const std::string& container_id);

}  // namespace berth::cli
