// SPDX-License-Identifier: Apache-2.0
#include "agent/cli/foreground.h"

#include <cerrno>

#include "agent/cli/containers.h"
#include "agent/cli/options.h"
#include "agent/cli/pump.h"
#include "runtime/base/log.h"

namespace berth::cli {

int start_failure_status(const Error& error) {
  if (error.sys_errno() == ENOENT || error.sys_errno() == ENOTDIR || error.code() == Code::kNotFound) return 127;
  if (error.sys_errno() == EACCES || error.sys_errno() == ENOEXEC || error.sys_errno() == EISDIR ||
      error.code() == Code::kPermissionDenied)
    return 126;
  return kUsageStatus;
}

int run_in_foreground(Context& context, const std::string& id, const ForegroundOptions& options,
                      const SignalPipe& signals) {
  auto engine = context.engine();
  if (!engine) return report(engine.error().message(), kUsageStatus);
  const auto finish = [&] {
    const auto done =
        options.remove ? remove_completely(context, id, true) : stop_completely(context, id, std::chrono::seconds(0));
    if (!done) log_warn("clean up after the container", {{"id", id}, {"error", done.error().message()}});
  };
  pods::AttachOptions attach;
  attach.open_stdin = options.open_stdin;
  attach.open_stderr = !options.terminal;
  auto session = (*engine)->attach(id, attach);
  if (!session) {
    finish();
    return report(session.error().message(), kUsageStatus);
  }
  if (auto started = (*engine)->start_container(id); !started) {
    session->reset();
    finish();
    return report(started.error().message(), start_failure_status(started.error()));
  }
  PumpOptions pump_options;
  pump_options.terminal = options.terminal;
  pump_options.open_stdin = options.open_stdin;
  auto exit = pump(**session, pump_options, signals, [&](int number) {
    if (auto sent = (*engine)->kill_container(id, number); !sent)
      log_debug("forward a signal", {{"error", sent.error().message()}});
  });
  session->reset();
  finish();
  if (!exit) return report(exit.error().message(), kUsageStatus);
  return exit->code;
}

}  // namespace berth::cli
