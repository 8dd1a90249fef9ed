// SPDX-License-Identifier: Apache-2.0
// One-time tokens of the streaming endpoint (C09): 256 random bits, 30 s, one use, bound to the verb they were given
// for. A token is never logged. Thread-safe.
#pragma once

#include <chrono>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/streaming/server.h"
#include "runtime/base/result.h"

namespace berth::streaming {

enum class Verb : uint8_t { kExec, kAttach, kPortForward };

// "exec", "attach", "portforward": the first segment of the path.
std::string_view verb_name(Verb verb);

// What a token stands for. Port-forward: `container_id` is the pod's id.
struct Grant {
  Verb verb = Verb::kExec;
  ExecTarget target;
};

class Tokens {
 public:
  explicit Tokens(std::chrono::milliseconds life = std::chrono::seconds(30), size_t limit = 1000)
      : life_(life), limit_(limit) {}

  // kResourceExhausted beyond the limit of outstanding ones.
  Result<std::string> issue(Grant grant);
  // The grant of a living token, which is thereby used up: also by a request of another verb, which gets nothing.
  std::optional<Grant> redeem(Verb verb, std::string_view token);

 private:
  struct Entry {
    std::string token;
    Grant grant;
    std::chrono::steady_clock::time_point expires;
  };
  void drop_expired();

  const std::chrono::milliseconds life_;
  const size_t limit_;
  std::mutex mutex_;
  std::vector<Entry> entries_;
};

}  // namespace berth::streaming
