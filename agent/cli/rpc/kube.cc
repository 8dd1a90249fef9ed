// SPDX-License-Identifier: Apache-2.0
#include "agent/cli/rpc/kube.h"

#include <unistd.h>

#include <cstdio>

#include "agent/cli/containers.h"
#include "agent/cli/log_reader.h"
#include "agent/cli/options.h"
#include "agent/cli/table.h"
#include "agent/cli/units.h"
#include "runtime/base/log.h"
#include "runtime/base/strings.h"
#include "runtime/sys/file.h"

namespace berth::cli {
namespace {

using Words = std::vector<std::string>;

int fault(const Error& error) { return report(error.message(), 1); }

int play_command(const Globals& globals, Words args, bool down) {
  Flags flags(down ? "kube down" : "kube play", "FILE|-",
              down ? "Stops and removes the pods that play made from a manifest." : "Makes the pods of a manifest.");
  Words operands;
  flags.operands(operands, 1, 1);
  if (const auto status = flags.parse(std::move(args))) return *status;
  const auto manifest = load_manifest(globals, operands.front());
  if (!manifest) return fault(manifest.error());
  CriClient client(globals.address);
  if (down) {
    const auto done = take_down(client, globals, *manifest);
    return done ? 0 : fault(done.error());
  }
  for (const std::string& warning : manifest->warnings)
    std::fprintf(stderr, "berth: warning: play %s: %s\n", quote(operands.front()).c_str(), warning.c_str());
  const auto done = play(client, *manifest);
  return done ? 0 : fault(done.error());
}

// POD is a name, namespace/name, or an id (prefix); `container` a name, or empty when the pod has one only.
Result<v1::Container> find_container(CriClient& client, const std::string& pod_text,
                                     const std::string& container_name) {
  TRY_ASSIGN(const auto pods, client.list_pod_sandbox({}));
  const v1::PodSandbox* found = nullptr;
  for (const v1::PodSandbox& pod : pods.items()) {
    const bool match = pod.metadata().name() == pod_text ||
                       concat(pod.metadata().namespace_(), '/', pod.metadata().name()) == pod_text ||
                       (pod_text.size() >= 3 && pod.id().starts_with(pod_text));
    if (!match) continue;
    if (found != nullptr)
      return fail(Code::kInvalidArgument,
                  concat("pod ", quote(pod_text), " is ambiguous: give namespace/name or the id"));
    found = &pod;
  }
  if (found == nullptr) return fail(Code::kNotFound, concat("no such pod: ", printable(pod_text)));
  v1::ListContainersRequest request;
  request.mutable_filter()->set_pod_sandbox_id(found->id());
  TRY_ASSIGN(const auto containers, client.list_containers(request));
  const v1::Container* chosen = nullptr;
  for (const v1::Container& container : containers.containers()) {
    const bool is_init = container.labels().contains(kInitLabel);
    if (container_name.empty() ? is_init : container.metadata().name() != container_name) continue;
    // Without a name: the oldest that runs, else the oldest; with one: its newest attempt.
    const bool better = chosen == nullptr ||
                        (container.state() == v1::CONTAINER_RUNNING && chosen->state() != v1::CONTAINER_RUNNING) ||
                        (container.state() == chosen->state() && container.created_at() < chosen->created_at() &&
                         container_name.empty()) ||
                        (!container_name.empty() && container.created_at() > chosen->created_at());
    if (better) chosen = &container;
  }
  if (chosen == nullptr)
    return fail(Code::kNotFound, concat("no such container in pod ", quote(pod_text), ": ", printable(container_name)));
  return *chosen;
}

int exec_command(const Globals& globals, Words args) {
  Flags flags("kube exec", "POD [-c CONTAINER] -- COMMAND [ARG...]",
              "Runs a command in a container of a pod and prints its output.");
  std::string name, timeout = "0";
  Words operands;
  flags.text("-c,--container", name, "container (default: the first that runs)");
  flags.text("--timeout", timeout, "seconds until it is killed (default: none)");
  flags.operands(operands, 2);
  if (const auto status = flags.parse(std::move(args))) return *status;
  const auto seconds = parse_int64(timeout);
  if (!seconds || *seconds < 0)
    return report(concat("invalid argument ", quote(timeout), " for --timeout: expected seconds"), kUsageStatus);
  CriClient client(globals.address);
  const auto container = find_container(client, operands.front(), name);
  if (!container) return fault(container.error());
  v1::ExecSyncRequest request;
  request.set_container_id(container->id());
  for (size_t i = 1; i < operands.size(); ++i) request.add_cmd(operands[i]);
  request.set_timeout(*seconds);
  const auto reply = client.exec_sync(request);
  if (!reply) return fault(reply.error());
  if (!sys::write_all(STDOUT_FILENO, reply->stdout()) || !sys::write_all(STDERR_FILENO, reply->stderr())) return 1;
  return reply->exit_code();
}

int logs_command(const Globals& globals, Words args) {
  Flags flags("kube logs", "[OPTIONS] POD", "Prints what a container of a pod wrote.");
  std::string name, tail;
  LogOptions options;
  Words operands;
  flags.text("-c,--container", name, "container (default: the first)");
  flags.flag("-f,--follow", options.follow, "go on until the container ends");
  flags.flag("--timestamps", options.timestamps, "put the time before each line");
  flags.text("--tail", tail, "the last lines only");
  flags.operands(operands, 1, 1);
  if (const auto status = flags.parse(std::move(args))) return *status;
  if (!tail.empty()) {
    options.tail = parse_uint64(tail);
    if (!options.tail)
      return report(concat("invalid argument ", quote(tail), " for --tail: expected a number"), kUsageStatus);
  }
  CriClient client(globals.address);
  const auto container = find_container(client, operands.front(), name);
  if (!container) return fault(container.error());
  const auto reply = client.container_status(container->id());
  if (!reply) return fault(reply.error());
  const auto ended = [&] {
    const auto now = client.container_status(container->id());
    return !now || now->status().state() == v1::CONTAINER_EXITED;
  };
  const auto printed = print_log(reply->status().log_path(), options, ended, [](bool is_stderr, std::string_view text) {
    if (!sys::write_all(is_stderr ? STDERR_FILENO : STDOUT_FILENO, text)) ::_exit(1);
  });
  return printed ? 0 : fault(printed.error());
}

int version_command(const Globals& globals, Words args) {
  Flags flags("kube version", "", "The version of the berthd that answers.");
  Words operands;
  flags.operands(operands, 0, 0);
  if (const auto status = flags.parse(std::move(args))) return *status;
  CriClient client(globals.address);
  const auto reply = client.version();
  if (!reply) return fault(reply.error());
  std::printf("%s %s (CRI %s)\n", printable(reply->runtime_name()).c_str(), printable(reply->runtime_version()).c_str(),
              printable(reply->runtime_api_version()).c_str());
  return 0;
}

constexpr const char* kHelp =
    "Usage: berth kube COMMAND [ARG...]\n\nKubernetes manifests through berthd's CRI socket (BERTH_ADDRESS, berth "
    "-H).\n\nCommands:\n"
    "  play FILE|-                        make the pods of a manifest\n"
    "  down FILE|-                        stop and remove them\n"
    "  ps                                 list the pods of berthd\n"
    "  exec POD [-c CONTAINER] -- CMD     run a command in a pod\n"
    "  logs POD [-c CONTAINER]            print what a pod wrote\n"
    "  version                            the berthd that answers\n";

}  // namespace

int kube_command(const Globals& globals, Words args) {
  if (args.empty() || args.front() == "--help" || args.front() == "help") {
    std::fputs(kHelp, args.empty() ? stderr : stdout);
    return args.empty() ? kUsageStatus : 0;
  }
  const std::string verb = args.front();
  args.erase(args.begin());
  if (verb == "play" || verb == "down") return play_command(globals, std::move(args), verb == "down");
  if (verb == "ps") return kube_ps_command(globals, std::move(args));
  if (verb == "exec") return exec_command(globals, std::move(args));
  if (verb == "logs") return logs_command(globals, std::move(args));
  if (verb == "version") return version_command(globals, std::move(args));
  return report(concat(quote(verb), " is not a kube command (see 'berth kube --help')"), kUsageStatus);
}

}  // namespace berth::cli
