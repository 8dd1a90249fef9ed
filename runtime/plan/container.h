// SPDX-License-Identifier: Apache-2.0
// The whole plan of a container's init, and of a second process in a container.
#pragma once

#include <map>
#include <string>

#include "runtime/base/result.h"
#include "runtime/cgroup/cgroup.h"
#include "runtime/oci/spec.h"
#include "runtime/plan/builder.h"
#include "runtime/plan/namespaces.h"
#include "runtime/plan/process.h"

namespace berth::plan {

struct InitRequest {
  const oci::Spec& spec;
  const NamespacePlan& namespaces;
  std::string id = {};
  std::string bundle = {};
  int root = -1;              // detached mount of the root file system
  std::string root_target = {};    // absolute directory it is attached to until pivot_root
  int stdio[3] = {-1, -1, -1};  // numbers above 2, or -1
  const cgroup::Layout* cgroups = nullptr;
  std::map<std::string, std::string> cgroup_paths = {};
  std::vector<int> cgroup_join_files = {};  // v1
  const SeccompFilter* filter = nullptr;
  std::optional<std::string> home = {};
  int gate = -1;
  int hook_state = -1;        // memfd with the state for hooks inside; -1 when there is none
  int sync = -1;
  unsigned preserve_fds = 0;
  bool no_pivot = false;
  bool new_keyring = true;
};

// Appends init's operations. The process must be there (a spec without one cannot be created here).
Result<> plan_init(const InitRequest& request, Builder& builder);

struct ExecPlanRequest {
  const oci::Process& process;  // capabilities and labels already completed from the container's
  const oci::Spec& spec;
  std::string id = {};
  int pidfd = -1;             // of init: its namespaces are entered
  uint64_t namespaces = 0;    // CLONE_NEW… to enter
  int stdio[3] = {-1, -1, -1};
  std::vector<int> cgroup_join_files = {};
  const SeccompFilter* filter = nullptr;
  std::optional<std::string> home = {};
  int sync = -1;
  unsigned preserve_fds = 0;
  bool keyring = true;
};
Result<> plan_exec(const ExecPlanRequest& request, Builder& builder);

// The home directory of `uid` by the passwd file in the root, "/" when it is not listed.
std::string home_of(int root, uint32_t uid);

// The sentence of a failure report.
std::string failure_text(const Builder& builder, const child::Report& report);

}  // namespace berth::plan
