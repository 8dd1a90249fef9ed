// SPDX-License-Identifier: Apache-2.0
// `berth kube ps`: the pods of berthd as a table, or as JSON with their containers and exit codes.
#include <algorithm>
#include <boost/json.hpp>
#include <cstdio>

#include "agent/cli/containers.h"
#include "agent/cli/options.h"
#include "agent/cli/rpc/kube.h"
#include "agent/cli/table.h"
#include "agent/cli/units.h"
#include "runtime/base/log.h"
#include "runtime/base/strings.h"

namespace berth::cli {
namespace {

struct PodRow {
  v1::PodSandbox pod;
  std::string ip;
  std::vector<v1::ContainerStatus> containers;

  size_t running() const {
    return static_cast<size_t>(std::count_if(containers.begin(), containers.end(), [](const v1::ContainerStatus& container) {
      return container.state() == v1::CONTAINER_RUNNING;
    }));
  }
  std::string state() const {
    if (pod.state() != v1::SANDBOX_READY) return "NotReady";
    return running() == containers.size() && running() > 0 ? "Running" : running() > 0 ? "Partial" : "Ended";
  }
};

std::string_view container_state(v1::ContainerState state) {
  switch (state) {
    case v1::CONTAINER_CREATED: return "created";
    case v1::CONTAINER_RUNNING: return "running";
    case v1::CONTAINER_EXITED: return "exited";
    default: return "unknown";
  }
}

// What goes between the list and the question about it has been removed: left out.
Result<std::vector<PodRow>> read_pods(CriClient& client) {
  TRY_ASSIGN(const auto pods, client.list_pod_sandbox({}));
  TRY_ASSIGN(const auto containers, client.list_containers({}));
  std::vector<PodRow> rows;
  for (const v1::PodSandbox& pod : pods.items()) {
    const auto status = client.pod_sandbox_status(pod.id());
    if (!status) continue;
    PodRow row{pod, status->status().network().ip(), {}};
    for (const v1::Container& container : containers.containers()) {
      if (container.pod_sandbox_id() != pod.id()) continue;
      if (const auto known = client.container_status(container.id())) row.containers.push_back(known->status());
    }
    rows.push_back(std::move(row));
  }
  return rows;
}

std::string json_of(const std::vector<PodRow>& rows) {
  boost::json::array pods;
  for (const PodRow& row : rows) {
    boost::json::array containers;
    for (const v1::ContainerStatus& container : row.containers) {
      boost::json::object object{{"id", container.id()}, {"name", container.metadata().name()}, {"state", container_state(container.state())},
                                 {"attempt", container.metadata().attempt()}};
      if (container.state() == v1::CONTAINER_EXITED) {
        object["exitCode"] = container.exit_code();
        object["reason"] = container.reason();
      }
      containers.emplace_back(std::move(object));
    }
    pods.emplace_back(boost::json::object{{"id", row.pod.id()}, {"namespace", row.pod.metadata().namespace_()}, {"name", row.pod.metadata().name()},
                                          {"state", row.state()}, {"ip", row.ip}, {"createdAt", rfc3339(row.pod.created_at())}, {"containers", std::move(containers)}});
  }
  return boost::json::serialize(pods);
}

std::string table_of(const std::vector<PodRow>& rows) {
  Table table({"POD ID", "NAMESPACE", "NAME", "READY", "STATUS", "IP", "AGE"});
  for (const PodRow& row : rows) {
    table.add({row.pod.id().substr(0, 12), row.pod.metadata().namespace_(), row.pod.metadata().name(), concat(row.running(), '/', row.containers.size()),
               row.state(), row.ip, human_duration(realtime_nanos() - row.pod.created_at())});
  }
  return table.text();
}

}  // namespace

int kube_ps_command(const Globals& globals, std::vector<std::string> args) {
  Flags flags("kube ps", "[OPTIONS]", "Lists the pods of berthd.");
  bool quiet = false;
  std::string format = "table";
  std::vector<std::string> operands;
  flags.flag("-q,--quiet", quiet, "ids only");
  flags.text("--format", format, "table or json");
  flags.operands(operands, 0, 0);
  if (const auto status = flags.parse(std::move(args))) return *status;
  if (format != "table" && format != "json") {
    return report(concat("invalid argument ", quote(format), " for --format: expected table or json"), kUsageStatus);
  }
  CriClient client(globals.address);
  const auto rows = read_pods(client);
  if (!rows) return report(rows.error().message(), 1);
  if (quiet) {
    for (const PodRow& row : *rows) std::printf("%s\n", row.pod.id().c_str());
    return 0;
  }
  std::fputs(format == "json" ? concat(json_of(*rows), "\n").c_str() : table_of(*rows).c_str(), stdout);
  return 0;
}

}  // namespace berth::cli
