// SPDX-License-Identifier: Apache-2.0
#include "rootfs/registry/http.h"

#include <algorithm>
#include <arpa/inet.h>
#include <cctype>
#include <cerrno>
#include <curl/curl.h>
#include <fcntl.h>
#include <mutex>
#include <netinet/in.h>
#include <optional>
#include <sys/socket.h>
#include <unistd.h>

#include "runtime/base/log.h"
#include "runtime/base/strings.h"

namespace berth::rootfs {
namespace {

constexpr int kPollMilliseconds = 50;
constexpr size_t kMaxHeaderBytes = 64u << 10;
constexpr long long kNanosPerSecond = 1'000'000'000;

std::string lower(std::string_view text) {
  std::string out(text);
  std::ranges::transform(out, out.begin(), [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  return out;
}

// CURL and CURLM are both void.
struct FreeEasy {
  void operator()(CURL* handle) const { curl_easy_cleanup(handle); }
};
struct FreeMulti {
  void operator()(CURLM* handle) const { curl_multi_cleanup(handle); }
};
struct FreeCurl {
  void operator()(curl_slist* list) const { curl_slist_free_all(list); }
  void operator()(CURLU* url) const { curl_url_cleanup(url); }
};

std::optional<std::string> url_part(CURLU* url, CURLUPart part, unsigned flags = 0) {
  char* text = nullptr;
  if (curl_url_get(url, part, &text, flags) != CURLUE_OK) return std::nullopt;
  std::string value(text);
  curl_free(text);
  return value;
}

bool is_loopback_address(const sockaddr* address) {
  if (address->sa_family == AF_INET) return (ntohl(reinterpret_cast<const sockaddr_in*>(address)->sin_addr.s_addr) >> 24) == 127;
  if (address->sa_family != AF_INET6) return false;
  const in6_addr& six = reinterpret_cast<const sockaddr_in6*>(address)->sin6_addr;
  return IN6_IS_ADDR_LOOPBACK(&six) || (IN6_IS_ADDR_V4MAPPED(&six) && six.s6_addr[12] == 127);
}

bool is_link_local_address(const sockaddr* address) {
  if (address->sa_family == AF_INET) return (ntohl(reinterpret_cast<const sockaddr_in*>(address)->sin_addr.s_addr) >> 16) == 0xa9fe;
  if (address->sa_family != AF_INET6) return false;
  const in6_addr& six = reinterpret_cast<const sockaddr_in6*>(address)->sin6_addr;
  return IN6_IS_ADDR_LINKLOCAL(&six) || (IN6_IS_ADDR_V4MAPPED(&six) && six.s6_addr[12] == 169 && six.s6_addr[13] == 254);
}

}  // namespace

std::string Origin::authority() const {
  return host.find(':') == std::string::npos ? concat(host, ":", port) : concat("[", host, "]:", port);
}

Result<Origin> origin_of(const std::string& text) {
  const std::unique_ptr<CURLU, FreeCurl> url(curl_url());
  const auto refuse = [&](std::string_view why) { return fail(Code::kInvalidArgument, concat("invalid URL ", quote(text.substr(0, 300)), ": ", why)); };
  if (curl_url_set(url.get(), CURLUPART_URL, text.c_str(), 0) != CURLUE_OK) return refuse("malformed");
  Origin origin;
  origin.scheme = lower(url_part(url.get(), CURLUPART_SCHEME).value_or(""));
  origin.host = lower(url_part(url.get(), CURLUPART_HOST).value_or(""));
  origin.port = url_part(url.get(), CURLUPART_PORT, CURLU_DEFAULT_PORT).value_or("");
  if (origin.host.starts_with('[')) origin.host = origin.host.substr(1, origin.host.size() - 2);
  if (origin.scheme != "http" && origin.scheme != "https") return refuse("neither http nor https");
  if (url_part(url.get(), CURLUPART_USER) || url_part(url.get(), CURLUPART_PASSWORD)) return refuse("it carries a user name");
  if (origin.host.empty()) return refuse("no host");
  return origin;
}

bool is_loopback_host(std::string_view host) {
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  if (host == "localhost" || host == "::1") return true;
  in_addr four{};
  return ::inet_pton(AF_INET, std::string(host).c_str(), &four) == 1 && (ntohl(four.s_addr) >> 24) == 127;
}

std::string percent_encode(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (std::isalnum(static_cast<unsigned char>(c)) != 0 || std::string_view("-_.~").find(c) != std::string_view::npos) {
      out += c;
    } else {
      const std::string digits = hex({&c, 1});
      out += concat("%", static_cast<char>(std::toupper(digits[0])), static_cast<char>(std::toupper(digits[1])));
    }
  }
  return out;
}

struct HttpSession::State {
  std::unique_ptr<CURL, FreeEasy> easy;
  std::unique_ptr<CURLM, FreeMulti> multi;

  // Of the request that runs.
  const HttpRequest* request = nullptr;
  HttpResponse response;
  size_t header_bytes = 0;
  long long last_progress = 0;
  std::optional<Error> failure;
  bool address_refused = false;

  void on_header(std::string_view line);
  bool on_body(std::string_view bytes);
  void configure(const HttpRequest& wanted, const Patience& patience, curl_slist* headers);
  Result<> drive(const Patience& patience);
  Error explain(CURLcode code) const;

  static size_t header_callback(char* data, size_t size, size_t count, void* self);
  static size_t body_callback(char* data, size_t size, size_t count, void* self);
  static curl_socket_t open_socket(void* self, curlsocktype purpose, curl_sockaddr* address);
};

size_t HttpSession::State::header_callback(char* data, size_t size, size_t count, void* self) {
  auto* state = static_cast<State*>(self);
  state->header_bytes += size * count;
  if (state->header_bytes > kMaxHeaderBytes) {
    state->failure = Error(Code::kResourceExhausted, "the headers of the response are too large");
    return 0;
  }
  state->on_header({data, size * count});
  return size * count;
}

void HttpSession::State::on_header(std::string_view line) {
  last_progress = monotonic_nanos();
  if (line.starts_with("HTTP/")) {  // another response follows a 100
    response.headers.clear();
    response.challenges.clear();
    return;
  }
  const size_t colon = line.find(':');
  if (colon == std::string_view::npos) return;
  const std::string name = lower(line.substr(0, colon));
  const std::string value(trim(line.substr(colon + 1)));
  if (name == "www-authenticate") response.challenges.push_back(value);
  response.headers[name] = value;
}

size_t HttpSession::State::body_callback(char* data, size_t size, size_t count, void* self) {
  return static_cast<State*>(self)->on_body({data, size * count}) ? size * count : 0;
}

bool HttpSession::State::on_body(std::string_view bytes) {
  last_progress = monotonic_nanos();
  long status = 0;
  curl_easy_getinfo(easy.get(), CURLINFO_RESPONSE_CODE, &status);
  if (request->sink && (status == 200 || status == 206)) {
    if (auto taken = request->sink(static_cast<int>(status), bytes); !taken) {
      failure = std::move(taken).error();
      return false;
    }
    return true;
  }
  if (response.body.size() + bytes.size() > request->body_limit) {
    if (status >= 300) return true;  // of an error page the beginning is enough
    failure = Error(Code::kResourceExhausted, concat("the response is larger than ", request->body_limit, " bytes"));
    return false;
  }
  response.body += bytes;
  return true;
}

// Asked with the resolved address before anything is sent: a name that points at this machine or at the cloud's metadata
// service gets no connection.
curl_socket_t HttpSession::State::open_socket(void* self, curlsocktype, curl_sockaddr* address) {
  auto* state = static_cast<State*>(self);
  if ((!state->request->allow_loopback && is_loopback_address(&address->addr)) ||
      (!state->request->allow_link_local && is_link_local_address(&address->addr))) {
    state->address_refused = true;
    return CURL_SOCKET_BAD;
  }
  return ::socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

void HttpSession::State::configure(const HttpRequest& wanted, const Patience& patience, curl_slist* headers) {
  CURL* curl = easy.get();
  curl_easy_reset(curl);
  curl_easy_setopt(curl, CURLOPT_URL, wanted.url.c_str());
  curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
  curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
  curl_easy_setopt(curl, CURLOPT_USERAGENT, "berth/1");
  curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, static_cast<long>(patience.connect.count()));
  curl_easy_setopt(curl, CURLOPT_BUFFERSIZE, 256L << 10);
  curl_easy_setopt(curl, CURLOPT_TCP_KEEPALIVE, 1L);
  curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, &State::header_callback);
  curl_easy_setopt(curl, CURLOPT_HEADERDATA, this);
  curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, &State::body_callback);
  curl_easy_setopt(curl, CURLOPT_WRITEDATA, this);
  curl_easy_setopt(curl, CURLOPT_OPENSOCKETFUNCTION, &State::open_socket);
  curl_easy_setopt(curl, CURLOPT_OPENSOCKETDATA, this);
  curl_easy_setopt(curl, CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
  if (!wanted.post_body.empty()) {
    curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE, static_cast<long>(wanted.post_body.size()));
    curl_easy_setopt(curl, CURLOPT_POSTFIELDS, wanted.post_body.c_str());
  }
  if (wanted.tls.skip_verify) {
    curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, 0L);
    curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, 0L);
  }
  if (!wanted.tls.ca_pem.empty()) {
    curl_blob blob{const_cast<char*>(wanted.tls.ca_pem.data()), wanted.tls.ca_pem.size(), CURL_BLOB_COPY};
    curl_easy_setopt(curl, CURLOPT_CAINFO_BLOB, &blob);
  }
  if (!wanted.tls.client_cert.empty()) curl_easy_setopt(curl, CURLOPT_SSLCERT, wanted.tls.client_cert.c_str());
  if (!wanted.tls.client_key.empty()) curl_easy_setopt(curl, CURLOPT_SSLKEY, wanted.tls.client_key.c_str());
}

Error HttpSession::State::explain(CURLcode code) const {
  auto origin = origin_of(request->url);
  const std::string where = origin ? origin->authority() : quote(request->url);
  if (address_refused) return Error(Code::kPermissionDenied, concat("connect to ", where, ": the address is local to this machine and the registry has no business with it"));
  long os_error = 0;
  curl_easy_getinfo(easy.get(), CURLINFO_OS_ERRNO, &os_error);
  const int error = static_cast<int>(os_error);
  switch (code) {
    case CURLE_COULDNT_CONNECT:
      return Error(Code::kUnavailable, error, concat("connect to ", where, ": ", error != 0 ? errno_text(error) : "no connection"));
    case CURLE_COULDNT_RESOLVE_HOST:
      return Error(Code::kUnavailable, concat("connect to ", where, ": the host name is unknown"));
    case CURLE_OPERATION_TIMEDOUT:
      return Error(Code::kUnavailable, ETIMEDOUT, concat("connect to ", where, ": timed out"));
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CERTPROBLEM:
      return Error(Code::kUnauthenticated, concat("connect to ", where, ": the certificate is not trusted: ", curl_easy_strerror(code)));
    case CURLE_SSL_CONNECT_ERROR:
      return Error(Code::kUnavailable, concat("connect to ", where, ": TLS handshake failed (does the registry speak plain HTTP?)"));
    default:
      return Error(Code::kUnavailable, ECONNRESET, concat("read from ", where, ": ", lower(curl_easy_strerror(code))));
  }
}

Result<> HttpSession::State::drive(const Patience& patience) {
  while (true) {
    int running = 0;
    curl_multi_perform(multi.get(), &running);
    int left = 0;
    if (const CURLMsg* message = curl_multi_info_read(multi.get(), &left); message != nullptr && message->msg == CURLMSG_DONE) {
      const CURLcode code = message->data.result;
      if (failure) return std::unexpected(std::move(*failure));
      if (code != CURLE_OK) return std::unexpected(explain(code));
      return {};
    }
    if (patience.stop) TRY(patience.stop());
    if (monotonic_nanos() - last_progress > patience.no_progress.count() * kNanosPerSecond) {
      const auto origin = origin_of(request->url);
      return std::unexpected(Error(Code::kUnavailable, ETIMEDOUT, concat("read from ", origin ? origin->authority() : "registry", ": no data for ", patience.no_progress.count(), " seconds")));
    }
    curl_multi_poll(multi.get(), nullptr, 0, kPollMilliseconds, nullptr);
  }
}

HttpSession::HttpSession() : state_(std::make_unique<State>()) {
  static std::once_flag once;
  std::call_once(once, [] { curl_global_init(CURL_GLOBAL_DEFAULT); });
  state_->easy.reset(curl_easy_init());
  state_->multi.reset(curl_multi_init());
}

HttpSession::~HttpSession() = default;

Result<HttpResponse> HttpSession::perform(const HttpRequest& request, const Patience& patience) {
  if (patience.stop) TRY(patience.stop());
  State& state = *state_;
  state.request = &request;
  state.response = {};
  state.header_bytes = 0;
  state.failure.reset();
  state.address_refused = false;
  state.last_progress = monotonic_nanos();
  std::unique_ptr<curl_slist, FreeCurl> headers;
  for (const auto& header : request.headers) headers.reset(curl_slist_append(headers.release(), header.c_str()));
  state.configure(request, patience, headers.get());
  curl_multi_add_handle(state.multi.get(), state.easy.get());
  auto driven = state.drive(patience);
  long status = 0;
  curl_easy_getinfo(state.easy.get(), CURLINFO_RESPONSE_CODE, &status);
  char* location = nullptr;
  curl_easy_getinfo(state.easy.get(), CURLINFO_REDIRECT_URL, &location);
  if (location != nullptr) state.response.location = location;
  state.response.status = static_cast<int>(status);
  curl_multi_remove_handle(state.multi.get(), state.easy.get());
  TRY(std::move(driven));
  return std::move(state.response);
}

}  // namespace berth::rootfs
