// SPDX-License-Identifier: Apache-2.0
// oci::Process → operations: identity, limits, security, working directory, the program. The order is §3 trap 44's.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "runtime/base/result.h"
#include "runtime/oci/spec.h"
#include "runtime/plan/builder.h"
#include "runtime/plan/seccomp.h"

namespace berth::plan {

struct ProcessContext {
  const oci::Process& process;
  Builder& builder;
  const SeccompFilter* filter = nullptr;  // null: no profile
  bool user_namespace = false;
  bool setgroups_denied = false;
  std::string keyring = {};           // "_ses.<id>"; empty: the session keyring stays
  int proc_slot = -1;            // a private procfs, for LSM attributes
  std::optional<std::string> home = {};  // for HOME, when the environment has none
  unsigned preserve_fds = 0;
  // init only: the gate and the startContainer hooks.
  int gate = -1;
  const std::vector<oci::Hook>* start_hooks = nullptr;
  int hook_state = -1;
  int sync = -1;                 // survives until execve, besides the above
  bool exec = false;             // a second process: reports until execve, no gate
  const oci::Personality* personality = nullptr;
};

// Sync points, told by Report::value.
enum SyncPoint : int {
  kSyncMaps = 1,    // write the id mappings
  kSyncHooks,       // run prestart and createRuntime hooks
  kSyncHookState,   // fill the state descriptor: "creating"
  kSyncStartState,  // fill it anew: "created"
  kSyncLimits,      // set the limits from outside the user namespace
  kSyncSeccomp,     // fetch the listener
};

// Capability sets as masks. Unknown names are left out and told in `unknown` (a warning, §1b).
struct CapabilityMasks {
  uint64_t bounding = 0;
  uint64_t effective = 0;
  uint64_t inheritable = 0;
  uint64_t permitted = 0;
  uint64_t ambient = 0;
};
CapabilityMasks capability_masks(const oci::Capabilities& sets, std::vector<std::string>& unknown);

// Every name known here, "CAP_CHOWN"… in the kernel's order.
std::vector<std::string> capability_names();
// The caller's permitted set.
uint64_t own_capabilities();

// RLIMIT_… number of a name, or -1.
int rlimit_number(std::string_view name);

// The final environment: later entries win, entries without '=' are dropped, HOME is filled in.
std::vector<std::string> final_environment(const oci::Process& process, const std::optional<std::string>& home);
// Where args[0] may be: itself when it holds a slash, else once per PATH entry.
std::vector<std::string> lookup_candidates(const oci::Process& process);

// Everything from credentials to execve, for init and exec alike.
Result<> add_process(const ProcessContext& context);

}  // namespace berth::plan
