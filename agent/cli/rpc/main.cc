// SPDX-License-Identifier: Apache-2.0
// berth-rpc: the verbs of berth that talk to berthd over gRPC. Started by berth; the address is in BERTH_ADDRESS.
#include <csignal>
#include <cstdio>
#include <exception>

#include "agent/cli/context.h"
#include "agent/cli/options.h"
#include "agent/cli/rpc/fit.h"
#include "agent/cli/rpc/kube.h"
#include "agent/cli/rpc/node.h"
#include "runtime/base/strings.h"

namespace berth::cli {
namespace {

int dispatch(int argc, char** argv) {
  std::vector<std::string> args(argv + 1, argv + argc);
  Globals globals;
  if (const auto status = parse_globals(globals, args)) return *status;
  if (args.empty())
    return report("berth-rpc is started by berth: use 'berth kube', 'berth node' or 'berth fit'", kUsageStatus);
  const std::string verb = args.front();
  args.erase(args.begin());
  if (verb == "kube") return kube_command(globals, std::move(args));
  if (verb == "node") return node_command(std::move(args));
  if (verb == "fit") return fit_command(std::move(args));
  return report(concat(quote(verb), " is not a command of berth-rpc"), kUsageStatus);
}

}  // namespace
}  // namespace berth::cli

int main(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_IGN);
  try {
    return berth::cli::dispatch(argc, argv);
  } catch (const std::exception& error) {
    return berth::cli::report(berth::concat("internal error: ", error.what()), berth::cli::kUsageStatus);
  }
}
