// SPDX-License-Identifier: Apache-2.0
#include "agent/cli/rpc/node.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <utility>

#include "agent/accounting/quantity.h"
#include "agent/cli/rpc/scheduler_client.h"
#include "agent/cli/table.h"
#include "agent/cli/units.h"
#include "runtime/base/log.h"
#include "runtime/base/strings.h"

namespace berth::cli {
namespace {

namespace wire = ::scheduler::v1;

constexpr const char* kUsage =
    "Usage: berth node ls [OPTIONS]\n"
    "       berth node show NODE [OPTIONS]\n"
    "       berth node events [NODE] [OPTIONS]\n"
    "\n"
    "What the scheduler knows of its nodes. NODE is a name, an id, or the beginning of an id.\n"
    "R in `node ls` counts copies of 500m cpu and 128Mi memory; `berth fit` answers for other shapes.\n"
    "\n"
    "Options:\n"
    "  --scheduler ADDRESS   unix:///path or host:port (default $BERTH_SCHEDULER or unix:///run/berth/scheduler.sock)\n"
    "  --cpu AMOUNT          of the shape that `ls` counts (default 500m)\n"
    "  --memory AMOUNT       of the shape that `ls` counts (default 128Mi)\n"
    "  --limit N             newest events (default 100)\n";

struct Options {
  std::string scheduler = default_scheduler();
  int64_t cpu = 500;
  int64_t memory = 128ll << 20;
  uint32_t limit = 100;
  std::vector<std::string> operands;
};

Result<Options> parse(const std::vector<std::string>& args) {
  Options options;
  const auto amount = [](const char* name, int64_t& out) {
    return Flag{concat("--", name), [name, &out](const std::string& text) -> Result<> {
                  TRY_ASSIGN(out, accounting::parse_quantity(name, text));
                  return {};
                }};
  };
  const Flag limit{"--limit", [&](const std::string& text) -> Result<> {
                     const auto n = parse_uint32(text);
                     if (!n || *n == 0) return fail(Code::kInvalidArgument, concat("--limit ", quote(text), ": not a number above 0"));
                     options.limit = *n;
                     return {};
                   }};
  TRY_ASSIGN(options.operands, parse_flags(args, {scheduler_flag(options.scheduler), amount("cpu", options.cpu), amount("memory", options.memory), limit}));
  return options;
}

std::string age(int64_t millis) { return millis < 0 ? "-" : human_duration(millis * 1'000'000); }

// "1500m / 15500m": allocated of allocatable.
std::string share(const wire::Capacity& capacity, const std::string& name) {
  for (const auto& r : capacity.resources()) {
    if (r.name() == name) return concat(accounting::display_quantity(name, r.allocated()), " / ", accounting::display_quantity(name, r.allocatable()));
  }
  return "-";
}

Result<int> list(const Options& options) {
  TRY_ASSIGN(auto client, SchedulerClient::open(options.scheduler));
  wire::ListNodesRequest request;
  for (const auto& [name, value] : {std::pair{"cpu", options.cpu}, std::pair{"memory", options.memory}}) {
    auto* amount = request.add_fit_shape();
    amount->set_name(name);
    amount->set_value(value);
  }
  TRY_ASSIGN(const auto response, client.list(request));
  Table table({"NODE", "STATE", "AGE", "CPU", "MEMORY", "PODS", "CONTAINERS", "R", "BINDING", "H"});
  for (int i = 0; i < response.nodes_size(); ++i) {
    const auto& node = response.nodes(i);
    const auto& fit = i < response.fits_size() ? response.fits(i) : wire::FitResponse::default_instance();
    table.add({node.name(), state_text(node.state()), age(node.registered_age_ms()), share(node.capacity(), "cpu"), share(node.capacity(), "memory"),
               std::to_string(node.pods()), std::to_string(node.containers()), fit_text(fit, fit.r()), fit.binding().empty() ? "-" : fit.binding(),
               fit_text(fit, fit.h())});
  }
  std::fputs(table.text().c_str(), stdout);
  return 0;
}

const char* phase_text(wire::ContainerPhase phase) {
  switch (phase) {
    case wire::CONTAINER_PHASE_CREATED: return "created";
    case wire::CONTAINER_PHASE_RUNNING: return "running";
    case wire::CONTAINER_PHASE_EXITED: return "exited";
    default: return "unknown";
  }
}

void print_containers(const wire::GetNodeResponse& response) {
  Table table({"CONTAINER", "NAME", "POD", "STATE", "CPU", "MEMORY"});
  for (const auto& c : response.containers()) {
    const auto request = [&c](const std::string& name) -> std::string {
      for (const auto& amount : c.requests()) {
        if (amount.name() == name) return accounting::display_quantity(name, amount.value()) + (c.estimated() ? " (estimated)" : "");
      }
      return "-";
    };
    const std::string pod = c.pod_name().empty() ? c.pod_id().substr(0, 12) : c.pod_namespace().empty() ? c.pod_name() : concat(c.pod_namespace(), "/", c.pod_name());
    const std::string state = c.phase() == wire::CONTAINER_PHASE_EXITED ? concat("exited (", c.exit().code(), c.exit().oom() ? ", out of memory)" : ")") : phase_text(c.phase());
    table.add({c.id().substr(0, 12), c.name(), pod, state, request("cpu"), request("memory")});
  }
  std::fputs(table.text().c_str(), stdout);
}

Result<int> show(const Options& options) {
  TRY_ASSIGN(auto client, SchedulerClient::open(options.scheduler));
  TRY_ASSIGN(const auto response, client.get(options.operands[0]));
  const auto& node = response.node();
  const auto line = [](const char* key, const std::string& value) { std::printf("%-14s %s\n", key, printable(value).c_str()); };
  line("Name:", node.name());
  line("ID:", node.node_id());
  line("State:", concat(state_text(node.state()), " for ", age(node.state_age_ms())));
  line("Last heard:", node.silent_ms() < 0 ? "not since the scheduler started" : concat(age(node.silent_ms()), " ago"));
  line("Registered:", concat(age(node.registered_age_ms()), " ago"));
  line("Version:", node.version().empty() ? "-" : node.version());
  line("Boot ID:", node.boot_id());
  line("Revision:", concat(node.state_rev(), ", events through ", node.acked_through()));
  if (!node.health().message().empty()) line("Health:", node.health().message());
  std::vector<std::string> labels;
  for (const auto& [key, value] : node.labels()) labels.push_back(concat(key, "=", value));
  std::sort(labels.begin(), labels.end());
  line("Labels:", labels.empty() ? "-" : join(labels, ", "));
  std::printf("\n");
  Table resources({"RESOURCE", "CAPACITY", "ALLOCATABLE", "ALLOCATED"});
  for (const auto& r : node.capacity().resources()) {
    resources.add({r.name(), accounting::display_quantity(r.name(), r.capacity()), accounting::display_quantity(r.name(), r.allocatable()),
                   accounting::display_quantity(r.name(), r.allocated())});
  }
  std::fputs(resources.text().c_str(), stdout);
  std::printf("\n");
  print_containers(response);
  return 0;
}

Result<int> events(const Options& options) {
  TRY_ASSIGN(auto client, SchedulerClient::open(options.scheduler));
  wire::ListEventsRequest request;
  request.set_limit(options.limit);
  if (!options.operands.empty()) request.set_node(options.operands[0]);
  TRY_ASSIGN(const auto response, client.events(request));
  Table table({"TIME", "NODE", "SEQ", "EVENT", "OBJECT", "DETAIL"});
  for (const auto& received : response.events()) {
    const auto& event = received.event();
    std::string type = wire::EventType_Name(event.type());
    if (type.empty()) type = concat("TYPE ", static_cast<int>(event.type()));
    const std::string detail = event.has_exit() ? concat("exit ", event.exit().code(), event.exit().oom() ? ", out of memory" : "") : "";
    table.add({rfc3339(event.wall_ns()), received.node_name(), std::to_string(event.seq()), type, event.container_id().substr(0, 12), detail});
  }
  std::fputs(table.text().c_str(), stdout);
  return 0;
}

struct Subcommand {
  const char* name;
  size_t min_operands;
  size_t max_operands;
  Result<int> (*run)(const Options&);
};
constexpr std::array<Subcommand, 3> kSubcommands{{{"ls", 0, 0, list}, {"show", 1, 1, show}, {"events", 0, 1, events}}};

Result<> check_operands(const Subcommand& command, const std::vector<std::string>& operands) {
  if (operands.size() < command.min_operands) return fail(Code::kInvalidArgument, concat(command.name, " needs a node"));
  if (operands.size() > command.max_operands) return fail(Code::kInvalidArgument, concat("unexpected argument ", quote(operands[command.max_operands])));
  return {};
}

}  // namespace

int node_command(std::vector<std::string> args) {
  if (std::any_of(args.begin(), args.end(), [](const auto& arg) { return arg == "--help" || arg == "-h"; })) {
    std::fputs(kUsage, stdout);
    return 0;
  }
  if (args.empty()) return report_failure("node", Error(Code::kInvalidArgument, "no subcommand: expected ls, show or events"), true);
  const auto* command = std::find_if(kSubcommands.begin(), kSubcommands.end(), [&](const auto& c) { return args[0] == c.name; });
  if (command == kSubcommands.end()) {
    return report_failure("node", Error(Code::kInvalidArgument, concat("unknown subcommand ", quote(args[0]), ": expected ls, show or events")), true);
  }
  const auto options = parse({args.begin() + 1, args.end()});
  if (!options) return report_failure("node", options.error(), true);
  if (const auto checked = check_operands(*command, options->operands); !checked) return report_failure("node", checked.error(), true);
  const auto status = command->run(*options);
  return status ? *status : report_failure("node", status.error(), false);
}

}  // namespace berth::cli
