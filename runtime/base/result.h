// SPDX-License-Identifier: Apache-2.0
// Errors as values. Result<T> is std::expected<T, Error>; no function of berth throws.
//
// A message reads: operation, quoted operand, cause — `create "c1": mount "/proc": operation not permitted`.
// The code is chosen where the cause is known and is never derived from text.
#pragma once

#include <expected>
#include <string>
#include <string_view>
#include <utility>

namespace berth {

// One to one with gRPC's status codes (cri/status.h holds the total switch).
enum class Code : unsigned char {
  kCancelled,
  kUnknown,
  kInvalidArgument,
  kDeadlineExceeded,
  kNotFound,
  kAlreadyExists,
  kPermissionDenied,
  kResourceExhausted,
  kFailedPrecondition,
  kAborted,
  kOutOfRange,
  kUnimplemented,
  kInternal,
  kUnavailable,
  kDataLoss,
  kUnauthenticated,
};

// The name of a code as gRPC prints it, e.g. "NOT_FOUND".
std::string_view code_name(Code code);

// Why an operation did not happen. `sys_errno` is 0 where no system call was the cause.
class [[nodiscard]] Error {
 public:
  Error(Code code, std::string message) : code_(code), message_(std::move(message)) {}
  Error(Code code, int sys_errno, std::string message)
      : code_(code), sys_errno_(sys_errno), message_(std::move(message)) {}

  Code code() const { return code_; }
  int sys_errno() const { return sys_errno_; }
  const std::string& message() const { return message_; }

  // Prefixes the message with what was being attempted; code and errno stay.
  Error wrap(std::string_view operation) &&;

 private:
  Code code_;
  int sys_errno_ = 0;
  std::string message_;
};

template <typename T = void>
using Result = std::expected<T, Error>;

// `return fail(Code::kNotFound, "container \"x\" does not exist");`
inline std::unexpected<Error> fail(Code code, std::string message) {
  return std::unexpected<Error>(std::in_place, code, std::move(message));
}

// `return fail_errno("open \"/x\"");` — maps errno (or `error`) to a Code and appends its text.
std::unexpected<Error> fail_errno(std::string_view operation);
std::unexpected<Error> fail_errno(std::string_view operation, int error);

// The Code that an errno stands for: ENOENT → kNotFound, EACCES/EPERM → kPermissionDenied, ENOSPC/EMFILE/ENOMEM →
// kResourceExhausted…; kInternal where nothing better is known.
Code code_from_errno(int error);

// strerror without locale or static buffer, lower case as messages want it.
std::string errno_text(int error);

}  // namespace berth

#define BERTH_CONCAT_(a, b) a##b
#define BERTH_CONCAT(a, b) BERTH_CONCAT_(a, b)

// TRY(expr) and TRY(expr, context): returns the error from the enclosing function. `context` is evaluated on failure only.
#define TRY(expr, ...) TRY_(BERTH_CONCAT(try_result_, __COUNTER__), expr __VA_OPT__(, ) __VA_ARGS__)
#define TRY_(tmp, expr, ...)                                                         \
  do {                                                                               \
    if (auto tmp = (expr); !tmp) [[unlikely]] {                                      \
      return std::unexpected(std::move(tmp).error() __VA_OPT__(.wrap(__VA_ARGS__))); \
    }                                                                                \
  } while (false)

// TRY_ASSIGN(auto v, expr) and TRY_ASSIGN(auto v, expr, context): a statement, never an expression.
#define TRY_ASSIGN(decl, expr, ...) \
  TRY_ASSIGN_(BERTH_CONCAT(try_result_, __LINE__), decl, expr __VA_OPT__(, ) __VA_ARGS__)
#define TRY_ASSIGN_(tmp, decl, expr, ...)                                                        \
  auto tmp = (expr);                                                                             \
  if (!tmp) [[unlikely]]                                                                         \
    return std::unexpected(std::move(tmp).error() __VA_OPT__(.wrap(__VA_ARGS__)));               \
  decl = std::move(*tmp)
