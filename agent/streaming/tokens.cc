// SPDX-License-Identifier: Apache-2.0
#include "agent/streaming/tokens.h"

#include <openssl/crypto.h>

#include "runtime/base/strings.h"

namespace berth::streaming {
namespace {
constexpr unsigned kTokenBytes = 32;
}

std::string_view verb_name(Verb verb) {
  switch (verb) {
    case Verb::kExec:
      return "exec";
    case Verb::kAttach:
      return "attach";
    case Verb::kPortForward:
      return "portforward";
  }
  return "exec";
}

void Tokens::drop_expired() {
  const auto now = std::chrono::steady_clock::now();
  std::erase_if(entries_, [&](const Entry& entry) { return entry.expires <= now; });
}

Result<std::string> Tokens::issue(Grant grant) {
  const std::lock_guard lock(mutex_);
  drop_expired();
  if (entries_.size() >= limit_)
    return fail(Code::kResourceExhausted, "too many streaming requests wait for their client");
  std::string token = random_hex(kTokenBytes);
  entries_.push_back({token, std::move(grant), std::chrono::steady_clock::now() + life_});
  return token;
}

std::optional<Grant> Tokens::redeem(Verb verb, std::string_view token) {
  const std::lock_guard lock(mutex_);
  drop_expired();
  // Every entry is compared in full, so that the time says nothing about how much of a guess was right.
  size_t found = entries_.size();
  for (size_t i = 0; i < entries_.size(); ++i) {
    const std::string& known = entries_[i].token;
    if (known.size() == token.size() && ::CRYPTO_memcmp(known.data(), token.data(), known.size()) == 0) found = i;
  }
  if (found == entries_.size()) return std::nullopt;
  Grant grant = std::move(entries_[found].grant);
  entries_.erase(entries_.begin() + static_cast<std::ptrdiff_t>(found));
  if (grant.verb != verb) return std::nullopt;
  return grant;
}

}  // namespace berth::streaming
