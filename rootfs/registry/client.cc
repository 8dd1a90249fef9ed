// SPDX-License-Identifier: Apache-2.0
#include "rootfs/registry/client.h"

#include <cerrno>
#include <thread>

#include "rootfs/oci/json_fields.h"
#include "runtime/base/log.h"
#include "runtime/base/strings.h"

namespace berth::rootfs {
namespace {

constexpr int kMaxRedirects = 5;
constexpr unsigned kMaxAttempts = 5;
constexpr unsigned kRefusedAttempts = 2;  // nobody listens: waiting longer rarely helps and the user waits too
constexpr long long kMaxRetryAfterSeconds = 30;

constexpr const char* kAcceptManifest =
    "Accept: application/vnd.oci.image.index.v1+json, application/vnd.docker.distribution.manifest.list.v2+json, "
    "application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json, */*;q=0.1";

bool is_redirect(int status) { return status == 301 || status == 302 || status == 303 || status == 307 || status == 308; }
bool is_transient(int status) { return status == 408 || status == 425 || status == 429 || status >= 500; }

// The first message of the API's error document, which registries fill with something useful.
std::string registry_message(const HttpResponse& response) {
  const auto document = parse_json(response.body);
  if (!document) return "";
  const auto* object = document->if_object();
  const auto* errors = object == nullptr ? nullptr : object->if_contains("errors");
  const auto* list = errors == nullptr ? nullptr : errors->if_array();
  if (list == nullptr || list->empty() || !list->front().is_object()) return "";
  const auto message = text_field(*list->front().if_object(), "message");
  return message && !message->empty() ? concat(": ", message->substr(0, 200)) : "";
}

std::unexpected<Error> status_error(const Origin& origin, const HttpResponse& response, std::string_view what) {
  const std::string detail = registry_message(response);
  switch (response.status) {
    case 401: return fail(Code::kUnauthenticated, concat(what, ": access refused by ", origin.authority(), detail));
    case 403: return fail(Code::kPermissionDenied, concat(what, ": access refused by ", origin.authority(), detail));
    case 404: return fail(Code::kNotFound, concat(what, ": not found in ", origin.authority(), detail));
    case 429: return fail(Code::kResourceExhausted, concat(what, ": ", origin.authority(), " limits the rate of requests", detail));
    default: return fail(response.status >= 500 ? Code::kUnavailable : Code::kUnknown, concat(what, ": ", origin.authority(), " answered ", response.status, detail));
  }
}

}  // namespace

Result<std::unique_ptr<RegistryClient>> RegistryClient::create(const std::string& config_dir, const Reference& reference, RegistryAuth auth, Patience patience) {
  TRY_ASSIGN(auto endpoints, registry_endpoints(config_dir, reference.domain));
  std::unique_ptr<RegistryClient> client(new RegistryClient(reference.path, std::move(patience)));
  const Endpoint& server = endpoints.back();
  TRY_ASSIGN(const Origin server_origin, origin_of(server.base));
  for (auto& endpoint : endpoints) {
    TRY_ASSIGN(Origin origin, origin_of(endpoint.base));
    // The credentials are the registry's: a mirror elsewhere does not get them.
    RegistryAuth own = origin == server_origin ? auth : RegistryAuth{};
    auto authorizer = std::make_unique<Authorizer>(origin, std::move(own), endpoint.tls);
    client->routes_.push_back({std::move(endpoint), std::move(origin), std::move(authorizer)});
  }
  return client;
}

// One request with its redirects. Authorization and the endpoint's own headers stop at the first other origin.
Result<HttpResponse> RegistryClient::follow(HttpSession& session, Route& route, const Fetch& fetch, const std::string& authorization) const {
  HttpRequest request;
  request.url = concat(route.endpoint.base, fetch.path);
  if (!route.endpoint.name_space.empty()) request.url += concat(fetch.path.find('?') == std::string::npos ? "?ns=" : "&ns=", percent_encode(route.endpoint.name_space));
  request.body_limit = fetch.body_limit;
  request.sink = fetch.sink;
  bool at_home = true;
  for (int hop = 0; hop <= kMaxRedirects; ++hop) {
    TRY_ASSIGN(const Origin origin, origin_of(request.url), "redirect");
    at_home = at_home && origin == route.origin;
    if (origin.scheme == "http" && route.origin.scheme == "https") {
      return fail(Code::kPermissionDenied, concat("the registry redirects from https to ", quote(request.url.substr(0, 200))));
    }
    request.tls = origin == route.origin ? route.endpoint.tls : TlsOptions{};
    request.allow_loopback = origin.host == route.origin.host || is_loopback_host(route.origin.host);
    request.allow_link_local = origin.host == route.origin.host;
    request.headers = fetch.headers;
    if (at_home) {
      request.headers.insert(request.headers.end(), route.endpoint.headers.begin(), route.endpoint.headers.end());
      if (!authorization.empty()) request.headers.push_back(authorization);
    }
    TRY_ASSIGN(HttpResponse response, session.perform(request, patience_));
    if (!is_redirect(response.status) || response.location.empty()) return response;
    request.url = response.location;
  }
  return fail(Code::kUnavailable, concat("the registry redirects more than ", kMaxRedirects, " times"));
}

Result<HttpResponse> RegistryClient::once(HttpSession& session, Route& route, const Fetch& fetch) const {
  const std::string scope = concat("repository:", repository_, ":pull");
  std::string used = route.authorizer->header();
  TRY_ASSIGN(HttpResponse response, follow(session, route, fetch, used));
  if (response.status != 401 || response.challenges.empty()) return response;
  TRY(route.authorizer->answer(response, used, scope, session, patience_), concat("authorise at ", route.origin.authority()));
  return follow(session, route, fetch, route.authorizer->header());
}

Result<> RegistryClient::pause(unsigned attempt, const HttpResponse* response) const {
  long long milliseconds = 200ll << attempt;
  if (response != nullptr) {
    const auto after = response->headers.find("retry-after");
    const auto seconds = after == response->headers.end() ? std::nullopt : parse_int64(after->second);
    if (seconds && *seconds >= 0) milliseconds = std::min<long long>(*seconds, kMaxRetryAfterSeconds) * 1000;
  }
  const long long end = monotonic_nanos() + milliseconds * 1'000'000;
  while (monotonic_nanos() < end) {
    if (patience_.stop) TRY(patience_.stop());
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  return {};
}

Result<HttpResponse> RegistryClient::with_retries(HttpSession& session, Route& route, const std::function<Fetch()>& make) const {
  for (unsigned attempt = 0;; ++attempt) {
    const bool last = attempt + 1 >= kMaxAttempts;
    auto response = once(session, route, make());
    if (response) {
      if (!is_transient(response->status) || last) return response;
      TRY(pause(attempt, &*response));
      continue;
    }
    const Error& error = response.error();
    const bool transient = error.code() == Code::kUnavailable && error.sys_errno() != 0;
    const bool refused = error.sys_errno() == ECONNREFUSED;
    if (!transient || last || (refused && attempt + 1 >= kRefusedAttempts)) return response;
    TRY(pause(attempt, nullptr));
  }
}

Result<> RegistryClient::on_routes(bool resolving, const std::function<Result<>(Route&)>& attempt) {
  Result<> result = fail(Code::kUnavailable, "no host of the registry may be asked: see hosts.toml");
  for (auto& route : routes_) {
    if (resolving ? !route.endpoint.can_resolve : !route.endpoint.can_pull) continue;
    result = attempt(route);
    if (result) return {};
    const Code code = result.error().code();
    // These end the pull wherever they happen: another host would meet the same.
    if (code == Code::kCancelled || code == Code::kDeadlineExceeded) return result;
    if (&route != &routes_.back()) {
      log_debug("registry host failed, trying the next", {{"host", route.origin.authority()}, {"error", result.error().message()}});
    }
  }
  return result;
}

Result<std::string> RegistryClient::manifest(HttpSession& session, const std::string& tag_or_digest) {
  std::string bytes;
  const bool by_digest = tag_or_digest.find(':') != std::string::npos;
  TRY(on_routes(!by_digest, [&](Route& route) -> Result<> {
    const auto make = [&] {
      Fetch fetch;
      fetch.path = concat("/", repository_, "/manifests/", tag_or_digest);
      fetch.headers = {kAcceptManifest};
      fetch.body_limit = kMaxManifestBytes;
      return fetch;
    };
    TRY_ASSIGN(HttpResponse response, with_retries(session, route, make));
    if (response.status != 200) return status_error(route.origin, response, "manifest");
    bytes = std::move(response.body);
    if (!by_digest) return {};
    TRY_ASSIGN(const Digest expected, Digest::parse(tag_or_digest));
    if (const Digest got = Digest::of(bytes); got != expected) {
      return fail(Code::kDataLoss, concat("manifest: expected ", expected.str(), ", got ", got.str()));
    }
    return {};
  }));
  return bytes;
}

Result<> RegistryClient::blob(HttpSession& session, const Store& store, const Descriptor& descriptor, const std::function<void(int64_t)>& progress) {
  return on_routes(false, [&](Route& route) -> Result<> {
    TRY_ASSIGN(Ingest ingest, store.ingest());
    int64_t resumed_at = 0;
    const auto make = [&] {
      Fetch fetch;
      fetch.path = concat("/", repository_, "/blobs/", descriptor.digest.str());
      fetch.body_limit = 1u << 16;
      resumed_at = ingest.size();
      if (resumed_at > 0) fetch.headers.push_back(concat("Range: bytes=", resumed_at, "-"));
      bool first = true;
      fetch.sink = [&, first](int status, std::string_view bytes) mutable -> Result<> {
        // A whole answer to a ranged question: start again.
        if (std::exchange(first, false) && status == 200 && resumed_at > 0) TRY(ingest.restart());
        if (ingest.size() + static_cast<int64_t>(bytes.size()) > descriptor.size) {
          return fail(Code::kDataLoss, concat("blob ", descriptor.digest.str(), ": expected ", descriptor.size, " bytes, got more"));
        }
        TRY(ingest.write(bytes));
        if (progress) progress(ingest.size());
        return {};
      };
      return fetch;
    };
    TRY_ASSIGN(const HttpResponse response, with_retries(session, route, make));
    const bool complete = response.status == 416 && ingest.size() == descriptor.size;
    if (response.status != 200 && response.status != 206 && !complete) return status_error(route.origin, response, concat("blob ", descriptor.digest.str()));
    if (response.status == 206) {
      const auto range = response.headers.find("content-range");
      if (range == response.headers.end() || !range->second.starts_with(concat("bytes ", resumed_at, "-"))) {
        return fail(Code::kDataLoss, concat("blob ", descriptor.digest.str(), ": the registry answered with another range than asked for"));
      }
    }
    return ingest.commit(descriptor.digest, descriptor.size);
  });
}

}  // namespace berth::rootfs
