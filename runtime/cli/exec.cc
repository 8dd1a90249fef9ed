// SPDX-License-Identifier: Apache-2.0
// exec: the container's own process section, changed by options, or the one of --process.
#include "runtime/base/strings.h"
#include "runtime/cli/commands.h"
#include "runtime/cli/foreground.h"
#include "runtime/cli/terminal_rules.h"
#include "runtime/container/layout.h"
#include "runtime/oci/spec_json.h"
#include "runtime/sys/file.h"

namespace berth::cli {
namespace {

Result<> set_user(const std::string& text, oci::User& user) {
  const size_t colon = text.find(':');
  const auto uid = parse_uint32(std::string_view(text).substr(0, colon));
  // Names are not looked up: the container's files must not decide on the host's side (CVE-2026-30892 is the lax
  // parser).
  if (!uid) return fail(Code::kInvalidArgument, concat("invalid user ", quote(text), ": must be UID[:GID]"));
  user.uid = *uid;
  if (colon == text.npos) return {};
  const auto gid = parse_uint32(std::string_view(text).substr(colon + 1));
  if (!gid) return fail(Code::kInvalidArgument, concat("invalid user ", quote(text), ": must be UID[:GID]"));
  user.gid = *gid;
  return {};
}

void add_capability(const std::string& name, oci::Process& process) {
  if (!process.capabilities) process.capabilities.emplace();
  auto& sets = *process.capabilities;
  sets.bounding.push_back(name);
  sets.effective.push_back(name);
  sets.permitted.push_back(name);
  // Ambient needs inheritable, which is not added to.
  if (!sets.inheritable.empty()) sets.ambient.push_back(name);
}

Result<oci::Process> base_process(const Context& context, const std::string& id) {
  TRY_ASSIGN(const Fd dir, container::open_state_dir(context.root, id));
  TRY_ASSIGN(const auto text, sys::read_file_at(dir.get(), container::kConfigFile));
  TRY_ASSIGN(auto spec, oci::parse_spec(text));
  return spec.process ? std::move(*spec.process) : oci::Process{};
}

Result<oci::Process> make_process(const Context& context, const Arguments& arguments) {
  if (arguments.has("process")) {
    TRY_ASSIGN(const auto text, sys::read_file(arguments.value("process")));
    return oci::parse_process(text);
  }
  const auto& words = arguments.positional();
  if (words.size() < 2) return fail(Code::kInvalidArgument, "process args cannot be empty");
  TRY_ASSIGN(auto process, base_process(context, words[0]));
  process.args.assign(words.begin() + 1, words.end());
  process.terminal = arguments.flag("tty");
  if (arguments.has("cwd")) process.cwd = arguments.value("cwd");
  if (arguments.has("process-label")) process.selinux_label = arguments.value("process-label");
  if (arguments.has("apparmor")) process.apparmor_profile = arguments.value("apparmor");
  if (arguments.has("no-new-privs")) process.no_new_privileges = arguments.flag("no-new-privs");
  if (arguments.has("user")) TRY(set_user(arguments.value("user"), process.user));
  for (const auto& name : arguments.values("cap")) add_capability(name, process);
  for (const auto& text : arguments.values("additional-gids")) {
    const auto gid = parse_uint32(text);
    if (!gid) return fail(Code::kInvalidArgument, concat("invalid group ", quote(text)));
    process.user.additional_gids.push_back(*gid);
  }
  for (auto& entry : arguments.values("env")) process.env.push_back(std::move(entry));
  return process;
}

// v1 names controllers: "cpu,memory:path"; what follows the colon is the same relative path for all that are named.
std::string sub_cgroup_of(const Arguments& arguments) {
  const std::string text = arguments.value("cgroup");
  const size_t colon = text.find(':');
  return colon == text.npos ? text : text.substr(colon + 1);
}

Result<int> exec_process(const Context& context, const Arguments& arguments) {
  container::ExecRequest request;
  request.root = context.root;
  request.id = arguments.positional()[0];
  TRY_ASSIGN(request.process, make_process(context, arguments));
  const bool detach = arguments.flag("detach");
  request.console_socket = arguments.value("console-socket");
  TRY(check_terminal_rules(request.process.terminal, detach, request.console_socket));
  request.pid_file = arguments.value("pid-file");
  request.pidfd_socket = arguments.value("pidfd-socket");
  request.sub_cgroup = sub_cgroup_of(arguments);
  request.ignore_paused = arguments.flag("ignore-paused");
  if (arguments.has("preserve-fds")) {
    const auto count = parse_uint32(arguments.value("preserve-fds"));
    if (!count)
      return fail(Code::kInvalidArgument, concat("invalid --preserve-fds ", quote(arguments.value("preserve-fds"))));
    request.preserve_fds = *count;
  }
  TRY_ASSIGN(auto process, container::exec(std::move(request)));
  if (detach) return 0;
  block_signals();
  return wait_foreground(process);
}

}  // namespace

Result<int> exec_command(const Context& context, const Arguments& arguments) {
  auto status = exec_process(context, arguments);
  if (!status) return std::unexpected(Error(status.error().code(), concat("exec failed: ", status.error().message())));
  return status;
}

}  // namespace berth::cli
