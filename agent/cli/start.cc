// SPDX-License-Identifier: Apache-2.0
// start, wait, and the hidden reap.
#include <cstdio>

#include "agent/cli/containers.h"
#include "agent/cli/foreground.h"
#include "agent/cli/options.h"
#include "agent/cli/verbs.h"
#include "runtime/base/strings.h"

namespace berth::cli {
namespace {

int start_attached(Context& context, const std::string& operand, bool interactive) {
  auto engine = context.engine();
  if (!engine) return report(engine.error().message());
  const auto id = (*engine)->resolve_container(operand);
  if (!id) {
    report_operand(id.error().message());
    return 1;
  }
  const auto status = (*engine)->container_status(*id, false);
  if (!status) return report(status.error().message());
  auto signals = SignalPipe::open();
  if (!signals) return report(signals.error().message());
  ForegroundOptions options;
  options.terminal = annotation(status->status().annotations(), kTerminalAnnotation) == "true";
  options.open_stdin = interactive;
  options.remove = annotation(status->status().annotations(), kRemoveAnnotation) == "true";
  return run_in_foreground(context, *id, options, *signals);
}

}  // namespace

int start_command(Context& context, Args args) {
  Flags flags("start", "[OPTIONS] CONTAINER [CONTAINER...]",
              "Starts containers that were created and have not run yet.");
  bool attach = false, interactive = false;
  std::vector<std::string> operands;
  flags.flag("-a,--attach", attach, "stay with it, as run does");
  flags.flag("-i,--interactive", interactive, "keep standard input open");
  flags.operands(operands, 1);
  if (const auto status = flags.parse(std::move(args))) return *status;
  if ((attach || interactive) && operands.size() > 1)
    return report("you cannot start and attach multiple containers at once");
  if (attach || interactive) return start_attached(context, operands.front(), interactive);
  return for_each_container(context, operands, false, [](pods::Engine& engine, const std::string& id) -> Result<> {
    TRY_ASSIGN(const auto reply, engine.container_status(id, false));
    if (reply.status().state() == v1::CONTAINER_RUNNING) return {};
    if (reply.status().state() == v1::CONTAINER_EXITED) {
      return fail(Code::kFailedPrecondition, concat("container ", quote(reply.status().metadata().name()),
                                                    " has ended and cannot be started again: use berth run"));
    }
    return engine.start_container(id);
  });
}

int wait_command(Context& context, Args args) {
  Flags flags("wait", "CONTAINER [CONTAINER...]", "Waits until containers have ended and prints their exit codes.");
  std::vector<std::string> operands;
  flags.operands(operands, 1);
  if (const auto status = flags.parse(std::move(args))) return *status;
  return for_each_container(context, operands, true, [](pods::Engine& engine, const std::string& id) -> Result<> {
    TRY_ASSIGN(const auto exit, engine.wait_container(id));
    std::printf("%d\n", exit.code);
    std::fflush(stdout);
    return {};
  });
}

int reap_command(Context& context, Args args) {
  if (args.size() != 1) return kUsageStatus;
  auto engine = context.engine();
  if (!engine) return 1;
  if (!(*engine)->wait_container(args.front())) return 1;
  return remove_completely(context, args.front(), true) ? 0 : 1;
}

}  // namespace berth::cli
