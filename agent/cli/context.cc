// SPDX-License-Identifier: Apache-2.0
#include "agent/cli/context.h"

#include <unistd.h>

#include <climits>
#include <cstdlib>

#include "agent/cli/options.h"
#include "runtime/base/log.h"
#include "runtime/base/strings.h"
#include "runtime/sys/file.h"

namespace berth::cli {
namespace {

struct GlobalOption {
  const char* names;
  const char* variable;
  std::string Globals::* value;
  const char* help;
};

constexpr GlobalOption kGlobalOptions[] = {
    {"--root", "BERTH_ROOT", &Globals::root, "directory of images, records and logs"},
    {"--state", "BERTH_STATE", &Globals::state, "directory of sockets and exit records"},
    {"--cni-conf-dir", "BERTH_CNI_CONF_DIR", &Globals::cni_conf_dir, "where CNI configurations are"},
    {"--cni-bin-dir", "BERTH_CNI_BIN_DIR", &Globals::cni_bin_dir, "where CNI plugins are, separated by colons"},
    {"--registry-config-dir", "BERTH_REGISTRY_CONFIG_DIR", &Globals::registry_config_dir, "<host>/hosts.toml files"},
    {"--network", "BERTH_NETWORK", &Globals::network, "auto, cni or builtin"},
    {"--cgroup-driver", "BERTH_CGROUP_DRIVER", &Globals::cgroup_driver, "auto, cgroupfs or systemd"},
    {"--shim", "BERTH_SHIM", &Globals::shim, "path of berth-shim (default: beside this program)"},
    {"--log-level", "BERTH_LOG_LEVEL", &Globals::log_level, "debug, info, warn or error"},
    {"-H,--address", "BERTH_ADDRESS", &Globals::address, "socket of berthd, for kube and node"},
};

Result<> need_root() {
  if (::geteuid() == 0) return {};
  return fail(Code::kPermissionDenied, "this command needs root: it works on namespaces, mounts and cgroups");
}

}  // namespace

std::optional<int> parse_globals(Globals& globals, std::vector<std::string>& args) {
  Flags flags("", "[OPTIONS] COMMAND [ARG...]", "Runs containers and pods.");
  for (const GlobalOption& option : kGlobalOptions) {
    if (const char* value = ::getenv(option.variable); value != nullptr && *value != 0) globals.*option.value = value;
    flags.text(option.names, globals.*option.value, concat(option.help, " [", option.variable, "]"));
  }
  bool version = false;
  flags.flag("-v,--version", version, "print the version");
  std::vector<std::string> rest;
  flags.operands_end_flags(rest, 0);
  if (const auto status = flags.parse(args)) return status;
  if (version) rest = {"version"};
  LogLevel level = LogLevel::kWarn;
  if (!parse_log_level(globals.log_level, level))
    return report(concat("invalid log level: ", quote(globals.log_level)), kUsageStatus);
  set_log_level(level);
  // The processes that verbs start in the background, and berth-rpc, must see the same stores.
  for (const GlobalOption& option : kGlobalOptions) ::setenv(option.variable, (globals.*option.value).c_str(), 1);
  args = std::move(rest);
  return std::nullopt;
}

Result<std::shared_ptr<rootfs::Images>> Context::images() {
  if (images_ == nullptr) {
    TRY(need_root());
    rootfs::ImagesConfig config;
    config.root = globals_.root;
    config.registry_config_dir = globals_.registry_config_dir;
    TRY_ASSIGN(auto opened, rootfs::Images::open(config));
    images_ = std::move(opened);
  }
  return images_;
}

void Context::use_no_network() { globals_.network = "none"; }

pods::EngineConfig Context::engine_config() const {
  pods::EngineConfig config;
  config.root = globals_.root;
  config.state = globals_.state;
  config.name_space = "default";
  config.shim_path = globals_.shim;
  config.cgroup_driver = globals_.cgroup_driver;
  config.network = globals_.network;
  config.cni_conf_dir = globals_.cni_conf_dir;
  config.cni_bin_dir = globals_.cni_bin_dir;
  return config;
}

Result<pods::Engine*> Context::engine() {
  if (engine_ == nullptr) {
    TRY_ASSIGN(auto store, images());
    TRY_ASSIGN(engine_, pods::Engine::open(engine_config(), std::move(store), false));
  }
  return engine_.get();
}

Result<pods::Engine*> Context::records() {
  if (engine_ != nullptr) return engine_.get();
  if (records_ == nullptr) {
    TRY(need_root());
    TRY_ASSIGN(records_, pods::Engine::open(engine_config(), nullptr, false));
  }
  return records_.get();
}

std::string program_directory() {
  char path[PATH_MAX];
  const ssize_t length = ::readlink("/proc/self/exe", path, sizeof path);
  const std::string program(path, length > 0 ? static_cast<size_t>(length) : 0);
  return program.substr(0, program.rfind('/'));
}

}  // namespace berth::cli
