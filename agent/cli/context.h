// SPDX-License-Identifier: Apache-2.0
// What the verbs of one invocation share: the global options, and the stores, opened when first asked for.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "agent/pods/engine.h"
#include "rootfs/images.h"

namespace berth::cli {

namespace v1 = ::runtime::v1;

// Options before the verb; each has an environment variable of the same name (BERTH_ROOT, BERTH_STATE…).
struct Globals {
  std::string root = "/var/lib/berth";
  std::string state = "/run/berth";
  std::string cni_conf_dir = "/etc/cni/net.d";
  std::string cni_bin_dir = "/usr/lib/cni:/opt/cni/bin";
  std::string registry_config_dir = "/etc/berth/certs.d";
  std::string network = "auto";
  std::string cgroup_driver = "auto";
  std::string shim;  // empty: beside this program
  std::string log_level = "warn";
  std::string address = "unix:///run/berth/berth.sock";
};

// Splits `args` (without the program's name) into globals and the verb with its arguments. Nothing when the verb may
// run, else the exit status.
std::optional<int> parse_globals(Globals& globals, std::vector<std::string>& args);

// Not thread-safe; the engine and the images it hands out are.
class Context {
 public:
  explicit Context(Globals globals) : globals_(std::move(globals)) {}
  const Globals& globals() const { return globals_; }
  // Both fail with one sentence when the caller is not root.
  Result<std::shared_ptr<rootfs::Images>> images();
  Result<pods::Engine*> engine();
  // An engine for listing and status only, without the image store: what ps and logs need.
  Result<pods::Engine*> records();
  // Pods made from here on get a loopback only (`--network none`). Before the first engine().
  void use_no_network();

 private:
  pods::EngineConfig engine_config() const;

  Globals globals_;
  std::shared_ptr<rootfs::Images> images_;
  std::unique_ptr<pods::Engine> engine_;
  std::unique_ptr<pods::Engine> records_;
};

// The directory of this program, by /proc/self/exe.
std::string program_directory();

}  // namespace berth::cli
