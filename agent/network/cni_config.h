// SPDX-License-Identifier: Apache-2.0
// A CNI network configuration list (CNI spec 1.1, section 1) as found in the configuration directory.
#pragma once

#include <boost/json.hpp>
#include <string>
#include <vector>

#include "runtime/base/result.h"

namespace berth::network {

struct CniConfig {
  std::string cni_version;
  std::string name;
  bool disable_check = false;
  std::vector<boost::json::object> plugins;  // each as written, "type" checked to be a base name (CVE-2021-20206)
  std::string source;                        // the file, or "kept result"
};

// Parses a .conflist, or a single-plugin .conf/.json as a list of one. kInvalidArgument names file and rule.
Result<CniConfig> parse_cni_config(const std::string& text, const std::string& source);

// The first valid configuration by file name, as libcni's users do; kNotFound when the directory has none. A broken file
// is an error, not skipped: a pod must not land silently on another network.
Result<CniConfig> load_cni_config(const std::string& directory);

// The list as JSON, for the kept result.
std::string to_json(const CniConfig& config);

}  // namespace berth::network
