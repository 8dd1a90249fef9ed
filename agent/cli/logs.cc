// SPDX-License-Identifier: Apache-2.0
#include <unistd.h>

#include <cstdio>

#include "agent/cli/containers.h"
#include "agent/cli/log_reader.h"
#include "agent/cli/options.h"
#include "agent/cli/units.h"
#include "agent/cli/verbs.h"
#include "runtime/base/log.h"
#include "runtime/base/strings.h"
#include "runtime/sys/file.h"

namespace berth::cli {

int logs_command(Context& context, Args args) {
  Flags flags("logs", "[OPTIONS] CONTAINER", "Prints what a container wrote.");
  LogOptions options;
  std::string tail = "all", since;
  std::vector<std::string> operands;
  flags.flag("-f,--follow", options.follow, "go on until the container ends");
  flags.flag("-t,--timestamps", options.timestamps, "put the time before each line");
  flags.text("-n,--tail", tail, "the last lines only (default all)");
  flags.text("--since", since, "a time, or a duration before now such as 10m");
  flags.operands(operands, 1, 1);
  if (const auto status = flags.parse(std::move(args))) return *status;
  if (tail != "all") {
    options.tail = parse_uint64(tail);
    if (!options.tail && !parse_int64(tail))
      return report(concat("invalid value for --tail: ", quote(tail)), kUsageStatus);
  }
  if (!since.empty()) {
    const auto point = parse_point_in_time(since, realtime_nanos());
    if (!point) return report(point.error().message(), kUsageStatus);
    options.since_nanos = *point;
  }
  auto engine = context.records();
  if (!engine) return report(engine.error().message());
  const auto id = (*engine)->resolve_container(operands.front());
  const auto reply =
      id ? (*engine)->container_status(*id, false) : Result<v1::ContainerStatusResponse>(std::unexpected(id.error()));
  if (!reply) {
    report_operand(reply.error().message());
    return 1;
  }
  const auto ended = [&] {
    const auto now = (*engine)->container_status(*id, false);
    return !now || now->status().state() == v1::CONTAINER_EXITED;
  };
  const auto printed = print_log(reply->status().log_path(), options, ended, [](bool is_stderr, std::string_view text) {
    if (!sys::write_all(is_stderr ? STDERR_FILENO : STDOUT_FILENO, text)) ::_exit(1);  // the reader has gone
  });
  return printed ? 0 : report(printed.error().message());
}

}  // namespace berth::cli
