// SPDX-License-Identifier: Apache-2.0
// One execution of a CNI plugin (CNI spec 1.1, section 2): environment, configuration on stdin, result or error on stdout.
#pragma once

#include <boost/json.hpp>
#include <chrono>
#include <string>

#include "agent/network/cni_config.h"
#include "agent/network/network.h"
#include "runtime/base/result.h"

namespace berth::network {

struct CniCall {
  std::string command;  // ADD | DEL | CHECK | VERSION
  const CniConfig* config = nullptr;
  const boost::json::object* plugin = nullptr;
  const Attachment* attachment = nullptr;
  const boost::json::value* previous = nullptr;  // prevResult; null for the first ADD
  std::string bin_dirs;                          // colon-separated
  std::chrono::milliseconds deadline{60000};
};

// Runs the plugin with nothing of the agent's environment but PATH; its process group is killed at the deadline.
// Returns its result (null for DEL). A plugin's error becomes `cni plugin "bridge" ADD: <msg>: <details>`.
Result<boost::json::value> call_cni_plugin(const CniCall& call);

// The addresses of a CNI result without prefix length, in order.
Result<NetworkResult> network_result_from(const boost::json::value& result);

}  // namespace berth::network
