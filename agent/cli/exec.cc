// SPDX-License-Identifier: Apache-2.0
#include <unistd.h>

#include "agent/cli/env.h"
#include "agent/cli/foreground.h"
#include "agent/cli/options.h"
#include "agent/cli/pump.h"
#include "agent/cli/verbs.h"
#include "runtime/base/strings.h"
#include "runtime/sys/file.h"

namespace berth::cli {
namespace {

struct ExecFlags {
  pods::ExecOptions options;
  std::string container;
  bool detach = false;
};

std::optional<int> parse(Args args, ExecFlags& out) {
  Flags flags("exec", "[OPTIONS] CONTAINER COMMAND [ARG...]", "Runs a command in a running container.");
  std::vector<std::string> env, env_file, operands;
  std::string user, directory;
  flags.flag("-i,--interactive", out.options.open_stdin, "keep standard input open");
  flags.flag("-t,--tty", out.options.terminal, "give it a terminal");
  flags.flag("-d,--detach", out.detach, "do not wait for it");
  flags.list("-e,--env", env, "set an environment variable");
  flags.list("--env-file", env_file, "environment variables from a file");
  flags.text("-w,--workdir", directory, "working directory");
  flags.text("-u,--user", user, "user[:group]");
  flags.operands_end_flags(operands, 2);
  if (const auto status = flags.parse(std::move(args))) return status;
  EnvList list;
  for (const std::string& file : env_file) {
    const auto content = sys::read_file(file);
    if (!content) return report(content.error().message(), kUsageStatus);
    if (auto added = add_env_file(list, *content, file); !added) return report(added.error().message(), kUsageStatus);
  }
  for (const std::string& text : env) {
    if (auto added = add_env(list, text); !added) return report(added.error().message(), kUsageStatus);
  }
  for (const auto& [key, value] : list) out.options.env.push_back(concat(key, '=', value));
  if (!user.empty()) out.options.user = user;
  if (!directory.empty()) out.options.working_dir = directory;
  out.container = operands.front();
  out.options.command.assign(operands.begin() + 1, operands.end());
  return std::nullopt;
}

}  // namespace

int exec_command(Context& context, Args args) {
  ExecFlags flags;
  if (const auto status = parse(std::move(args), flags)) return *status;
  if (flags.options.terminal && flags.options.open_stdin && ::isatty(STDIN_FILENO) != 1)
    return report("the input device is not a TTY");
  auto engine = context.engine();
  if (!engine) return report(engine.error().message());
  const auto id = (*engine)->resolve_container(flags.container);
  if (!id) {
    report_operand(id.error().message());
    return 1;
  }
  auto signals = SignalPipe::open();
  if (!signals) return report(signals.error().message());
  if (flags.detach) flags.options.open_stdin = flags.options.open_stdout = flags.options.open_stderr = false;
  auto session = (*engine)->exec(*id, flags.options);
  if (!session) {
    const int status = start_failure_status(session.error());
    return report(session.error().message(), status == kUsageStatus ? 1 : status);
  }
  if (flags.detach) return 0;
  PumpOptions options;
  options.terminal = flags.options.terminal;
  options.open_stdin = flags.options.open_stdin;
  // As with docker, a signal ends this command, not the process in the container; a terminal's keys go through its pty.
  const auto exit = pump(**session, options, *signals, [](int number) { ::_exit(128 + number); });
  if (!exit) return report(exit.error().message());
  return exit->code;
}

}  // namespace berth::cli
