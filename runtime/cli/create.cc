// SPDX-License-Identifier: Apache-2.0
// create and run: the bundle becomes a request; run also starts, waits and removes.
#include <unistd.h>

#include "runtime/base/strings.h"
#include "runtime/cli/commands.h"
#include "runtime/cli/foreground.h"
#include "runtime/cli/terminal_rules.h"
#include "runtime/oci/spec_json.h"
#include "runtime/sys/file.h"

namespace berth::cli {
namespace {

Result<std::string> bundle_of(const Arguments& arguments) {
  std::string bundle = arguments.value("bundle");
  if (bundle.starts_with('/')) return bundle;
  char here[4096];
  if (::getcwd(here, sizeof here) == nullptr) return fail_errno("find the current directory");
  if (bundle.empty() || bundle == ".") return std::string(here);
  return concat(here, '/', bundle);
}

Result<container::CreateRequest> make_request(const Context& context, const Arguments& arguments) {
  if (context.cgroup_driver == container::CgroupDriver::kSystemd) {
    return fail(Code::kUnimplemented, "the systemd cgroup driver is not supported yet: use cgroupfs");
  }
  container::CreateRequest out;
  out.root = context.root;
  out.id = arguments.positional()[0];
  TRY_ASSIGN(out.bundle, bundle_of(arguments));
  std::string config = arguments.has("config") ? arguments.value("config") : "config.json";
  if (!config.starts_with('/')) config = concat(out.bundle, '/', config);
  auto text = sys::read_file(config);
  if (!text && text.error().code() == Code::kNotFound) {
    return fail(Code::kNotFound, concat("JSON specification file ", config, " not found"));
  }
  if (!text) return std::unexpected(std::move(text).error());
  TRY_ASSIGN(out.spec, oci::parse_spec(*text), concat("read ", quote(config)));
  out.console_socket = arguments.value("console-socket");
  out.pid_file = arguments.value("pid-file");
  out.pidfd_socket = arguments.value("pidfd-socket");
  out.cgroup_driver = context.cgroup_driver;
  out.no_pivot = arguments.flag("no-pivot");
  out.no_new_keyring = arguments.flag("no-new-keyring");
  if (arguments.has("preserve-fds")) {
    const auto count = parse_uint32(arguments.value("preserve-fds"));
    if (!count)
      return fail(Code::kInvalidArgument, concat("invalid --preserve-fds ", quote(arguments.value("preserve-fds"))));
    out.preserve_fds = *count;
  }
  return out;
}

Result<> create_detached(const Context& context, const Arguments& arguments) {
  TRY_ASSIGN(auto request, make_request(context, arguments));
  TRY(check_terminal_rules(request.spec.process && request.spec.process->terminal, true, request.console_socket));
  TRY(container::create(std::move(request)));
  return {};
}

bool has_own_pid_namespace(const oci::Spec& spec) {
  const auto* entry = spec.linux_.find_namespace("pid");
  return entry != nullptr && entry->path.empty();
}

Result<int> run_container(const Context& context, const Arguments& arguments) {
  TRY_ASSIGN(auto request, make_request(context, arguments));
  const bool detach = arguments.flag("detach");
  const bool terminal = request.spec.process && request.spec.process->terminal;
  TRY(check_terminal_rules(terminal, detach, request.console_socket));
  if (!detach && !arguments.flag("no-subreaper") && !has_own_pid_namespace(request.spec)) become_subreaper();
  const std::string id = request.id;
  TRY_ASSIGN(auto process, container::create(std::move(request)));
  if (!detach) block_signals();
  auto started = container::start(context.root, id);
  if (!started || detach) {
    if (started) return 0;
    (void)container::remove(context.root, id, true);
    return std::unexpected(std::move(started).error());
  }
  auto status = wait_foreground(process);
  if (!arguments.flag("keep")) TRY(container::remove(context.root, id, true));
  return status;
}

}  // namespace

Result<int> create_command(const Context& context, const Arguments& arguments) {
  auto made = create_detached(context, arguments);
  if (!made) return std::unexpected(Error(made.error().code(), concat("runc create failed: ", made.error().message())));
  return 0;
}

Result<int> run_command(const Context& context, const Arguments& arguments) {
  auto status = run_container(context, arguments);
  if (!status)
    return std::unexpected(Error(status.error().code(), concat("runc run failed: ", status.error().message())));
  return status;
}

}  // namespace berth::cli
