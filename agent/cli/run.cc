// SPDX-License-Identifier: Apache-2.0
// run, create: one pod with one container.
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cstdio>

#include "agent/cli/containers.h"
#include "agent/cli/fetch.h"
#include "agent/cli/foreground.h"
#include "agent/cli/options.h"
#include "agent/cli/run_options.h"
#include "agent/cli/verbs.h"
#include "runtime/base/strings.h"
#include "runtime/base/undo.h"
#include "runtime/sys/file.h"
#include "runtime/sys/process.h"

namespace berth::cli {
namespace {

// Two invocations that want one name or port wait for each other here; the store itself knows pods by their uid.
Result<Fd> lock_names(const Globals& globals) {
  TRY(sys::make_directories(globals.state, 0711));
  TRY_ASSIGN(Fd file, sys::open_path(globals.state + "/names.lock", O_RDWR | O_CREAT, 0600));
  if (::flock(file.get(), LOCK_EX) < 0) return fail_errno("lock the names");
  return file;
}

bool same_port(const std::vector<PublishedPort>& wanted, const std::vector<PublishedPort>& held, PublishedPort& which) {
  for (const PublishedPort& a : wanted) {
    for (const PublishedPort& b : held) {
      if (conflicts(a, b)) {
        which = a;
        return true;
      }
    }
  }
  return false;
}

// Published ports are rules of the packet filter, which bind(2) cannot see: the records tell. A container that has
// ended still holds its pod's rules until the pod is stopped, which is done here when somebody wants the port.
Result<> check_others(pods::Engine& engine, const RunOptions& options) {
  TRY_ASSIGN(const auto others, engine.list_containers({}));
  for (const v1::Container& other : others.containers()) {
    if (!options.name.empty() && other.metadata().name() == options.name) {
      return fail(
          Code::kAlreadyExists,
          concat("Conflict. The container name ", quote("/" + options.name), " is already in use by container ",
                 quote(other.id()), ". You have to remove (or rename) that container to be able to reuse that name."));
    }
    PublishedPort port;
    if (options.ports.empty() ||
        !same_port(options.ports, published_from_text(annotation(other.annotations(), kPortsAnnotation)), port))
      continue;
    if (other.state() == v1::CONTAINER_EXITED) {
      TRY(engine.stop_pod_sandbox(other.pod_sandbox_id()));
    } else {
      return fail(Code::kAlreadyExists, concat("port ", port.host, '/', port.protocol,
                                               " is already in use by container ", quote(other.metadata().name())));
    }
  }
  return {};
}

Result<std::string> unused_name(pods::Engine& engine) {
  for (int attempt = 0; attempt < 16; ++attempt) {
    std::string name = random_container_name();
    if (attempt > 3) name += concat(attempt);
    if (!engine.resolve_container(name)) return name;
  }
  return "container_" + random_hex(6);
}

// A created container: its pod is made, its name and ports are taken. `program_tried` is set when a failure may be the
// program's: the runtime looks for it, and finds it or not, as early as create.
Result<std::string> make_container(Context& context, RunOptions& options, bool& program_tried) {
  if (options.network == "none") context.use_no_network();
  TRY_ASSIGN(pods::Engine* const engine, context.engine());
  TRY(check_others(*engine, options));
  TRY_ASSIGN(const rootfs::Image image,
             obtain_image(context, options.image, options.pull, options.platform, options.quiet));
  TRY_ASSIGN(const Fd lock, lock_names(context.globals()));
  TRY(check_others(*engine, options));
  TRY(check_and_choose(options.ports));
  if (options.name.empty()) {
    TRY_ASSIGN(options.name, unused_name(*engine));
  }
  const std::string uid = random_hex(16);
  v1::RunPodSandboxRequest pod;
  *pod.mutable_config() = sandbox_config(options, uid, context.globals());
  v1::CreateContainerRequest create;
  TRY_ASSIGN(*create.mutable_config(), container_config(options, image, uid, context.globals()));
  *create.mutable_sandbox_config() = pod.config();
  if (create.config().command_size() + create.config().args_size() == 0 && image.config.entrypoint.empty() &&
      image.config.cmd.empty()) {
    return fail(Code::kInvalidArgument, "no command specified");
  }
  UndoStack undo;
  undo.push("log directory", [path = pod.config().log_directory()] { return sys::remove_tree(path); });
  TRY(sys::make_directories(pod.config().log_directory(), 0755));
  TRY_ASSIGN(const std::string pod_id, engine->run_pod_sandbox(pod));
  undo.push("pod", [engine, pod_id]() -> Result<> {
    TRY(engine->stop_pod_sandbox(pod_id));
    return engine->remove_pod_sandbox(pod_id);
  });
  create.set_pod_sandbox_id(pod_id);
  program_tried = true;
  TRY_ASSIGN(std::string id, engine->create_container(create));
  undo.commit();
  return id;
}

// A small process that outlives this one removes the container when it ends: there is no daemon that could.
Result<> spawn_reaper(const std::string& id) {
  sys::SpawnRequest request;
  request.argv = {"/proc/self/exe", "reap", id};
  request.new_session = true;
  request.cwd = "/";
  TRY_ASSIGN(const sys::Spawned spawned, sys::spawn(request));
  return {};
}

int run_detached(Context& context, const std::string& id, const RunOptions& options) {
  auto engine = context.engine();
  if (!engine) return report(engine.error().message(), kUsageStatus);
  if (auto started = (*engine)->start_container(id); !started) {
    const int status = report(started.error().message(), start_failure_status(started.error()));
    const auto cleaned =
        options.remove ? remove_completely(context, id, true) : stop_completely(context, id, std::chrono::seconds(0));
    if (!cleaned) report(cleaned.error().message());
    return status;
  }
  if (options.remove) {
    if (auto spawned = spawn_reaper(id); !spawned)
      report(concat("the container will not be removed when it ends: ", spawned.error().message()));
  }
  std::printf("%s\n", id.c_str());
  return 0;
}

}  // namespace

int run_command(Context& context, Args args) {
  RunOptions options;
  if (const auto status = parse_run_options("run", std::move(args), options)) return *status;
  if (options.terminal && options.interactive && !options.detach && ::isatty(STDIN_FILENO) != 1)
    return report("the input device is not a TTY");
  // Caught from here on: a signal while the pod is being made must not leave half of it.
  auto signals = SignalPipe::open();
  if (!signals) return report(signals.error().message(), kUsageStatus);
  bool program_tried = false;
  const auto id = make_container(context, options, program_tried);
  if (!id) return report(id.error().message(), program_tried ? start_failure_status(id.error()) : kUsageStatus);
  if (options.detach) return run_detached(context, *id, options);
  ForegroundOptions foreground;
  foreground.terminal = options.terminal;
  foreground.open_stdin = options.interactive;
  foreground.remove = options.remove;
  return run_in_foreground(context, *id, foreground, *signals);
}

int create_command(Context& context, Args args) {
  RunOptions options;
  if (const auto status = parse_run_options("create", std::move(args), options)) return *status;
  bool program_tried = false;
  const auto id = make_container(context, options, program_tried);
  if (!id) return report(id.error().message());
  std::printf("%s\n", id->c_str());
  return 0;
}

}  // namespace berth::cli
