// SPDX-License-Identifier: Apache-2.0
// One HTTP session over libcurl: TLS verified unless the registry's hosts.toml says otherwise, no redirects followed by
// itself (the caller judges each hop), no progress for a minute is a failure, cancellation within 100 ms.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/base/result.h"

namespace berth::rootfs {

// scheme, host in lower case, port with the scheme's default filled in: what credentials are bound to.
struct Origin {
  std::string scheme;
  std::string host;
  std::string port;
  std::string authority() const;  // host:port, IPv6 in brackets
  bool operator==(const Origin&) const = default;
};
// kInvalidArgument for what is no http or https URL, or carries a user or password.
Result<Origin> origin_of(const std::string& url);
// localhost, 127.0.0.0/8, ::1 — by name, nothing is resolved.
bool is_loopback_host(std::string_view host);

struct TlsOptions {
  bool skip_verify = false;
  std::string ca_pem;       // added to the system's authorities
  std::string client_cert;  // paths
  std::string client_key;
};

struct HttpRequest {
  std::string url;
  std::vector<std::string> headers;  // "Name: value"
  std::string post_body;             // not empty: POST, form encoded
  TlsOptions tls;
  bool allow_loopback = false;       // a hop that the user did not name must not reach this machine or its link
  bool allow_link_local = false;
  size_t body_limit = 1u << 20;      // of a body that is kept
  // Bodies of 200 and 206 go here instead of into the response; called with the status first known.
  std::function<Result<>(int status, std::string_view bytes)> sink;
};

struct HttpResponse {
  int status = 0;
  std::map<std::string, std::string> headers;  // names in lower case, the last value of each
  std::vector<std::string> challenges;         // every WWW-Authenticate
  std::string body;
  std::string location;                        // absolute URL of a redirect
};

// When to give up. `stop` is asked at least every 100 ms.
struct Patience {
  std::function<Result<>()> stop;
  std::chrono::seconds no_progress{60};
  std::chrono::seconds connect{15};
};

// Connections are kept for the next request. Not thread-safe: one per thread.
class HttpSession {
 public:
  HttpSession();
  ~HttpSession();
  HttpSession(const HttpSession&) = delete;
  HttpSession& operator=(const HttpSession&) = delete;

  // Any status is a response. Errors: kUnavailable (sys_errno ECONNREFUSED when refused), kUnauthenticated for a bad
  // certificate, kDeadlineExceeded, kCancelled, and whatever sink or stop returned.
  Result<HttpResponse> perform(const HttpRequest& request, const Patience& patience);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

std::string percent_encode(std::string_view text);

}  // namespace berth::rootfs
