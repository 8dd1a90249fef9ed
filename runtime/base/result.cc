// SPDX-License-Identifier: Apache-2.0
#include "runtime/base/result.h"

#include <cerrno>
#include <cstring>

namespace berth {

std::string_view code_name(Code code) {
  switch (code) {
    case Code::kCancelled: return "CANCELLED";
    case Code::kUnknown: return "UNKNOWN";
    case Code::kInvalidArgument: return "INVALID_ARGUMENT";
    case Code::kDeadlineExceeded: return "DEADLINE_EXCEEDED";
    case Code::kNotFound: return "NOT_FOUND";
    case Code::kAlreadyExists: return "ALREADY_EXISTS";
    case Code::kPermissionDenied: return "PERMISSION_DENIED";
    case Code::kResourceExhausted: return "RESOURCE_EXHAUSTED";
    case Code::kFailedPrecondition: return "FAILED_PRECONDITION";
    case Code::kAborted: return "ABORTED";
    case Code::kOutOfRange: return "OUT_OF_RANGE";
    case Code::kUnimplemented: return "UNIMPLEMENTED";
    case Code::kInternal: return "INTERNAL";
    case Code::kUnavailable: return "UNAVAILABLE";
    case Code::kDataLoss: return "DATA_LOSS";
    case Code::kUnauthenticated: return "UNAUTHENTICATED";
  }
  return "UNKNOWN";
}

Error Error::wrap(std::string_view operation) && {
  std::string text(operation);
  text += ": ";
  text += message_;
  return Error(code_, sys_errno_, std::move(text));
}

std::unexpected<Error> fail_errno(std::string_view operation) { return fail_errno(operation, errno); }

std::unexpected<Error> fail_errno(std::string_view operation, int error) {
  std::string text(operation);
  text += ": ";
  text += errno_text(error);
  return std::unexpected<Error>(std::in_place, code_from_errno(error), error, std::move(text));
}

Code code_from_errno(int error) {
  switch (error) {
    case ENOENT:
    case ESRCH:
    case ENODEV:
    case ENXIO: return Code::kNotFound;
    case EEXIST: return Code::kAlreadyExists;
    case EACCES:
    case EPERM:
    case EROFS: return Code::kPermissionDenied;
    case EINVAL:
    case ENAMETOOLONG:
    case ENOTDIR:
    case EISDIR:
    case ELOOP:
    case E2BIG: return Code::kInvalidArgument;
    case ENOSPC:
    case EDQUOT:
    case EMFILE:
    case ENFILE:
    case ENOMEM:
    case EAGAIN: return Code::kResourceExhausted;
    case EBUSY:
    case ENOTEMPTY: return Code::kFailedPrecondition;
    case ETIMEDOUT: return Code::kDeadlineExceeded;
    case ECONNREFUSED:
    case ECONNRESET:
    case EPIPE:
    case ENETUNREACH:
    case EHOSTUNREACH: return Code::kUnavailable;
    case ENOSYS:
    case EOPNOTSUPP: return Code::kUnimplemented;
    default: return Code::kInternal;
  }
}

std::string errno_text(int error) {
  const char* text = ::strerrordesc_np(error);
  if (text == nullptr) return "errno " + std::to_string(error);
  std::string lower(text);
  // "Operation not permitted" → "operation not permitted"; acronyms ("I/O error", "RFS…") stay.
  if (lower.size() > 1 && lower[1] >= 'a' && lower[1] <= 'z') lower[0] = static_cast<char>(lower[0] | 0x20);
  return lower;
}

}  // namespace berth
