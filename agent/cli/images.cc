// SPDX-License-Identifier: Apache-2.0
// images, pull, rmi, tag.
#include <algorithm>
#include <boost/json.hpp>
#include <cstdio>

#include "agent/cli/containers.h"
#include "agent/cli/fetch.h"
#include "agent/cli/options.h"
#include "agent/cli/progress.h"
#include "agent/cli/table.h"
#include "agent/cli/units.h"
#include "agent/cli/verbs.h"
#include "runtime/base/log.h"
#include "runtime/base/strings.h"

namespace berth::cli {
namespace {

struct ImageRow {
  std::string repository = "<none>";
  std::string tag = "<none>";
  std::string digest = "<none>";
  const rootfs::Image* image = nullptr;
};

std::string digest_for(const rootfs::Image& image, const std::string& repository) {
  for (const std::string& reference : image.repo_digests) {
    const size_t at = reference.find('@');
    if (reference.substr(0, at) == repository) return reference.substr(at + 1);
  }
  return "<none>";
}

// One row per tag; images that have digests only, or nothing, get one row.
std::vector<ImageRow> rows_of(const std::vector<rootfs::Image>& images) {
  std::vector<ImageRow> rows;
  for (const rootfs::Image& image : images) {
    for (const std::string& reference : image.repo_tags) {
      const size_t colon = reference.rfind(':');
      rows.push_back({familiar_reference(reference.substr(0, colon)), reference.substr(colon + 1),
                      digest_for(image, reference.substr(0, colon)), &image});
    }
    if (!image.repo_tags.empty()) continue;
    ImageRow row;
    row.image = &image;
    if (!image.repo_digests.empty()) {
      const std::string& reference = image.repo_digests.front();
      row.repository = familiar_reference(reference.substr(0, reference.find('@')));
      row.digest = reference.substr(reference.find('@') + 1);
    }
    rows.push_back(row);
  }
  return rows;
}

std::string created_column(const rootfs::Image& image, long long now) {
  const auto created = parse_rfc3339(image.config.created);
  if (!created || *created <= 0) return "N/A";
  return concat(human_duration(now - *created), " ago");
}

std::string short_id(const rootfs::Image& image, bool whole) {
  return whole ? image.id : image.id.substr(image.id.find(':') + 1, 12);
}

void print_json(const ImageRow& row, long long now) {
  boost::json::object object;
  object["Repository"] = row.repository;
  object["Tag"] = row.tag;
  object["Digest"] = row.digest;
  object["ID"] = row.image->id;
  object["CreatedAt"] = row.image->config.created;
  object["CreatedSince"] = created_column(*row.image, now);
  object["Size"] = human_size(row.image->size);
  std::printf("%s\n", boost::json::serialize(object).c_str());
}

}  // namespace

int images_command(Context& context, Args args) {
  Flags flags("images", "[OPTIONS] [REPOSITORY[:TAG]]", "Lists images.");
  bool all = false, quiet = false, whole = false, digests = false;
  std::string format = "table";
  std::vector<std::string> operands;
  flags.flag("-a,--all", all, "accepted for docker's sake: there are no hidden images");
  flags.flag("-q,--quiet", quiet, "ids only");
  flags.flag("--no-trunc", whole, "do not shorten ids");
  flags.flag("--digests", digests, "show digests");
  flags.text("--format", format, "table or json (one object a line)");
  flags.operands(operands, 0, 1);
  if (const auto status = flags.parse(std::move(args))) return *status;
  if (format != "table" && format != "json")
    return report(concat("format ", quote(format), ": expected table or json"), kUsageStatus);
  const auto store = context.images();
  if (!store) return report(store.error().message());
  auto listed = (*store)->list();
  if (!listed) return report(listed.error().message());
  std::sort(listed->begin(), listed->end(), [](const auto& a, const auto& b) { return a.created_at > b.created_at; });
  const long long now = realtime_nanos();
  std::vector<std::string> headers = {"REPOSITORY", "TAG"};
  if (digests) headers.push_back("DIGEST");
  for (const char* header : {"IMAGE ID", "CREATED", "SIZE"}) headers.push_back(header);
  Table table(headers);
  std::vector<std::string> printed;
  for (const ImageRow& row : rows_of(*listed)) {
    if (!operands.empty() && operands[0] != row.repository && operands[0] != concat(row.repository, ':', row.tag))
      continue;
    const std::string id = short_id(*row.image, whole);
    if (quiet) {
      if (std::find(printed.begin(), printed.end(), id) == printed.end()) std::printf("%s\n", id.c_str());
      printed.push_back(id);
    } else if (format == "json") {
      print_json(row, now);
    } else {
      std::vector<std::string> cells = {row.repository, row.tag};
      if (digests) cells.push_back(row.digest);
      for (const std::string& cell : {id, created_column(*row.image, now), human_size(row.image->size)})
        cells.push_back(cell);
      table.add(std::move(cells));
    }
  }
  if (!quiet && format == "table") std::fputs(table.text().c_str(), stdout);
  return 0;
}

int pull_command(Context& context, Args args) {
  Flags flags("pull", "[OPTIONS] NAME[:TAG|@DIGEST]", "Pulls an image from a registry.");
  bool quiet = false;
  std::string platform;
  std::vector<std::string> operands;
  flags.flag("-q,--quiet", quiet, "no progress");
  flags.text("--platform", platform, "such as linux/amd64");
  flags.operands(operands, 1, 1);
  if (const auto status = flags.parse(std::move(args))) return *status;
  const auto image = pull_image(context, operands.front(), platform, stdout, quiet);
  if (!image) return report(image.error().message());
  const auto normalized = rootfs::normalize_reference(operands.front());
  std::printf("%s\n", printable(normalized ? *normalized : operands.front()).c_str());
  return 0;
}

int rmi_command(Context& context, Args args) {
  Flags flags("rmi", "[OPTIONS] IMAGE [IMAGE...]", "Removes names of images, and images with their last name.");
  bool force = false;
  std::vector<std::string> operands;
  flags.flag("-f,--force", force, "all names, and images that containers use");
  flags.operands(operands, 1);
  if (const auto status = flags.parse(std::move(args))) return *status;
  const auto store = context.images();
  if (!store) return report(store.error().message());
  auto engine = context.engine();
  if (!engine) return report(engine.error().message());
  const auto containers = (*engine)->list_containers({});
  if (!containers) return report(containers.error().message());
  const auto remove_one = [&](const std::string& operand) -> Result<> {
    TRY_ASSIGN(const auto image, (*store)->find(operand));
    if (!image) return fail(Code::kNotFound, concat("no such image: ", printable(operand)));
    for (const v1::Container& container : containers->containers()) {
      if (force || container.image_id() != image->id || image->repo_tags.size() > 1) continue;
      return fail(Code::kFailedPrecondition, concat("conflict: unable to remove ", quote(operand), ": container ",
                                                    container.id().substr(0, 12), " is using it (must force)"));
    }
    if (force && image->id.find(operand) != std::string::npos) {
      TRY((*store)->remove(image->id));
      for (const std::string& tag : image->repo_tags)
        std::printf("Untagged: %s\n", printable(familiar_reference(tag)).c_str());
      std::printf("Deleted: %s\n", image->id.c_str());
      return {};
    }
    TRY_ASSIGN(const auto lines, (*store)->untag(operand));
    for (const std::string& line : lines) std::printf("%s\n", printable(line).c_str());
    return {};
  };
  int status = 0;
  for (const std::string& operand : operands) {
    if (auto removed = remove_one(operand); !removed) {
      report_operand(removed.error().message());
      status = 1;
    }
  }
  return status;
}

int tag_command(Context& context, Args args) {
  Flags flags("tag", "SOURCE_IMAGE TARGET_IMAGE", "Gives an image another name.");
  std::vector<std::string> operands;
  flags.operands(operands, 2, 2);
  if (const auto status = flags.parse(std::move(args))) return *status;
  const auto store = context.images();
  if (!store) return report(store.error().message());
  const auto known = (*store)->find(operands[0]);
  if (!known) return report(known.error().message());
  if (!*known) {
    report_operand(concat("no such image: ", printable(operands[0])));
    return 1;
  }
  const auto tagged = (*store)->tag(operands[0], operands[1]);
  return tagged ? 0 : report(tagged.error().message());
}

}  // namespace berth::cli
