// SPDX-License-Identifier: Apache-2.0
#include "agent/shims/wire.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

#include "runtime/base/log.h"
#include "runtime/base/strings.h"
#include "runtime/sys/socket.h"

namespace berth::shims {
namespace {

namespace json = boost::json;

Code code_named(std::string_view name) {
  for (int i = 0; i <= static_cast<int>(Code::kUnauthenticated); ++i) {
    if (code_name(static_cast<Code>(i)) == name) return static_cast<Code>(i);
  }
  return Code::kUnknown;
}

std::unexpected<Error> error_from(const json::object& object) {
  auto message = text_of(object, "message");
  return std::unexpected<Error>(std::in_place, code_named(text_of(object, "code")),
                                static_cast<int>(int_of(object, "errno")),
                                message.empty() ? std::string("shim: error without a message") : std::move(message));
}

// connect(2) to a stopped shim blocks once its backlog is full, so the socket is made non-blocking first: EAGAIN is
// then retried until the deadline.
Result<Fd> connect_shim(const std::string& pod_dir, const Deadline& deadline) {
  const std::string path = concat(pod_dir, "/shim.sock");
  while (true) {
    auto connection = sys::connect_unix(path, SOCK_SEQPACKET | SOCK_NONBLOCK);
    if (connection) return connection;
    const int error = connection.error().sys_errno();
    if (error == EAGAIN && deadline.poll_timeout() != 0) {
      ::poll(nullptr, 0, 10);
      continue;
    }
    if (error == EAGAIN)
      return fail(Code::kDeadlineExceeded, concat("connect ", quote(path), ": shim does not answer"));
    if (error == ECONNREFUSED || error == ENOENT)
      return fail(Code::kUnavailable, concat("connect ", quote(path), ": no shim listens"));
    return connection;
  }
}

Result<> send_request(int connection, const json::object& request, std::span<const int> fds) {
  // Large process objects exceed the default buffer; the kernel caps this at net.core.wmem_max.
  const std::string text = json::serialize(request);
  if (text.size() > 100'000) {
    const int size = static_cast<int>(text.size() * 2 + 65536);
    if (::setsockopt(connection, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size) != 0) {
      ::setsockopt(connection, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
    }
  }
  return sys::send_message(connection, text, fds);
}

}  // namespace

Deadline::Deadline(std::chrono::milliseconds after) : at_(monotonic_nanos() + after.count() * 1'000'000LL) {}

int Deadline::poll_timeout() const {
  if (at_ < 0) return -1;
  const long long left = at_ - monotonic_nanos();
  return left <= 0 ? 0 : static_cast<int>(std::min((left + 999'999) / 1'000'000, 1'000'000'000LL));
}

std::chrono::milliseconds Deadline::left_or(std::chrono::milliseconds least) const {
  return std::max(least, std::chrono::milliseconds(std::max(0, poll_timeout())));
}

std::string text_of(const json::object& object, std::string_view name) {
  const auto* value = object.if_contains(name);
  return value != nullptr && value->is_string() ? std::string(std::string_view(value->get_string())) : std::string();
}

int64_t int_of(const json::object& object, std::string_view name) {
  const auto* value = object.if_contains(name);
  if (value == nullptr) return 0;
  if (value->is_int64()) return value->get_int64();
  return value->is_uint64() ? static_cast<int64_t>(value->get_uint64()) : 0;
}

Result<> wait_readable(int fd, const Deadline& deadline, int stop) {
  while (true) {
    pollfd entries[2] = {{fd, POLLIN, 0}, {stop, POLLIN, 0}};
    const int ready = ::poll(entries, 2, deadline.poll_timeout());
    if (ready < 0 && errno != EINTR) return fail_errno("poll shim");
    if (ready == 0) return fail(Code::kDeadlineExceeded, "shim did not answer in time");
    if (ready > 0 && entries[1].revents != 0) return fail(Code::kCancelled, "cancelled");
    if (ready > 0) return {};
  }
}

Result<json::object> parse_reply(std::string_view text) {
  if (text.empty()) return json::object();
  json::error_code error;
  auto value = json::parse(json::string_view(text.data(), text.size()), error);
  if (error || !value.is_object()) return fail(Code::kInternal, "shim: reply is no JSON object");
  if (const auto* problem = value.get_object().if_contains("error"); problem != nullptr && problem->is_object()) {
    return error_from(problem->get_object());
  }
  return std::move(value.get_object());
}

Result<Incoming> receive(int connection) {
  auto message = sys::receive_message(connection);
  if (!message) {
    if (message.error().sys_errno() == ECONNRESET) return fail(Code::kUnavailable, "shim closed the connection");
    return std::unexpected(std::move(message).error());
  }
  if (message->closed) return fail(Code::kUnavailable, "shim closed the connection");
  TRY_ASSIGN(auto object, parse_reply(message->data));
  return Incoming{std::move(object), std::move(message->fds)};
}

Result<Reply> call(const std::string& pod_dir, const json::object& request, std::span<const int> fds,
                   std::chrono::milliseconds after) {
  const Deadline deadline(after);
  const std::string op = text_of(request, "op");
  TRY_ASSIGN(auto connection, connect_shim(pod_dir, deadline), op);
  TRY(send_request(connection.get(), request, fds), op);
  TRY(wait_readable(connection.get(), deadline, -1), op);
  TRY_ASSIGN(auto incoming, receive(connection.get()));
  auto* ok = incoming.object.if_contains("ok");
  if (ok == nullptr || !ok->is_object()) return fail(Code::kInternal, concat(op, ": reply without \"ok\""));
  return Reply{std::move(ok->get_object()), std::move(incoming.fds), std::move(connection)};
}

Result<Fd> subscribe(const std::string& pod_dir, const json::object& request) {
  TRY_ASSIGN(auto connection, connect_shim(pod_dir, Deadline(std::chrono::milliseconds(3000))), text_of(request, "op"));
  TRY(send_request(connection.get(), request, {}), text_of(request, "op"));
  return connection;
}

Result<shim::ExitRecord> receive_exit(int connection, const Deadline& deadline, int stop) {
  TRY(wait_readable(connection, deadline, stop), "wait");
  TRY_ASSIGN(const auto incoming, receive(connection));
  const auto* exit = incoming.object.if_contains("exit");
  if (exit == nullptr) return fail(Code::kInternal, "wait: reply without \"exit\"");
  return shim::exit_record_from_json(json::serialize(*exit));
}

}  // namespace berth::shims
