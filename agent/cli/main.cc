// SPDX-License-Identifier: Apache-2.0
// berth: containers for people, without a daemon. Dispatches to the verbs; those that talk to berthd over gRPC stand in
// the sibling program berth-rpc, so that run, ps and exec need not load it.
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <exception>

#include "agent/cli/options.h"
#include "agent/cli/verbs.h"
#include "runtime/base/strings.h"
#include "runtime/sys/file.h"

namespace berth::cli {
namespace {

struct Verb {
  const char* name;
  int (*run)(Context&, Args);
  const char* help;  // nullptr: hidden
};

constexpr Verb kVerbs[] = {
    {"run", run_command, "make a container from an image and run it"},
    {"create", create_command, "make a container without starting it"},
    {"start", start_command, "start created containers"},
    {"ps", ps_command, "list containers"},
    {"exec", exec_command, "run a command in a running container"},
    {"logs", logs_command, "print what a container wrote"},
    {"stop", stop_command, "stop containers"},
    {"kill", kill_command, "send a signal to containers"},
    {"wait", wait_command, "wait for containers to end"},
    {"rm", rm_command, "remove containers"},
    {"inspect", inspect_command, "print details as JSON"},
    {"images", images_command, "list images"},
    {"pull", pull_command, "pull an image"},
    {"rmi", rmi_command, "remove images"},
    {"tag", tag_command, "give an image another name"},
    {"info", info_command, "this machine and its stores"},
    {"version", version_command, "the version"},
    {"reap", reap_command, nullptr},
};

constexpr Verb kRpcVerbs[] = {
    {"kube", nullptr, "play, list and take down Kubernetes manifests through berthd"},
    {"node", nullptr, "what this node holds and reports"},
    {"fit", nullptr, "whether a pod fits a node"},
};

int print_help() {
  std::printf(
      "Usage: berth [OPTIONS] COMMAND [ARG...]\n\nRuns containers and pods. 'berth --help' lists the options before "
      "the command, 'berth COMMAND --help' those after it.\n\nCommands:\n");
  for (const Verb& verb : kVerbs) {
    if (verb.help != nullptr) std::printf("  %-10s %s\n", verb.name, verb.help);
  }
  std::printf("\nCommands that talk to berthd:\n");
  for (const Verb& verb : kRpcVerbs) std::printf("  %-10s %s\n", verb.name, verb.help);
  return 0;
}

// Does not return unless the sibling is missing.
int run_sibling(const std::string& verb, const Args& args) {
  std::vector<std::string> words = {"berth-rpc", verb};
  words.insert(words.end(), args.begin(), args.end());
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  const std::string here = program_directory();
  for (const std::string& path : {here + "/berth-rpc", here + "/../libexec/berth/berth-rpc"}) {
    ::execv(path.c_str(), argv.data());
    if (errno != ENOENT) return report(concat("run ", quote(path), ": ", errno_text(errno)), kUsageStatus);
  }
  return report(concat("'berth ", verb, "' needs berth-rpc beside berth, and it is not in ", quote(here)),
                kUsageStatus);
}

int dispatch(int argc, char** argv) {
  Args args(argv + 1, argv + argc);
  Globals globals;
  if (const auto status = parse_globals(globals, args)) return *status;
  if (args.empty() || args.front() == "help") {
    if (args.size() < 2) return print_help();
    args = {args[1], "--help"};
  }
  const std::string name = args.front();
  args.erase(args.begin());
  for (const Verb& verb : kRpcVerbs) {
    if (name == verb.name) return run_sibling(name, args);
  }
  for (const Verb& verb : kVerbs) {
    if (name != verb.name) continue;
    Context context(std::move(globals));
    return verb.run(context, std::move(args));
  }
  return report(concat(quote(name), " is not a berth command (see 'berth help')"), 1);
}

}  // namespace
}  // namespace berth::cli

int main(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_IGN);
  // The one place for what libraries throw (bad_alloc, JSON, command line).
  try {
    return berth::cli::dispatch(argc, argv);
  } catch (const std::exception& error) {
    return berth::cli::report(berth::concat("internal error: ", error.what()), berth::cli::kUsageStatus);
  }
}
