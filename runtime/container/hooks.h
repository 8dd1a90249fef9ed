// SPDX-License-Identifier: Apache-2.0
// OCI hooks that run in the runtime's namespaces: prestart, createRuntime, poststart, poststop (config.md, POSIX-platform
// Hooks). createContainer and startContainer run inside the child (child/plan.h, kHook).
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <sys/types.h>
#include <vector>

#include "runtime/base/result.h"
#include "runtime/oci/spec.h"

namespace berth::container {

// What a hook reads on standard input (runtime.md, State).
struct HookState {
  std::string oci_version;
  std::string id;
  std::string_view status;  // "creating", "created", "running", "stopped"
  pid_t pid = 0;            // 0: left out
  std::string bundle;
  std::map<std::string, std::string> annotations;
};
std::string hook_state_json(const HookState& state);

// Runs the hooks in order; the first that fails ends it with runc's words: `error running createRuntime hook #1: exit
// status 1, stdout: …, stderr: …`. Each gets exactly its own env (or the runtime's when it names none: nothing of the
// container's reaches it), the bundle as working directory, and is killed with its process group at its timeout.
Result<> run_hooks(const std::vector<oci::Hook>& hooks, std::string_view kind, const HookState& state);

}  // namespace berth::container
