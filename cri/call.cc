// SPDX-License-Identifier: Apache-2.0
#include "cri/call.h"

#include <exception>

#include "runtime/base/log.h"
#include "runtime/base/strings.h"

namespace berth::cri {
namespace {

std::string next_request_id() {
  static const std::string prefix = random_hex(2);
  static std::atomic<uint64_t> counter = 0;
  return concat(prefix, '-', counter.fetch_add(1, std::memory_order_relaxed) + 1);
}

LogLevel level_of(const Method& method, const Result<>& result) {
  if (result) return method.level;
  switch (result.error().code()) {
    case Code::kNotFound:
    case Code::kCancelled:
    case Code::kUnimplemented:
      return LogLevel::kDebug;
    default:
      return LogLevel::kWarn;
  }
}

void log_call(const Method& method, const LiveCall& call, const CallSubject& subject, const Result<>& result) {
  const long long ms = (monotonic_nanos() - call.started_nanos()) / 1'000'000;
  const LogLevel level = level_of(method, result);
  if (result) {
    log_line(level, "rpc",
             {{"method", method.name},
              {"ms", ms},
              {"request", call.request_id()},
              {"pod", subject.pod},
              {"container", subject.container},
              {"image", subject.image},
              {"name", subject.name}});
    return;
  }
  log_line(level, "rpc",
           {{"method", method.name},
            {"code", code_name(result.error().code())},
            {"ms", ms},
            {"request", call.request_id()},
            {"pod", subject.pod},
            {"container", subject.container},
            {"image", subject.image},
            {"name", subject.name},
            {"error", result.error().message()}});
}

}  // namespace

LiveCall::LiveCall(std::optional<std::chrono::system_clock::time_point> deadline)
    : deadline_(deadline), request_id_(next_request_id()), started_(monotonic_nanos()) {}

std::optional<std::chrono::milliseconds> LiveCall::time_left() const {
  if (!deadline_) return std::nullopt;
  const auto left =
      std::chrono::duration_cast<std::chrono::milliseconds>(*deadline_ - std::chrono::system_clock::now());
  return std::max(left, std::chrono::milliseconds(0));
}

Result<> run_call(const Method& method, const LiveCall& call, CallSubject& subject,
                  const std::function<Result<>()>& handler) {
  Result<> result;
  try {
    result = handler();
  } catch (const std::exception& e) {
    result = fail(Code::kInternal, concat(method.name, ": ", e.what()));
  } catch (...) {
    result = fail(Code::kInternal, concat(method.name, ": unknown exception"));
  }
  log_call(method, call, subject, result);
  return result;
}

}  // namespace berth::cri
