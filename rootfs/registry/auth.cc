// SPDX-License-Identifier: Apache-2.0
#include "rootfs/registry/auth.h"

#include <algorithm>
#include <openssl/evp.h>

#include "rootfs/oci/json_fields.h"
#include "runtime/base/strings.h"

namespace berth::rootfs {
namespace {

constexpr size_t kMaxToken = 64u << 10;

std::string base64(std::string_view text) {
  std::string out(4 * ((text.size() + 2) / 3) + 1, '\0');
  const int size = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(out.data()), reinterpret_cast<const unsigned char*>(text.data()), static_cast<int>(text.size()));
  out.resize(static_cast<size_t>(size));
  return out;
}

std::string basic_header(const RegistryAuth& auth) { return concat("Authorization: Basic ", base64(concat(auth.username, ":", auth.password))); }

bool is_address(std::string_view host) { return host.find(':') != std::string_view::npos || host.find_first_not_of("0123456789.") == std::string_view::npos; }

// The part of a host name that one owner registers, roughly: two labels, three below short second-level ones (co.uk).
std::string registrable(const std::string& host) {
  if (is_address(host)) return host;
  const auto labels = split(host, '.');
  if (labels.size() <= 2) return host;
  const auto top = labels[labels.size() - 1];
  const auto second = labels[labels.size() - 2];
  const size_t count = top.size() == 2 && second.size() <= 3 ? 3 : 2;
  std::string name;
  for (size_t i = labels.size() - std::min(count, labels.size()); i < labels.size(); ++i) name += concat(name.empty() ? "" : ".", labels[i]);
  return name;
}

bool has_control(std::string_view text) {
  return std::ranges::any_of(text, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
}

}  // namespace

Challenge parse_challenge(std::string_view value) {
  Challenge challenge;
  value = trim(value);
  const size_t space = value.find(' ');
  challenge.scheme = value.substr(0, space);
  std::ranges::transform(challenge.scheme, challenge.scheme.begin(), [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  value = space == std::string_view::npos ? std::string_view() : value.substr(space + 1);
  while (!(value = trim(value)).empty()) {
    const size_t equals = value.find('=');
    if (equals == std::string_view::npos) break;
    const std::string key(trim(value.substr(0, equals)));
    value.remove_prefix(equals + 1);
    std::string text;
    if (value.starts_with('"')) {
      size_t at = 1;
      while (at < value.size() && value[at] != '"') {
        if (value[at] == '\\' && at + 1 < value.size()) ++at;
        text += value[at++];
      }
      value.remove_prefix(std::min(value.size(), at + 1));
    } else {
      text = trim(value.substr(0, value.find(',')));
    }
    challenge.parameters[key] = text;
    const size_t comma = value.find(',');
    if (comma == std::string_view::npos) break;
    value.remove_prefix(comma + 1);
  }
  return challenge;
}

bool realm_may_have_credentials(const Origin& registry, const Origin& realm) {
  if (realm.scheme == "http") return registry.scheme == "http" && realm.host == registry.host;
  return realm.host == registry.host || registrable(realm.host) == registrable(registry.host);
}

std::string Authorizer::header() const {
  const std::lock_guard lock(mutex_);
  if (header_.empty() && !auth_.registry_token.empty()) return concat("Authorization: Bearer ", auth_.registry_token);
  return header_;
}

Result<std::string> Authorizer::fetch_token(const Challenge& challenge, const std::string& scope, HttpSession& session, const Patience& patience) const {
  const auto parameter = [&](const char* name) {
    const auto found = challenge.parameters.find(name);
    return found == challenge.parameters.end() ? std::string() : found->second;
  };
  TRY_ASSIGN(const Origin realm, origin_of(parameter("realm")), "token service");
  if (realm.scheme != "https" && !(registry_.scheme == "http" && realm.host == registry_.host)) {
    return fail(Code::kPermissionDenied, concat("the registry names the token service ", quote(parameter("realm")), ", which is not https"));
  }
  const bool trusted = realm_may_have_credentials(registry_, realm);
  HttpRequest request;
  request.url = parameter("realm");
  request.tls = realm == registry_ ? tls_ : TlsOptions{};
  request.allow_loopback = is_loopback_host(registry_.host);
  const std::string query = concat("service=", percent_encode(parameter("service")), "&scope=", percent_encode(scope));
  if (trusted && !auth_.identity_token.empty()) {
    request.post_body = concat("grant_type=refresh_token&client_id=berth&", query, "&refresh_token=", percent_encode(auth_.identity_token));
  } else {
    request.url += concat(request.url.find('?') == std::string::npos ? "?" : "&", query);
    if (trusted && !auth_.username.empty()) request.headers.push_back(basic_header(auth_));
  }
  TRY_ASSIGN(const HttpResponse response, session.perform(request, patience), "token service");
  if (response.status == 401 || response.status == 403) {
    return fail(Code::kUnauthenticated, auth_.empty() ? "the token service wants credentials" : trusted ? "the token service refuses the credentials" : concat("the token service ", quote(realm.host), " does not belong to the registry, so the credentials were not sent there"));
  }
  if (response.status != 200) return fail(Code::kUnavailable, concat("the token service answered ", response.status));
  TRY_ASSIGN(const auto document, parse_json(response.body), "token service");
  const auto* object = document.if_object();
  if (object == nullptr) return fail(Code::kUnavailable, "the token service answered without a token");
  TRY_ASSIGN(std::string token, text_field(*object, "token"), "token service");
  if (token.empty()) {
    TRY_ASSIGN(token, text_field(*object, "access_token"), "token service");
  }
  if (token.empty() || token.size() > kMaxToken || has_control(token)) return fail(Code::kUnavailable, "the token service answered without a valid token");
  return token;
}

Result<> Authorizer::answer(const HttpResponse& refused, const std::string& used, const std::string& scope, HttpSession& session, const Patience& patience) {
  {
    const std::lock_guard lock(mutex_);
    if (header_ != used && !header_.empty()) return {};  // another download renewed it meanwhile
  }
  for (const auto& value : refused.challenges) {
    const Challenge challenge = parse_challenge(value);
    if (challenge.scheme == "bearer" && challenge.parameters.contains("realm")) {
      TRY_ASSIGN(const std::string token, fetch_token(challenge, scope, session, patience));
      const std::lock_guard lock(mutex_);
      header_ = concat("Authorization: Bearer ", token);
      return {};
    }
    if (challenge.scheme == "basic" && !auth_.username.empty()) {
      const std::lock_guard lock(mutex_);
      std::string header = basic_header(auth_);
      if (header == used) return fail(Code::kUnauthenticated, "the registry refuses the user name or password");
      header_ = std::move(header);
      return {};
    }
  }
  return fail(Code::kUnauthenticated, auth_.empty() ? "the registry wants credentials" : "the registry refuses the credentials");
}

}  // namespace berth::rootfs
