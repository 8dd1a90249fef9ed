// SPDX-License-Identifier: Apache-2.0
// The verbs of berth-oci. main.cc holds the table; each verb reads its arguments, calls runtime/container and prints.
#pragma once

#include <string>

#include "runtime/base/result.h"
#include "runtime/cli/options.h"
#include "runtime/container/container.h"

namespace berth::cli {

// What the global options decide.
struct Context {
  std::string root;
  bool root_given = false;
  container::CgroupDriver cgroup_driver = container::CgroupDriver::kCgroupfs;
  bool debug = false;
};

// The value is the program's exit status.
using Verb = Result<int> (*)(const Context&, const Arguments&);

Result<int> create_command(const Context&, const Arguments&);
Result<int> run_command(const Context&, const Arguments&);
Result<int> start_command(const Context&, const Arguments&);
Result<int> exec_command(const Context&, const Arguments&);
Result<int> kill_command(const Context&, const Arguments&);
Result<int> delete_command(const Context&, const Arguments&);
Result<int> pause_command(const Context&, const Arguments&);
Result<int> resume_command(const Context&, const Arguments&);
Result<int> state_command(const Context&, const Arguments&);
Result<int> list_command(const Context&, const Arguments&);
Result<int> ps_command(const Context&, const Arguments&);
Result<int> update_command(const Context&, const Arguments&);
Result<int> events_command(const Context&, const Arguments&);
Result<int> spec_command(const Context&, const Arguments&);
Result<int> features_command(const Context&, const Arguments&);
Result<int> checkpoint_command(const Context&, const Arguments&);

}  // namespace berth::cli
