// SPDX-License-Identifier: Apache-2.0
#include "agent/cli/yaml_fields.h"

#include <algorithm>

#include "runtime/base/strings.h"

namespace berth::cli {

YamlField YamlField::at(const std::string& key) const {
  const std::string path = path_.empty() ? key : concat(path_, '.', key);
  if (!node_.IsDefined() || !node_.IsMap()) return {YAML::Node(YAML::NodeType::Undefined), path, line_};
  // A loop, since operator[] of a non-const node would add the key.
  for (const auto& entry : node_) {
    if (entry.first.IsScalar() && entry.first.Scalar() == key) return {entry.second, path, entry.first.Mark().line + 1};
  }
  return {YAML::Node(YAML::NodeType::Undefined), path, line_};
}

Result<std::vector<YamlField>> YamlField::items() const {
  std::vector<YamlField> out;
  if (!present()) return out;
  if (!node_.IsSequence()) return fault("expected a list");
  for (size_t i = 0; i < node_.size(); ++i) {
    const YAML::Node item = node_[i];
    out.emplace_back(item, concat(path_, '[', i, ']'), item.Mark().line + 1);
  }
  return out;
}

Result<std::vector<std::pair<std::string, std::string>>> YamlField::pairs() const {
  std::vector<std::pair<std::string, std::string>> out;
  if (!present()) return out;
  if (!node_.IsMap()) return fault("expected a mapping");
  for (const auto& entry : node_) {
    if (!entry.first.IsScalar() || !(entry.second.IsScalar() || entry.second.IsNull()))
      return fault("expected names with texts");
    out.emplace_back(entry.first.Scalar(), entry.second.IsNull() ? "" : entry.second.Scalar());
  }
  return out;
}

Result<std::vector<std::string>> YamlField::texts() const {
  std::vector<std::string> out;
  TRY_ASSIGN(const auto entries, items());
  for (const YamlField& entry : entries) {
    if (!entry.node_.IsScalar()) return entry.fault("expected a text");
    out.push_back(entry.node_.Scalar());
  }
  return out;
}

Result<std::string> YamlField::text() const {
  if (!present()) return fault("required");
  if (!node_.IsScalar()) return fault("expected a text");
  if (node_.Scalar().empty()) return fault("required");
  return node_.Scalar();
}

Result<std::string> YamlField::text_or(std::string fallback) const {
  if (!present()) return fallback;
  if (!node_.IsScalar()) return fault("expected a text");
  return node_.Scalar();
}

Result<bool> YamlField::flag_or(bool fallback) const {
  if (!present()) return fallback;
  if (node_.IsScalar() && node_.Tag() != "!") {
    if (node_.Scalar() == "true") return true;
    if (node_.Scalar() == "false") return false;
  }
  return fault("expected true or false");
}

Result<std::optional<int64_t>> YamlField::number() const {
  if (!present()) return std::optional<int64_t>();
  const auto value = node_.IsScalar() ? parse_int64(node_.Scalar()) : std::nullopt;
  if (!value) return fault("expected a number");
  return value;
}

Result<> YamlField::check_keys(std::initializer_list<std::string_view> known,
                               std::initializer_list<std::string_view> ignored,
                               std::vector<std::string>* warnings) const {
  if (!present()) return {};
  if (!node_.IsMap()) return fault("expected a mapping");
  std::vector<std::string> seen;
  for (const auto& entry : node_) {
    if (!entry.first.IsScalar()) return fault("expected names as keys");
    const std::string& key = entry.first.Scalar();
    const YamlField member(entry.second, path_.empty() ? key : concat(path_, '.', key), entry.first.Mark().line + 1);
    if (std::find(seen.begin(), seen.end(), key) != seen.end()) return member.fault("given twice");
    seen.push_back(key);
    if (std::find(known.begin(), known.end(), key) != known.end()) continue;
    if (std::find(ignored.begin(), ignored.end(), key) == ignored.end()) return member.fault("unknown field");
    if (warnings != nullptr) warnings->push_back(member.fault("not carried out here").error().message());
  }
  return {};
}

std::unexpected<Error> YamlField::fault(std::string_view why) const {
  return fail(Code::kInvalidArgument, concat("line ", line_, ": ", path_.empty() ? "document" : path_, ": ", why));
}

}  // namespace berth::cli
