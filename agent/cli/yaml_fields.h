// SPDX-License-Identifier: Apache-2.0
// Reading YAML with the place of each fault: file, line, field.
#pragma once

#include <yaml-cpp/yaml.h>

#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/base/result.h"

namespace berth::cli {

// A node and the path that led to it ("spec.containers[0].image"). Cheap to copy; shares the document.
class YamlField {
 public:
  YamlField(YAML::Node node, std::string path, int line)
      : node_(std::move(node)), path_(std::move(path)), line_(line) {}

  bool present() const { return node_.IsDefined() && !node_.IsNull(); }
  const std::string& path() const { return path_; }
  const YAML::Node& node() const { return node_; }

  // A member of a mapping; absent when the mapping has none (its line is then the mapping's).
  YamlField at(const std::string& key) const;
  // The entries of a sequence; none when it is absent.
  Result<std::vector<YamlField>> items() const;
  // The pairs of a mapping of strings; none when it is absent.
  Result<std::vector<std::pair<std::string, std::string>>> pairs() const;
  Result<std::vector<std::string>> texts() const;

  Result<std::string> text() const;  // required
  Result<std::string> text_or(std::string fallback) const;
  Result<bool> flag_or(bool fallback) const;
  Result<std::optional<int64_t>> number() const;

  // Faults of a mapping with keys outside `known`; a non-mapping is one too. An absent node is fine. Keys in `ignored`
  // are added to `warnings`.
  Result<> check_keys(std::initializer_list<std::string_view> known,
                      std::initializer_list<std::string_view> ignored = {},
                      std::vector<std::string>* warnings = nullptr) const;

  // `line 3: spec.containers[0].image: WHY`
  std::unexpected<Error> fault(std::string_view why) const;

 private:
  YAML::Node node_;
  std::string path_;
  int line_;
};

}  // namespace berth::cli
