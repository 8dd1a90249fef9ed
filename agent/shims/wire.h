// SPDX-License-Identifier: Apache-2.0
// One request and its answers on a connection to a shim. Only for agent/shims.
#pragma once

#include <boost/json.hpp>
#include <chrono>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/base/fd.h"
#include "runtime/base/result.h"
#include "runtime/shim/protocol.h"

namespace berth::shims {

// A point on the monotonic clock, or never.
class Deadline {
 public:
  Deadline() = default;
  explicit Deadline(std::chrono::milliseconds after);
  // For poll(2): -1 for ever, 0 when passed, rounded up.
  int poll_timeout() const;
  std::chrono::milliseconds left_or(std::chrono::milliseconds least) const;

 private:
  long long at_ = -1;  // monotonic nanoseconds
};

struct Reply {
  boost::json::object ok;
  std::vector<Fd> fds;
  Fd connection;  // for what the shim says later
};

struct Incoming {
  boost::json::object object;
  std::vector<Fd> fds;
};

std::string text_of(const boost::json::object& object, std::string_view name);
int64_t int_of(const boost::json::object& object, std::string_view name);

// kDeadlineExceeded at the deadline, kCancelled when `stop` (or -1) becomes readable.
Result<> wait_readable(int fd, const Deadline& deadline, int stop);
// {"ok":…} → the object; {"error":…} → that error; anything else kInternal. An empty text is success (nothing said).
Result<boost::json::object> parse_reply(std::string_view text);
// One message; kUnavailable when the shim has closed. An {"error":…} is returned as that error.
Result<Incoming> receive(int connection);
// Connects, sends, waits for the answer.
Result<Reply> call(const std::string& pod_dir, const boost::json::object& request, std::span<const int> fds,
                   std::chrono::milliseconds deadline);
// Connects and sends; the answer comes when it comes.
Result<Fd> subscribe(const std::string& pod_dir, const boost::json::object& request);
Result<shim::ExitRecord> receive_exit(int connection, const Deadline& deadline, int stop);

}  // namespace berth::shims
