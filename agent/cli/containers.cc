// SPDX-License-Identifier: Apache-2.0
#include "agent/cli/containers.h"

#include <cstdio>

#include "agent/cli/options.h"
#include "agent/cli/units.h"
#include "runtime/base/strings.h"
#include "runtime/sys/file.h"

namespace berth::cli {

std::string annotation(const google::protobuf::Map<std::string, std::string>& map, const char* key) {
  const auto found = map.find(key);
  return found == map.end() ? std::string() : found->second;
}

const char* state_name(v1::ContainerState state) {
  switch (state) {
    case v1::CONTAINER_CREATED:
      return "created";
    case v1::CONTAINER_RUNNING:
      return "running";
    case v1::CONTAINER_EXITED:
      return "exited";
    default:
      return "unknown";
  }
}

std::string status_text(const v1::ContainerStatus& status, long long now_nanos) {
  switch (status.state()) {
    case v1::CONTAINER_CREATED:
      return "Created";
    case v1::CONTAINER_RUNNING:
      return concat("Up ", human_duration(now_nanos - status.started_at()));
    case v1::CONTAINER_EXITED:
      return concat("Exited (", status.exit_code(), ") ", human_duration(now_nanos - status.finished_at()), " ago");
    default:
      return "Unknown";
  }
}

Result<std::string> pod_of(pods::Engine& engine, const std::string& container_id) {
  v1::ListContainersRequest request;
  request.mutable_filter()->set_id(container_id);
  TRY_ASSIGN(const auto found, engine.list_containers(request));
  if (found.containers_size() == 0) return fail(Code::kNotFound, concat("no such container: ", container_id));
  return found.containers(0).pod_sandbox_id();
}

Result<> remove_completely(Context& context, const std::string& id, bool force) {
  TRY_ASSIGN(pods::Engine* const engine, context.engine());
  TRY_ASSIGN(const auto reply, engine->container_status(id, false));
  const v1::ContainerStatus& status = reply.status();
  if (status.state() == v1::CONTAINER_RUNNING && !force) {
    return fail(Code::kFailedPrecondition,
                concat("cannot remove container ", quote(status.metadata().name()),
                       ": container is running: stop the container before removing or force remove"));
  }
  TRY_ASSIGN(const std::string pod, pod_of(*engine, id));
  TRY(engine->remove_container(id));
  TRY(engine->stop_pod_sandbox(pod));
  TRY(engine->remove_pod_sandbox(pod));
  const std::string& log = status.log_path();
  // Only what `run` laid out itself is deleted: <root>/logs/<pod>/<name>.log.
  const std::string logs = concat(context.globals().root, "/logs/");
  if (log.starts_with(logs)) TRY(sys::remove_tree(log.substr(0, log.find('/', logs.size()))));
  const std::string scratch = annotation(status.annotations(), kScratchAnnotation);
  if (scratch.starts_with(concat(context.globals().root, "/volumes/"))) TRY(sys::remove_tree(scratch));
  return {};
}

Result<> stop_completely(Context& context, const std::string& id, std::chrono::seconds grace) {
  TRY_ASSIGN(pods::Engine* const engine, context.engine());
  TRY(engine->stop_container(id, grace));
  TRY_ASSIGN(const std::string pod, pod_of(*engine, id));
  return engine->stop_pod_sandbox(pod);
}

int for_each_container(Context& context, const std::vector<std::string>& operands, bool quiet,
                       const std::function<Result<>(pods::Engine&, const std::string&)>& step) {
  auto engine = context.engine();
  if (!engine) return report(engine.error().message());
  int status = 0;
  for (const std::string& operand : operands) {
    const auto done = [&]() -> Result<> {
      TRY_ASSIGN(const std::string id, (*engine)->resolve_container(operand));
      return step(**engine, id);
    }();
    if (done) {
      if (!quiet) std::printf("%s\n", operand.c_str());
    } else {
      report_operand(done.error().message());
      status = 1;
    }
  }
  return status;
}

}  // namespace berth::cli
