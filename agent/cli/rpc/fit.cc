// SPDX-License-Identifier: Apache-2.0
#include "agent/cli/rpc/fit.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <memory>

#include "agent/accounting/fit_json.h"
#include "agent/accounting/quantity.h"
#include "agent/cli/rpc/scheduler_client.h"
#include "agent/cli/table.h"
#include "runtime/base/strings.h"

namespace berth::cli {
namespace {

namespace wire = ::scheduler::v1;

constexpr const char* kUsage =
    "Usage: berth fit --cpu AMOUNT --memory AMOUNT [OPTIONS]\n"
    "       berth fit --input FILE|-\n"
    "\n"
    "How many copies of a shape fit each node: R of the whole node, H of what is free, and the resource that binds.\n"
    "With --input, answers questions given as JSON, one object a line, without a scheduler.\n"
    "\n"
    "Options:\n"
    "  --cpu AMOUNT                 cores: 500m, 1.5\n"
    "  --memory AMOUNT              bytes: 128Mi, 1G\n"
    "  --ephemeral-storage AMOUNT   bytes\n"
    "  --pids AMOUNT                processes\n"
    "  --resource NAME=AMOUNT       any other: hugepages-2Mi=64Mi, vendor.com/gpu=1; may be repeated\n"
    "  --node NODE                  only this node\n"
    "  --scheduler ADDRESS          unix:///path or host:port (default $BERTH_SCHEDULER or unix:///run/berth/scheduler.sock)\n"
    "  --input FILE                 JSON lines from FILE, or from standard input (-)\n";

struct Options {
  accounting::Amounts shape;
  std::string node;
  std::string scheduler = default_scheduler();
  std::string input;
};

Flag amount_flag(Options& options, const std::string& name) {
  return {"--" + name, [&options, name](const std::string& text) -> Result<> {
            TRY_ASSIGN(options.shape[name], accounting::parse_quantity(name, text));
            return {};
          }};
}

Flag text_flag(const char* name, std::string& out) {
  return {name, [&out, name](const std::string& text) -> Result<> {
            if (text.empty()) return fail(Code::kInvalidArgument, concat(name, " needs a value"));
            out = text;
            return {};
          }};
}

Result<> set_resource(Options& options, const std::string& text) {
  const auto equals = text.find('=');
  if (equals == std::string::npos || equals == 0) return fail(Code::kInvalidArgument, concat("--resource ", quote(text), ": expected NAME=AMOUNT"));
  const std::string name = text.substr(0, equals);
  TRY_ASSIGN(options.shape[name], accounting::parse_quantity(name, text.substr(equals + 1)), "--resource");
  return {};
}

Result<Options> parse(const std::vector<std::string>& args) {
  Options options;
  const std::vector<Flag> flags = {amount_flag(options, "cpu"),
                                   amount_flag(options, "memory"),
                                   amount_flag(options, "ephemeral-storage"),
                                   amount_flag(options, "pids"),
                                   {"--resource", [&](const std::string& text) { return set_resource(options, text); }},
                                   text_flag("--node", options.node),
                                   text_flag("--input", options.input),
                                   scheduler_flag(options.scheduler)};
  TRY_ASSIGN(const auto operands, parse_flags(args, flags));
  if (!operands.empty()) return fail(Code::kInvalidArgument, concat("unexpected argument ", quote(operands[0])));
  if (!options.input.empty() && !options.shape.empty()) return fail(Code::kInvalidArgument, "--input takes its shapes from the file: give no amounts beside it");
  if (options.input.empty() && options.shape.empty()) return fail(Code::kInvalidArgument, "no shape: give --cpu, --memory or another amount, or --input");
  return options;
}

// One answer a line, in the order of the questions; a line that is no question is answered with an error.
Result<int> answer_file(const std::string& path) {
  const bool standard = path == "-";
  std::unique_ptr<FILE, int (*)(FILE*)> file(standard ? stdin : std::fopen(path.c_str(), "re"), [](FILE* f) { return f == stdin ? 0 : std::fclose(f); });
  if (file == nullptr) return fail_errno(concat("open ", quote(path)));
  char* line = nullptr;
  size_t capacity = 0;
  ssize_t length = 0;
  unsigned number = 0;
  int status = 0;
  errno = 0;
  while ((length = ::getline(&line, &capacity, file.get())) >= 0) {
    ++number;
    const auto text = trim(std::string_view(line, static_cast<size_t>(length)));
    if (text.empty()) continue;
    const auto answer = accounting::fit_line(text);
    if (answer) {
      std::printf("%s\n", answer->c_str());
    } else {
      std::printf("{\"error\":\"INVALID_ARGUMENT\",\"dims\":[]}\n");
      std::fprintf(stderr, "berth fit: %s line %u: %s\n", standard ? "standard input" : printable(path).c_str(), number,
                   printable(answer.error().message()).c_str());
      status = 1;
    }
  }
  const int error = std::ferror(file.get()) != 0 ? errno : 0;
  std::free(line);
  if (error != 0) return fail_errno(concat("read ", quote(path)), error);
  if (std::fflush(stdout) != 0) return fail_errno("write the answers");
  return status;
}

Result<int> ask_scheduler(const Options& options) {
  TRY_ASSIGN(auto client, SchedulerClient::open(options.scheduler));
  wire::ClusterFitRequest request;
  request.set_node(options.node);
  for (const auto& [name, value] : options.shape) {
    auto* amount = request.mutable_request()->add_shape();
    amount->set_name(name);
    amount->set_value(value);
  }
  TRY_ASSIGN(const auto response, client.fit(request));
  Table table({"NODE", "STATE", "R", "C/c", "BINDING", "H", "H BINDING"});
  for (const auto& node : response.nodes()) {
    const auto& fit = node.fit();
    const bool number = fit.error().empty() && !fit.unbounded();
    table.add({node.name(), state_text(node.state()), fit_text(fit, fit.r()), number ? fit.r_real() : "-", number ? fit.binding() : "-",
               number ? std::to_string(fit.h()) : "-", number ? fit.h_binding() : "-"});
  }
  const auto placeable = std::count_if(response.nodes().begin(), response.nodes().end(), [](const auto& node) { return node.placeable(); });
  table.add({"TOTAL", concat(placeable, " of ", response.nodes_size()), std::to_string(response.total_r()), "", "", std::to_string(response.total_h()), ""});
  std::fputs(table.text().c_str(), stdout);
  const bool refused = std::any_of(response.nodes().begin(), response.nodes().end(), [](const auto& node) { return !node.fit().error().empty(); });
  return refused ? 1 : 0;
}

}  // namespace

int fit_command(std::vector<std::string> args) {
  if (std::any_of(args.begin(), args.end(), [](const auto& arg) { return arg == "--help" || arg == "-h"; })) {
    std::fputs(kUsage, stdout);
    return 0;
  }
  const auto options = parse(args);
  if (!options) return report_failure("fit", options.error(), true);
  auto status = options->input.empty() ? ask_scheduler(*options) : answer_file(options->input);
  return status ? *status : report_failure("fit", status.error(), false);
}

}  // namespace berth::cli
