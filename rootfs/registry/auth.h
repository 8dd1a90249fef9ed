// SPDX-License-Identifier: Apache-2.0
// Authorisation towards one registry: basic, or bearer tokens from the realm that a challenge names.
//
// Credentials belong to one origin (scheme, host, port) and to the token service it may name; they follow no redirect
// (CVE-2020-15157, CVE-2026-65388).
#pragma once

#include <map>
#include <mutex>
#include <string>
#include <string_view>

#include "rootfs/images.h"
#include "rootfs/registry/http.h"
#include "runtime/base/result.h"

namespace berth::rootfs {

struct Challenge {
  std::string scheme;  // lower case
  std::map<std::string, std::string> parameters;
};
// One WWW-Authenticate value: `Bearer realm="https://…",service="…",scope="…"`.
Challenge parse_challenge(std::string_view value);

// True when a token service at `realm` may receive the credentials of `registry`: same host, or both below one
// registrable domain (auth.docker.io for registry-1.docker.io); plain HTTP only towards the same plain HTTP host.
bool realm_may_have_credentials(const Origin& registry, const Origin& realm);

// Thread-safe: the downloads of one pull share it.
class Authorizer {
 public:
  Authorizer(Origin registry, RegistryAuth auth, TlsOptions tls) : registry_(std::move(registry)), auth_(std::move(auth)), tls_(std::move(tls)) {}

  // The header to send along, empty when none is known yet.
  std::string header() const;
  // Answers a 401: afterwards header() has something new to offer. `used` is the header that was refused.
  // kUnauthenticated when there is nothing (more) to offer.
  Result<> answer(const HttpResponse& refused, const std::string& used, const std::string& scope, HttpSession& session, const Patience& patience);

 private:
  Result<std::string> fetch_token(const Challenge& challenge, const std::string& scope, HttpSession& session, const Patience& patience) const;

  const Origin registry_;
  const RegistryAuth auth_;
  const TlsOptions tls_;
  mutable std::mutex mutex_;
  std::string header_;
};

}  // namespace berth::rootfs
