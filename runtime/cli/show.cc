// SPDX-License-Identifier: Apache-2.0
// state, list, ps: what is printed as runc prints it.
#include <algorithm>
#include <chrono>

#include "runtime/base/strings.h"
#include "runtime/cli/commands.h"
#include "runtime/cli/json_text.h"
#include "runtime/cli/report.h"
#include "runtime/sys/file.h"
#include "runtime/sys/process.h"

namespace berth::cli {
namespace {

namespace json = boost::json;

json::object to_json(const container::State& state) {
  json::object out;
  out["ociVersion"] = state.oci_version;
  out["id"] = state.id;
  out["pid"] = state.pid;
  out["status"] = container::status_name(state.status);
  out["bundle"] = state.bundle;
  out["rootfs"] = state.rootfs;
  out["created"] = state.created;
  if (!state.annotations.empty()) {
    json::object annotations;
    for (const auto& [key, value] : state.annotations) annotations[key] = value;
    out["annotations"] = std::move(annotations);
  }
  out["owner"] = state.owner;
  return out;
}

// Columns as Go's tabwriter lays them out: at least 12 wide, three spaces between.
std::string table(const std::vector<std::vector<std::string>>& rows) {
  std::vector<size_t> widths;
  for (const auto& row : rows) {
    widths.resize(std::max(widths.size(), row.size()), 12);
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size() + 3);
  }
  std::string out;
  for (const auto& row : rows) {
    for (size_t i = 0; i < row.size(); ++i) {
      out += row[i];
      if (i + 1 < row.size()) out.append(widths[i] - row[i].size(), ' ');
    }
    out += '\n';
  }
  return out;
}

Result<std::string> format_of(const Arguments& arguments) {
  const std::string format = arguments.has("format") ? arguments.value("format") : "table";
  if (format != "table" && format != "json")
    return fail(Code::kInvalidArgument, concat("invalid format option: ", format));
  return format;
}

Result<std::string> run_ps(const std::vector<std::string>& options) {
  sys::SpawnRequest request;
  request.argv = {sys::path_exists("/usr/bin/ps") ? "/usr/bin/ps" : "/bin/ps"};
  request.argv.insert(request.argv.end(), options.begin(), options.end());
  TRY_ASSIGN(const auto output, sys::run(request, "", std::chrono::seconds(10), 64u << 20));
  if (output.exit.code != 0) return fail(Code::kInternal, concat("ps: ", trim(output.err)));
  return output.out;
}

std::vector<std::string_view> words_of(std::string_view line) {
  std::vector<std::string_view> out;
  for (const auto word : split(line, ' ')) {
    if (!word.empty()) out.push_back(word);
  }
  return out;
}

Result<> print_process_table(const std::vector<pid_t>& pids, std::vector<std::string> options) {
  if (options.empty()) options = {"-ef"};
  TRY_ASSIGN(const std::string text, run_ps(options));
  const auto lines = split(text, '\n');
  const auto header = words_of(lines[0]);
  const auto column = std::ranges::find(header, std::string_view("PID"));
  if (column == header.end()) return fail(Code::kInvalidArgument, "couldn't find PID field in ps output");
  const auto index = static_cast<size_t>(column - header.begin());
  std::string out = concat(lines[0], '\n');
  for (size_t i = 1; i < lines.size(); ++i) {
    const auto words = words_of(lines[i]);
    const auto pid = index < words.size() ? parse_uint32(words[index]) : std::nullopt;
    if (pid && std::ranges::find(pids, static_cast<pid_t>(*pid)) != pids.end()) out += concat(lines[i], '\n');
  }
  return print(out);
}

}  // namespace

Result<int> state_command(const Context& context, const Arguments& arguments) {
  TRY_ASSIGN(const auto state, container::state(context.root, arguments.positional()[0]));
  TRY(print(pretty_json(to_json(state))));
  return 0;
}

Result<int> list_command(const Context& context, const Arguments& arguments) {
  TRY_ASSIGN(const std::string format, format_of(arguments));
  auto found = container::list(context.root);
  // Only the default directory may be missing: nothing was ever created then.
  if (!found && (context.root_given || found.error().code() != Code::kNotFound)) {
    return std::unexpected(std::move(found).error());
  }
  const auto states = found ? std::move(*found) : std::vector<container::State>();
  std::string out;
  if (arguments.flag("quiet")) {
    for (const auto& state : states) out += concat(state.id, '\n');
  } else if (format == "json") {
    json::array entries;
    for (const auto& state : states) entries.push_back(to_json(state));
    out = concat(entries.empty() ? std::string("null") : json::serialize(entries), '\n');
  } else {
    std::vector<std::vector<std::string>> rows{{"ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"}};
    for (const auto& state : states) {
      rows.push_back({state.id, std::to_string(state.pid), std::string(container::status_name(state.status)),
                      state.bundle, state.created, state.owner});
    }
    out = table(rows);
  }
  TRY(print(out));
  return 0;
}

Result<int> ps_command(const Context& context, const Arguments& arguments) {
  TRY_ASSIGN(const std::string format, format_of(arguments));
  const auto& words = arguments.positional();
  TRY_ASSIGN(const auto pids, container::processes(context.root, words[0]));
  if (format == "table") {
    TRY(print_process_table(pids, {words.begin() + 1, words.end()}));
    return 0;
  }
  json::array numbers(pids.begin(), pids.end());
  TRY(print(concat(numbers.empty() ? std::string("null") : json::serialize(numbers), '\n')));
  return 0;
}

}  // namespace berth::cli
