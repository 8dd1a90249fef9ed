// SPDX-License-Identifier: Apache-2.0
// The flags of `run` and `create`, and their translation into CRI messages.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "agent/cli/context.h"
#include "agent/cli/env.h"
#include "agent/cli/ports.h"
#include "agent/cli/volumes.h"

namespace berth::cli {

struct RunOptions {
  bool detach = false;
  bool interactive = false;
  bool terminal = false;
  bool remove = false;
  bool privileged = false;
  bool read_only = false;
  bool init = false;
  bool quiet = false;
  std::string name;
  std::string image;
  std::vector<std::string> words;  // what follows the image
  std::optional<std::string> entrypoint;
  std::string working_dir;
  std::string hostname;
  std::string network = "bridge";
  std::string pull = "missing";
  std::string platform;
  int64_t memory = 0;     // bytes, 0: no limit
  int64_t cpu_quota = 0;  // µs of every 100000
  int64_t cpu_shares = 0;
  std::string cpuset_cpus;
  int64_t pids_limit = 0;
  int64_t stop_timeout = 10;  // seconds
  int stop_signal = 0;
  EnvList env;
  std::optional<UserText> user;
  std::string user_text;
  std::vector<std::string> groups;
  std::vector<Volume> volumes;
  std::vector<PublishedPort> ports;
  std::vector<std::string> cap_add, cap_drop;
  std::vector<std::pair<std::string, std::string>> labels;
  std::vector<std::string> dns, dns_search, dns_options;
  std::vector<std::pair<std::string, std::string>> sysctls;
  bool seccomp_unconfined = false;
  bool no_new_privileges = false;
};

// Parses the arguments of `verb`. The exit status when the verb is over (help, or a message was printed).
std::optional<int> parse_run_options(const std::string& verb, std::vector<std::string> args, RunOptions& options);

// `uid` names the run: pod uid, directory of its logs and of its anonymous volumes.
v1::PodSandboxConfig sandbox_config(const RunOptions& options, const std::string& uid, const Globals& globals);
// Creates the host directories of volumes.
Result<v1::ContainerConfig> container_config(const RunOptions& options, const rootfs::Image& image,
                                             const std::string& uid, const Globals& globals);

// The paths that docker hides from containers and makes read-only.
void add_default_path_masks(v1::LinuxContainerSecurityContext& security);
// Signal numbers to CRI's enumeration.
v1::Signal cri_signal(int number);

}  // namespace berth::cli
