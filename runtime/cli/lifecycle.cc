// SPDX-License-Identifier: Apache-2.0
// start, kill, delete, pause, resume: one call each.
#include <csignal>

#include "runtime/base/strings.h"
#include "runtime/cli/commands.h"

namespace berth::cli {

Result<int> start_command(const Context& context, const Arguments& arguments) {
  TRY(container::start(context.root, arguments.positional()[0]));
  return 0;
}

Result<int> kill_command(const Context& context, const Arguments& arguments) {
  const auto& words = arguments.positional();
  const auto signal = parse_signal(words.size() > 1 ? std::string_view(words[1]) : "TERM");
  if (!signal) return fail(Code::kInvalidArgument, concat("unknown signal ", quote(words[1])));
  TRY(container::kill(context.root, words[0], *signal, arguments.flag("all")));
  return 0;
}

Result<int> delete_command(const Context& context, const Arguments& arguments) {
  TRY(container::remove(context.root, arguments.positional()[0], arguments.flag("force")));
  return 0;
}

Result<int> pause_command(const Context& context, const Arguments& arguments) {
  TRY(container::pause(context.root, arguments.positional()[0]));
  return 0;
}

Result<int> resume_command(const Context& context, const Arguments& arguments) {
  TRY(container::resume(context.root, arguments.positional()[0]));
  return 0;
}

Result<int> checkpoint_command(const Context&, const Arguments&) {
  return fail(Code::kUnimplemented, "checkpoint and restore are not supported by this runtime");
}

}  // namespace berth::cli
