// SPDX-License-Identifier: Apache-2.0
// berth-shim --dir <pod dir> [--log-level debug|info|warn|error]
//
// Started by the agent (or the daemonless command), one per pod, and outlives it. When BERTH_SHIM_READY=3 is set,
// descriptor 3 is told "ok" or {"error":{…}} once, when the pod stands or cannot.
#include <fcntl.h>
#include <malloc.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>

#include "runtime/base/log.h"
#include "runtime/base/strings.h"
#include "runtime/container/self_exe.h"
#include "runtime/shim/json_fields.h"
#include "runtime/shim/shim.h"
#include "runtime/sys/file.h"

namespace berth::shim {
namespace {

struct Arguments {
  std::string dir;
  LogLevel level = LogLevel::kInfo;
};

Result<Arguments> parse_arguments(int argc, char** argv) {
  Arguments arguments;
  for (int i = 1; i < argc; ++i) {
    const std::string_view name = argv[i];
    if (i + 1 == argc)
      return fail(Code::kInvalidArgument, concat("argument ", quote(name), ": unknown, or its value is missing"));
    const std::string_view value = argv[++i];
    if (name == "--dir") {
      arguments.dir = value;
    } else if (name == "--log-level") {
      if (!parse_log_level(value, arguments.level))
        return fail(Code::kInvalidArgument, concat("log level ", quote(value), " is not known"));
    } else {
      return fail(Code::kInvalidArgument, concat("argument ", quote(name), " is not known"));
    }
  }
  if (arguments.dir.empty() || arguments.dir[0] != '/')
    return fail(Code::kInvalidArgument, "--dir <absolute path> is needed");
  return arguments;
}

Fd take_ready_fd() {
  const char* value = ::getenv("BERTH_SHIM_READY");
  if (value == nullptr || ::strcmp(value, "3") != 0) return {};
  ::unsetenv("BERTH_SHIM_READY");
  ::fcntl(3, F_SETFD, FD_CLOEXEC);
  return Fd(3);
}

void tell(const Fd& ready, const Error& error) {
  log_error("shim cannot start", {{"error", error.message()}});
  boost::json::object text;
  text["code"] = code_name(error.code());
  text["errno"] = error.sys_errno();
  text["message"] = error.message();
  boost::json::object message;
  message["error"] = std::move(text);
  if (ready) [[maybe_unused]]
    const auto told = sys::write_all(ready.get(), boost::json::serialize(message));
}

int serve(int argc, char** argv) {
  Fd ready = take_ready_fd();
  const auto arguments = parse_arguments(argc, argv);
  if (!arguments) {
    tell(ready, arguments.error());
    return 2;
  }
  set_log_level(arguments->level);
  // O_TRUNC: a pod has one shim; what a failed one said has been read.
  auto log =
      sys::open_path(concat(arguments->dir, "/shim.log"), O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_NOFOLLOW, 0600);
  if (log) set_log_fd(log->get());
  if (::getsid(0) != ::getpid()) ::setsid();
  ::umask(0022);
  [[maybe_unused]] const int moved = ::chdir("/");
  ::prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
  // C11: the supervisor is the last to be killed. Refused without CAP_SYS_RESOURCE, which is no reason not to run.
  [[maybe_unused]] const auto adjusted = sys::write_file_at(AT_FDCWD, "/proc/self/oom_score_adj", "-998");
  Shim shim(arguments->dir);
  if (auto up = shim.open(); !up) {
    tell(ready, up.error());
    return 1;
  }
  if (ready) [[maybe_unused]]
    const auto told = sys::write_all(ready.get(), "ok");
  ready.reset();
  ::malloc_trim(0);
  shim.run();
  return 0;
}

}  // namespace
}  // namespace berth::shim

int main(int argc, char** argv) {
  berth::container::protect_executable(argv, environ);
  return berth::shim::serve(argc, argv);
}
