// SPDX-License-Identifier: Apache-2.0
// berth-oci: the OCI runtime command line. The table below is the whole of it: verb → options → function.
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "runtime/base/log.h"
#include "runtime/base/strings.h"
#include "runtime/cli/commands.h"
#include "runtime/cli/report.h"
#include "runtime/cli/version.h"
#include "runtime/container/self_exe.h"

namespace berth::cli {
namespace {

constexpr OptionSpec kGlobalOptions[] = {
    {"root", 0, true, "directory for the states of containers"},
    {"log", 0, true, "file that errors are appended to (default: standard error)"},
    {"log-format", 0, true, "text or json"},
    {"log-level", 0, true, "error, warn, info or debug"},
    {"debug", 0, false, "log more"},
    {"systemd-cgroup", 0, false, "cgroups through systemd; cgroupsPath is slice:prefix:name"},
    {"cgroup-manager", 0, true, "cgroupfs, systemd or disabled"},
    {"rootless", 0, true, "accepted for compatibility"},
    {"criu", 0, true, "accepted for compatibility"},
    {"version", 'v', false, "print the version"},
};

constexpr OptionSpec kCreateOptions[] = {
    {"bundle", 'b', true, "directory with config.json (default: the current one)"},
    {"config", 'f', true, "another file than config.json"},
    {"console-socket", 0, true, "unix socket that receives the terminal's master"},
    {"pidfd-socket", 0, true, "unix socket that receives init's pidfd"},
    {"pid-file", 0, true, "file to write init's pid to"},
    {"no-pivot", 0, false, "do not use pivot_root"},
    {"no-new-keyring", 0, false, "keep the caller's session keyring"},
    {"preserve-fds", 0, true, "number of further descriptors to pass"},
    {"detach", 'd', false, "do not wait for the container's end"},
    {"keep", 0, false, "run: do not delete the container after its end"},
    {"no-subreaper", 0, false, "run: do not become a subreaper"},
};
constexpr OptionSpec kExecOptions[] = {
    {"console-socket", 0, true, "unix socket that receives the terminal's master"},
    {"pidfd-socket", 0, true, "unix socket that receives the process's pidfd"},
    {"cwd", 0, true, "working directory"},
    {"env", 'e', true, "NAME=VALUE, repeatable"},
    {"tty", 't', false, "give the process a terminal"},
    {"user", 'u', true, "UID[:GID]"},
    {"additional-gids", 'g', true, "supplementary group, repeatable"},
    {"process", 'p', true, "process.json"},
    {"detach", 'd', false, "do not wait for the process's end"},
    {"pid-file", 0, true, "file to write the pid to"},
    {"process-label", 0, true, "SELinux label"},
    {"apparmor", 0, true, "AppArmor profile"},
    {"no-new-privs", 0, false, "set no_new_privs"},
    {"cap", 'c', true, "capability to add, repeatable"},
    {"preserve-fds", 0, true, "number of further descriptors to pass"},
    {"cgroup", 0, true, "sub cgroup to run in"},
    {"ignore-paused", 0, false, "also in a paused container"},
};
constexpr OptionSpec kKillOptions[] = {{"all", 'a', false, "every process of the container"}};
constexpr OptionSpec kDeleteOptions[] = {{"force", 'f', false, "kill it first; no error if there is none"}};
constexpr OptionSpec kListOptions[] = {{"format", 'f', true, "table or json"}, {"quiet", 'q', false, "ids only"}};
constexpr OptionSpec kPsOptions[] = {{"format", 'f', true, "table or json"}};
constexpr OptionSpec kEventsOptions[] = {{"stats", 0, false, "print the figures once"},
                                         {"interval", 0, true, "time between two lines (default 5s)"}};
constexpr OptionSpec kSpecOptions[] = {{"bundle", 'b', true, "directory to write config.json to"},
                                       {"rootless", 0, false, "for a user without privileges"}};
constexpr OptionSpec kUpdateOptions[] = {
    {"resources", 'r', true, "file with linux.resources as JSON, - for standard input; other options are ignored"},
    {"blkio-weight", 0, true, "10 to 1000"},
    {"cpu-period", 0, true, "microseconds"},
    {"cpu-quota", 0, true, "microseconds per period, -1 for none"},
    {"cpu-burst", 0, true, "microseconds"},
    {"cpu-share", 0, true, "relative weight"},
    {"cpu-rt-period", 0, true, "microseconds"},
    {"cpu-rt-runtime", 0, true, "microseconds"},
    {"cpuset-cpus", 0, true, "list of CPUs"},
    {"cpuset-mems", 0, true, "list of memory nodes"},
    {"cpu-idle", 0, true, "0 or 1"},
    {"memory", 0, true, "bytes, -1 for no limit"},
    {"memory-reservation", 0, true, "bytes"},
    {"memory-swap", 0, true, "bytes of memory and swap, -1 for no limit"},
    {"kernel-memory", 0, true, "accepted for compatibility"},
    {"kernel-memory-tcp", 0, true, "accepted for compatibility"},
    {"pids-limit", 0, true, "number of tasks"},
    {"l3-cache-schema", 0, true, "Intel RDT"},
    {"mem-bw-schema", 0, true, "Intel RDT"},
};

struct Command {
  std::string_view name;
  Verb run;
  std::string_view usage;  // the positional arguments
  std::string_view summary;
  size_t least;  // positional arguments
  std::optional<size_t> most;
  std::span<const OptionSpec> options;
  std::optional<size_t> stop_after;
};

const Command kCommands[] = {
    {"create", create_command, "CONTAINER", "make a container that waits for start", 1, 1, kCreateOptions, {}},
    {"start", start_command, "CONTAINER", "run the program of a created container", 1, 1, {}, {}},
    {"run", run_command, "CONTAINER", "create and start", 1, 1, kCreateOptions, {}},
    {"exec",
     exec_command,
     "CONTAINER [COMMAND [ARG...]]",
     "run a further process in a container",
     1,
     {},
     kExecOptions,
     1},
    {"kill", kill_command, "CONTAINER [SIGNAL]", "signal a container's init (default SIGTERM)", 1, 2, kKillOptions, {}},
    {"delete", delete_command, "CONTAINER", "remove a stopped container", 1, 1, kDeleteOptions, {}},
    {"state", state_command, "CONTAINER", "print a container's state", 1, 1, {}, {}},
    {"list", list_command, "", "list the containers of the root", 0, 0, kListOptions, {}},
    {"ps", ps_command, "CONTAINER [PS OPTION...]", "list a container's processes", 1, {}, kPsOptions, 1},
    {"pause", pause_command, "CONTAINER", "freeze all processes", 1, 1, {}, {}},
    {"resume", resume_command, "CONTAINER", "thaw a paused container", 1, 1, {}, {}},
    {"update", update_command, "CONTAINER", "change resource limits", 1, 1, kUpdateOptions, {}},
    {"events", events_command, "CONTAINER", "print usage figures and out-of-memory events", 1, 1, kEventsOptions, {}},
    {"spec", spec_command, "", "write a config.json to start from", 0, 0, kSpecOptions, {}},
    {"features", features_command, "", "print what this runtime supports", 0, 0, {}, {}},
    {"checkpoint", checkpoint_command, "CONTAINER", "not supported", 0, {}, {}, 0},
    {"restore", checkpoint_command, "CONTAINER", "not supported", 0, {}, {}, 0},
};

std::string option_lines(std::span<const OptionSpec> options) {
  std::string out;
  for (const auto& option : options) {
    std::string names = concat("--", option.name);
    if (option.letter != 0) names += concat(", -", option.letter);
    if (option.takes_value) names += " VALUE";
    if (names.size() < 30) names.resize(30, ' ');
    out += concat("   ", names, ' ', option.help, '\n');
  }
  return out;
}

std::string help_text() {
  std::string out =
      "NAME:\n   berth-oci - Open Container Initiative runtime\n\nUSAGE:\n   berth-oci [global options] command "
      "[command options] [arguments...]\n\nCOMMANDS:\n";
  for (const auto& command : kCommands) {
    std::string name(command.name);
    name.resize(12, ' ');
    out += concat("   ", name, command.summary, '\n');
  }
  return out + "\nGLOBAL OPTIONS:\n" + option_lines(kGlobalOptions);
}

std::string help_text(const Command& command) {
  return concat("NAME:\n   berth-oci ", command.name, " - ", command.summary, "\n\nUSAGE:\n   berth-oci ", command.name,
                " [command options] ", command.usage, "\n\nOPTIONS:\n", option_lines(command.options));
}

const Command* find_command(std::string_view name) {
  for (const auto& command : kCommands) {
    if (command.name == name) return &command;
  }
  return nullptr;
}

std::string default_root() {
  const char* runtime_dir = ::geteuid() == 0 ? nullptr : ::getenv("XDG_RUNTIME_DIR");
  return runtime_dir == nullptr || *runtime_dir == 0 ? "/run/berth-oci" : concat(runtime_dir, "/berth-oci");
}

Result<std::string> absolute(std::string path) {
  if (path.starts_with('/')) return path;
  char here[4096];
  if (::getcwd(here, sizeof here) == nullptr) return fail_errno("find the current directory");
  return concat(here, '/', path);
}

Result<Context> make_context(const Arguments& global) {
  Context out;
  out.debug = global.flag("debug");
  out.root_given = global.has("root");
  TRY_ASSIGN(out.root, absolute(out.root_given ? global.value("root") : default_root()));
  while (out.root.size() > 1 && out.root.ends_with('/')) out.root.pop_back();
  if (out.root == "/") return fail(Code::kInvalidArgument, "the option --root must not be \"/\"");
  const std::string manager = global.value("cgroup-manager");
  if (global.flag("systemd-cgroup") || manager == "systemd") {
    out.cgroup_driver = container::CgroupDriver::kSystemd;
  } else if (manager == "disabled") {
    out.cgroup_driver = container::CgroupDriver::kDisabled;
  } else if (!manager.empty() && manager != "cgroupfs") {
    return fail(Code::kInvalidArgument, concat("unknown cgroup manager ", quote(manager)));
  }
  return out;
}

Result<ErrorLog> make_log(const Arguments& global) {
  ErrorLog out{.path = global.value("log"), .json = false};
  const std::string format = global.value("log-format");
  if (!format.empty() && format != "text" && format != "json") {
    return fail(Code::kInvalidArgument, concat("invalid log-format: ", quote(format)));
  }
  out.json = format == "json";
  // "file:PATH" is crun's spelling; journald and syslog are left to who collects standard error.
  if (out.path.starts_with("file:")) out.path.erase(0, 5);
  if (out.path.starts_with("journald:") || out.path.starts_with("syslog:")) out.path.clear();
  // Warnings of the libraries would spoil a log that is read as JSON: only errors come out unless more is wanted.
  LogLevel level = global.flag("debug") ? LogLevel::kDebug : LogLevel::kError;
  if (global.has("log-level") && !parse_log_level(global.value("log-level"), level)) level = LogLevel::kError;
  set_log_level(level);
  return out;
}

int usage_error(const Command& command, std::string_view message) {
  const std::string text = concat(help_text(command), "\nberth-oci: ", message, '\n');
  (void)!::write(STDERR_FILENO, text.data(), text.size());
  return 1;
}

std::string count_text(const Command& command) {
  const std::string_view bound =
      command.most ? (*command.most == command.least ? "exactly" : "at most") : "a minimum of";
  const size_t number = command.most.value_or(command.least);
  return concat(quote(command.name), " requires ", bound, ' ', number, " argument(s)");
}

int run_verb(const Command& command, const Arguments& global, const ErrorLog& log,
             std::span<const std::string_view> words) {
  auto arguments = parse_options(words, command.options, command.stop_after);
  if (!arguments) return usage_error(command, concat("Incorrect Usage: ", arguments.error().message()));
  if (arguments->help()) {
    (void)print(help_text(command));
    return 0;
  }
  const size_t count = arguments->positional().size();
  if (count < command.least || (command.most && count > *command.most))
    return usage_error(command, count_text(command));
  auto context = make_context(global);
  auto status = context ? command.run(*context, *arguments) : Result<int>(std::unexpected(std::move(context).error()));
  if (status) return *status;
  report_error(log, status.error().message());
  return command.name == "exec" ? 255 : 1;
}

// Before options are understood: a word too many costs half a millisecond, one too few the protection.
bool may_make_a_process(std::span<const std::string_view> words) {
  return std::ranges::any_of(words, [](std::string_view word) { return word == "create" || word == "run" || word == "exec"; });
}

int main_of(std::span<const std::string_view> words) {
  size_t verb = 0;
  auto global = parse_options(words, kGlobalOptions, 1);
  if (!global) {
    report_error({}, global.error().message());
    return 1;
  }
  if (global->flag("version")) return print(version_text()) ? 0 : 1;
  if (global->positional().empty() || global->positional()[0] == "help") return print(help_text()) ? 0 : 1;
  const auto& positional = global->positional();
  verb = words.size() - positional.size();
  auto log = make_log(*global);
  if (!log) {
    report_error({}, log.error().message());
    return 1;
  }
  const Command* command = find_command(positional[0]);
  if (command == nullptr) {
    report_error(*log, concat("No help topic for '", positional[0], "'"));
    return 3;
  }
  if (global->help()) return print(help_text(*command)) ? 0 : 1;
  return run_verb(*command, *global, *log, words.subspan(verb + 1));
}

}  // namespace
}  // namespace berth::cli

int main(int argc, char** argv) {
  std::vector<std::string_view> words(argv + (argc > 0 ? 1 : 0), argv + argc);
  if (berth::cli::may_make_a_process(words)) berth::container::protect_executable(argv, environ);
  ::signal(SIGPIPE, SIG_IGN);
  return berth::cli::main_of(words);
}
