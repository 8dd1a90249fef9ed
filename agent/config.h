// SPDX-License-Identifier: Apache-2.0
// berthd's configuration: flags over a TOML file over defaults. An unknown flag or key is an error in one sentence.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "runtime/base/log.h"
#include "runtime/base/result.h"

namespace berth::agent {

struct Config {
  std::string root = "/var/lib/berth";
  std::string state = "/run/berth";
  std::vector<std::string> listen = {"unix:///run/berth/berth.sock"};
  std::string cni_conf_dir = "/etc/cni/net.d";
  std::string cni_bin_dir = "/usr/lib/cni:/opt/cni/bin";
  std::string registry_config_dir = "/etc/berth/certs.d";
  std::string cgroup_driver = "auto";  // auto | cgroupfs
  std::string nri_socket;              // not served yet: a warning at start says so
  std::string network = "auto";        // auto | cni | builtin
  std::string scheduler;               // address of the upstream, empty: none
  std::string node_name;               // empty: the host's
  std::map<std::string, std::string> node_labels;
  std::map<std::string, int64_t> system_reserved;  // base units, by resource
  std::string shim_path;                           // empty: beside berthd
  std::string streaming_address = "127.0.0.1";
  uint16_t streaming_port = 0;
  std::string log_level = "info";
};

// What to do: run with `config`, or print `text` and exit with `exit_code` (help, version).
struct Invocation {
  Config config;
  bool run = true;
  std::string text;
  int exit_code = 0;
};

// `arguments` without the program's name. kInvalidArgument for what is wrong, naming the flag or key.
Result<Invocation> parse_invocation(const std::vector<std::string>& arguments);
// The TOML text alone, over `config`. Keys are the flags' names with '_' for '-'; listen is a string or an array.
Result<> apply_toml(std::string_view text, std::string_view file_name, Config& config);

}  // namespace berth::agent
