// SPDX-License-Identifier: Apache-2.0
#include "agent/streaming/http.h"

#include <algorithm>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/rfc7230.hpp>

#include "agent/streaming/websocket_frames.h"
#include "runtime/base/strings.h"

namespace berth::streaming {
namespace {

namespace http = boost::beast::http;
using Head = http::request<http::empty_body>;

std::string_view view(boost::beast::string_view text) { return {text.data(), text.size()}; }

std::unexpected<HttpError> refuse(int status, std::string text) {
  return std::unexpected(HttpError{status, std::move(text)});
}

// All values of a header, which may be repeated and may hold several between commas.
std::vector<std::string> values_of(const Head& head, std::string_view name) {
  std::vector<std::string> values;
  const auto range = head.equal_range(boost::beast::string_view(name.data(), name.size()));
  for (auto field = range.first; field != range.second; ++field) {
    for (const std::string_view part : split(view(field->value()), ',')) {
      if (const std::string_view value = trim(part); !value.empty()) values.emplace_back(value);
    }
  }
  return values;
}

bool has_token(const Head& head, std::string_view name, std::string_view token) {
  return std::ranges::any_of(values_of(head, name), [&](const std::string& value) {
    return boost::beast::iequals(boost::beast::string_view(value.data(), value.size()), {token.data(), token.size()});
  });
}

std::expected<void, HttpError> read_target(std::string_view target, Request& request) {
  const size_t question = target.find('?');
  const std::vector<std::string_view> parts = split(target.substr(0, question), '/');
  if (parts.size() != 3 || !parts[0].empty() || parts[2].empty()) return refuse(404, "not found");
  request.token = parts[2];
  for (const Verb verb : {Verb::kExec, Verb::kAttach, Verb::kPortForward}) {
    if (parts[1] != verb_name(verb)) continue;
    request.verb = verb;
    if (question == std::string_view::npos) return {};
    for (const std::string_view pair : split(target.substr(question + 1), '&')) {
      if (!pair.starts_with("port=")) continue;
      for (const std::string_view port : split(pair.substr(5), ',')) request.ports.emplace_back(port);
    }
    return {};
  }
  return refuse(404, "not found");
}

std::expected<void, HttpError> read_upgrade(const Head& head, Request& request) {
  if (!has_token(head, "Connection", "Upgrade")) return refuse(400, "an upgrade to SPDY/3.1 or websocket is required");
  if (has_token(head, "Upgrade", "websocket")) {
    request.websocket = true;
    request.websocket_key = view(head["Sec-WebSocket-Key"]);
    request.stream_protocols = values_of(head, "Sec-WebSocket-Protocol");
    if (head.method() != http::verb::get) return refuse(405, "websocket upgrades are GET requests");
    if (request.websocket_key.empty() || view(head["Sec-WebSocket-Version"]) != "13")
      return refuse(400, "websocket version 13 and a key are required");
    return {};
  }
  if (!has_token(head, "Upgrade", "SPDY/3.1")) return refuse(400, "an upgrade to SPDY/3.1 or websocket is required");
  request.stream_protocols = values_of(head, "X-Stream-Protocol-Version");
  return {};
}

std::string_view reason_of(int status) {
  const auto text = http::obsolete_reason(http::int_to_status(static_cast<unsigned>(status)));
  return view(text);
}

}  // namespace

std::expected<Request, HttpError> parse_request(std::string_view bytes) {
  http::request_parser<http::empty_body> parser;
  parser.header_limit(kMaxHeadBytes);
  // The head is complete, so Beast needs no more than one call; it must not wait for a body that we refuse anyway.
  parser.skip(true);
  boost::beast::error_code error;
  const size_t used = parser.put(boost::asio::buffer(bytes.data(), bytes.size()), error);
  if (error || !parser.is_header_done()) return refuse(400, "malformed request");
  const Head& head = parser.get();
  if (head.version() != 11) return refuse(505, "HTTP/1.1 is required");
  if (head.method() != http::verb::get && head.method() != http::verb::post) return refuse(405, "only GET and POST");
  if (head.count(http::field::transfer_encoding) != 0) return refuse(400, "a body is not expected");
  const auto length = head.equal_range(http::field::content_length);
  for (auto field = length.first; field != length.second; ++field) {
    if (view(field->value()) != "0") return refuse(400, "a body is not expected");
  }
  Request request;
  if (auto result = read_target(view(head.target()), request); !result)
    return std::unexpected(std::move(result).error());
  if (auto result = read_upgrade(head, request); !result) return std::unexpected(std::move(result).error());
  request.rest = bytes.substr(used);
  return request;
}

std::optional<std::string> negotiate(const std::vector<std::string>& offered,
                                     const std::vector<std::string_view>& supported) {
  for (const std::string& protocol : offered) {
    if (std::ranges::find(supported, protocol) != supported.end()) return protocol;
  }
  return std::nullopt;
}

std::string error_response(const HttpError& error, const std::vector<std::string_view>& supported) {
  std::string text = concat("HTTP/1.1 ", error.status, ' ', reason_of(error.status), "\r\n");
  for (const std::string_view protocol : supported)
    text += concat("X-Accepted-Stream-Protocol-Versions: ", protocol, "\r\n");
  if (error.status == 503) text += "Retry-After: 1\r\n";
  return text + concat("Content-Type: text/plain; charset=utf-8\r\nContent-Length: ", error.text.size() + 1,
                       "\r\nConnection: close\r\n\r\n", error.text, '\n');
}

std::string spdy_response(std::string_view protocol) {
  return concat(
      "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\nX-Stream-Protocol-Version: ",
      protocol, "\r\n\r\n");
}

std::string websocket_response(std::string_view key, std::string_view protocol) {
  std::string text =
      concat("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: ",
             websocket_accept(key), "\r\n");
  if (!protocol.empty()) text += concat("Sec-WebSocket-Protocol: ", protocol, "\r\n");
  return text + "\r\n";
}

}  // namespace berth::streaming
