// SPDX-License-Identifier: Apache-2.0
// stop, kill, rm.
#include <csignal>

#include "agent/cli/containers.h"
#include "agent/cli/env.h"
#include "agent/cli/options.h"
#include "agent/cli/verbs.h"
#include "runtime/base/strings.h"

namespace berth::cli {
namespace {

constexpr int64_t kDefaultGrace = 10;

Result<int64_t> grace_of(pods::Engine& engine, const std::string& id, const std::optional<int64_t>& typed) {
  if (typed) return *typed;
  TRY_ASSIGN(const auto reply, engine.container_status(id, false));
  return parse_int64(annotation(reply.status().annotations(), kStopTimeoutAnnotation)).value_or(kDefaultGrace);
}

}  // namespace

int stop_command(Context& context, Args args) {
  Flags flags("stop", "[OPTIONS] CONTAINER [CONTAINER...]", "Stops containers: their stop signal, then KILL.");
  std::optional<std::string> time;
  std::vector<std::string> operands;
  flags.text("-t,--time,--timeout", time, "seconds before the KILL (default 10)");
  flags.operands(operands, 1);
  if (const auto status = flags.parse(std::move(args))) return *status;
  std::optional<int64_t> seconds;
  if (time) {
    seconds = parse_int64(*time);
    if (!seconds || *seconds < 0 || *seconds > 86400)
      return report(concat("invalid argument ", quote(*time), " for -t, --time: expected seconds"), kUsageStatus);
  }
  return for_each_container(context, operands, false, [&](pods::Engine& engine, const std::string& id) -> Result<> {
    TRY_ASSIGN(const int64_t grace, grace_of(engine, id, seconds));
    return stop_completely(context, id, std::chrono::seconds(grace));
  });
}

int kill_command(Context& context, Args args) {
  Flags flags("kill", "[OPTIONS] CONTAINER [CONTAINER...]", "Sends a signal to containers.");
  std::string name = "KILL";
  std::vector<std::string> operands;
  flags.text("-s,--signal", name, "signal (default KILL)");
  flags.operands(operands, 1);
  if (const auto status = flags.parse(std::move(args))) return *status;
  const auto number = parse_signal(name);
  if (!number) return report(number.error().message(), kUsageStatus);
  return for_each_container(context, operands, false, [&](pods::Engine& engine, const std::string& id) -> Result<> {
    TRY_ASSIGN(const auto reply, engine.container_status(id, false));
    if (reply.status().state() != v1::CONTAINER_RUNNING) {
      return fail(Code::kFailedPrecondition, concat("cannot kill container: ", reply.status().metadata().name(),
                                                    ": container ", id, " is not running"));
    }
    return engine.kill_container(id, *number);
  });
}

int rm_command(Context& context, Args args) {
  Flags flags("rm", "[OPTIONS] CONTAINER [CONTAINER...]", "Removes containers.");
  bool force = false, volumes = false;
  std::vector<std::string> operands;
  flags.flag("-f,--force", force, "running ones too");
  flags.flag("-v,--volumes", volumes, "anonymous volumes too (always done)");
  flags.operands(operands, 1);
  if (const auto status = flags.parse(std::move(args))) return *status;
  return for_each_container(context, operands, false, [&](pods::Engine&, const std::string& id) {
    return remove_completely(context, id, force);
  });
}

}  // namespace berth::cli
