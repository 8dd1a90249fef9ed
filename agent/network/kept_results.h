// SPDX-License-Identifier: Apache-2.0
// What has been done for each pod, on disk before it is done: <root>/<pod id>.json. Whoever starts after a crash finds
// here what DEL needs — the configuration used then, not today's, and the attachment's ports.
#pragma once

#include <boost/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "agent/network/network.h"
#include "runtime/base/result.h"

namespace berth::network {

struct KeptResult {
  std::string kind;                 // "cni" | "builtin"
  Attachment attachment;
  std::string config;               // cni: the list as JSON
  boost::json::value result;        // null while ADD has not finished
};

// Thread-safe: one file per pod, replaced atomically.
class KeptResults {
 public:
  explicit KeptResults(std::string root) : root_(std::move(root)) {}
  Result<> write(const KeptResult& kept) const;
  Result<std::optional<KeptResult>> read(const std::string& pod_id) const;
  Result<> remove(const std::string& pod_id) const;
  Result<std::vector<std::string>> pods() const;

 private:
  std::string path_of(const std::string& pod_id) const;
  std::string root_;
};

}  // namespace berth::network
