// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <boost/json.hpp>
#include <cstdio>

#include "agent/cli/containers.h"
#include "agent/cli/env.h"
#include "agent/cli/options.h"
#include "agent/cli/table.h"
#include "agent/cli/units.h"
#include "agent/cli/verbs.h"
#include "runtime/base/log.h"
#include "runtime/base/strings.h"

namespace berth::cli {
namespace {

struct Filters {
  std::vector<std::pair<std::string, std::string>> all;
};

bool matches_label(const google::protobuf::Map<std::string, std::string>& labels, const std::string& wanted) {
  const auto [key, value] = parse_label(wanted);
  const auto found = labels.find(key);
  return found != labels.end() && (wanted.find('=') == std::string::npos || found->second == value);
}

// As docker: values of one key are alternatives (labels must all be there), different keys must all match.
bool matches(const v1::ContainerStatus& status, const Filters& filters) {
  for (const std::string_view key : {"name", "status", "id", "ancestor", "exited"}) {
    bool asked = false, found = false;
    for (const auto& [name, value] : filters.all) {
      if (name != key) continue;
      asked = true;
      if (key == "name")
        found |= status.metadata().name().find(value) != std::string::npos;
      else if (key == "status")
        found |= state_name(status.state()) == value;
      else if (key == "id")
        found |= status.id().starts_with(value);
      else if (key == "exited")
        found |= status.state() == v1::CONTAINER_EXITED && std::to_string(status.exit_code()) == value;
      else
        found |= annotation(status.annotations(), kImageAnnotation) == value;
    }
    if (asked && !found) return false;
  }
  return std::all_of(filters.all.begin(), filters.all.end(), [&](const auto& filter) {
    return filter.first != "label" || matches_label(status.labels(), filter.second);
  });
}

Result<Filters> parse_filters(const std::vector<std::string>& typed) {
  Filters filters;
  for (const std::string& text : typed) {
    auto pair = parse_label(text);
    static constexpr std::string_view kKnown[] = {"name", "status", "label", "id", "ancestor", "exited"};
    if (std::find(std::begin(kKnown), std::end(kKnown), pair.first) == std::end(kKnown) ||
        text.find('=') == std::string::npos) {
      return fail(Code::kInvalidArgument, concat("invalid filter ", quote(text),
                                                 ": expected name=, status=, label=, id=, ancestor= or exited="));
    }
    if (pair.first == "status" && pair.second != "created" && pair.second != "running" && pair.second != "exited") {
      return fail(Code::kInvalidArgument,
                  concat("invalid filter ", quote(text), ": the status is created, running or exited"));
    }
    filters.all.push_back(std::move(pair));
  }
  return filters;
}

std::string command_column(const v1::ContainerStatus& status) {
  boost::system::error_code error;
  const auto parsed = boost::json::parse(annotation(status.annotations(), kCommandAnnotation), error);
  std::vector<std::string> words;
  if (!error && parsed.is_array()) {
    for (const auto& word : parsed.get_array()) {
      if (word.is_string()) words.emplace_back(word.get_string());
    }
  }
  return command_text(words);
}

std::string ports_column(const v1::ContainerStatus& status) {
  return status.state() == v1::CONTAINER_RUNNING ? annotation(status.annotations(), kPortsAnnotation) : "";
}

void print_json(const v1::ContainerStatus& status, long long now) {
  boost::json::object row;
  row["ID"] = status.id();
  row["Names"] = status.metadata().name();
  row["Image"] = annotation(status.annotations(), kImageAnnotation);
  row["Command"] = command_column(status);
  row["CreatedAt"] = rfc3339(status.created_at());
  row["RunningFor"] = concat(human_duration(now - status.created_at()), " ago");
  row["State"] = state_name(status.state());
  row["Status"] = status_text(status, now);
  row["Ports"] = ports_column(status);
  boost::json::object labels;
  for (const auto& [key, value] : status.labels()) labels[key] = value;
  row["Labels"] = std::move(labels);
  std::printf("%s\n", boost::json::serialize(row).c_str());
}

}  // namespace

int ps_command(Context& context, Args args) {
  Flags flags("ps", "[OPTIONS]", "Lists containers.");
  bool all = false, quiet = false, whole = false, latest = false;
  std::string format = "table";
  std::vector<std::string> typed_filters, none;
  flags.flag("-a,--all", all, "those that do not run too");
  flags.flag("-q,--quiet", quiet, "ids only");
  flags.flag("-l,--latest", latest, "the newest only, whatever its state");
  flags.flag("--no-trunc", whole, "do not shorten ids and commands");
  flags.text("--format", format, "table or json (one object a line)");
  flags.list("-f,--filter", typed_filters, "name=, status=, label=, id=, ancestor=, exited=");
  flags.operands(none, 0, 0);
  if (const auto status = flags.parse(std::move(args))) return *status;
  if (format != "table" && format != "json")
    return report(concat("format ", quote(format), ": expected table or json"), kUsageStatus);
  const auto filters = parse_filters(typed_filters);
  if (!filters) return report(filters.error().message(), kUsageStatus);
  auto engine = context.records();
  if (!engine) return report(engine.error().message());
  const auto listed = (*engine)->list_containers({});
  if (!listed) return report(listed.error().message());
  const bool by_state = std::any_of(filters->all.begin(), filters->all.end(), [](const auto& filter) {
    return filter.first == "status" || filter.first == "exited";
  });
  std::vector<v1::ContainerStatus> rows;
  for (const v1::Container& container : listed->containers()) {
    if (!all && !latest && !by_state && container.state() != v1::CONTAINER_RUNNING) continue;
    auto reply = (*engine)->container_status(container.id(), false);
    if (!reply) continue;  // removed meanwhile
    if (matches(reply->status(), *filters)) rows.push_back(std::move(*reply->mutable_status()));
  }
  std::sort(rows.begin(), rows.end(), [](const auto& a, const auto& b) { return a.created_at() > b.created_at(); });
  if (latest && rows.size() > 1) rows.resize(1);
  const long long now = realtime_nanos();
  Table table({"CONTAINER ID", "IMAGE", "COMMAND", "CREATED", "STATUS", "PORTS", "NAMES"});
  for (const v1::ContainerStatus& row : rows) {
    const std::string id = whole ? row.id() : row.id().substr(0, 12);
    if (quiet) {
      std::printf("%s\n", id.c_str());
    } else if (format == "json") {
      print_json(row, now);
    } else {
      const std::string command = printable(command_column(row));
      table.add({id, annotation(row.annotations(), kImageAnnotation),
                 concat('"', whole ? command : shortened(command, 20), '"'),
                 concat(human_duration(now - row.created_at()), " ago"), status_text(row, now), ports_column(row),
                 row.metadata().name()});
    }
  }
  if (!quiet && format == "table") std::fputs(table.text().c_str(), stdout);
  return 0;
}

}  // namespace berth::cli
