// SPDX-License-Identifier: Apache-2.0
// The distribution API (OCI distribution-spec, Docker registry v2): manifests and blobs of one repository, through its
// mirrors, with authorisation, redirects, retries and resumption.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "rootfs/content/store.h"
#include "rootfs/oci/manifest.h"
#include "rootfs/oci/reference.h"
#include "rootfs/registry/auth.h"
#include "rootfs/registry/hosts.h"
#include "runtime/base/result.h"

namespace berth::rootfs {

// Thread-safe: each thread brings its own HttpSession.
class RegistryClient {
 public:
  static Result<std::unique_ptr<RegistryClient>> create(const std::string& config_dir, const Reference& reference, RegistryAuth auth, Patience patience);

  // The bytes of a manifest by tag or digest, at most kMaxManifestBytes. With a digest the bytes are verified (kDataLoss).
  Result<std::string> manifest(HttpSession& session, const std::string& tag_or_digest);
  // Downloads into the store; `progress` gets the bytes so far. kDataLoss when the bytes are not what was asked for.
  Result<> blob(HttpSession& session, const Store& store, const Descriptor& descriptor, const std::function<void(int64_t)>& progress);

 private:
  struct Route {
    Endpoint endpoint;
    Origin origin;
    std::unique_ptr<Authorizer> authorizer;
  };
  struct Fetch {
    std::string path;                  // below the endpoint: /<repository>/blobs/…
    std::vector<std::string> headers;
    size_t body_limit = 0;
    std::function<Result<>(int, std::string_view)> sink;
  };

  RegistryClient(std::string repository, Patience patience) : repository_(std::move(repository)), patience_(std::move(patience)) {}
  Result<HttpResponse> follow(HttpSession& session, Route& route, const Fetch& fetch, const std::string& authorization) const;
  Result<HttpResponse> once(HttpSession& session, Route& route, const Fetch& fetch) const;
  Result<HttpResponse> with_retries(HttpSession& session, Route& route, const std::function<Fetch()>& make) const;
  Result<> pause(unsigned attempt, const HttpResponse* response) const;
  // Tries the endpoints in turn; the error of the last one that is not "not found" wins.
  Result<> on_routes(bool resolving, const std::function<Result<>(Route&)>& attempt);

  std::string repository_;
  Patience patience_;
  std::vector<Route> routes_;
};

}  // namespace berth::rootfs
