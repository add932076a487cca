#include "sightline/base/result.h"

#include <cerrno>
#include <cstring>

namespace sightline {

std::string_view ErrorKindName(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::kInvalidArgument: return "invalid_argument";
    case ErrorKind::kNotFound: return "not_found";
    case ErrorKind::kAlreadyExists: return "already_exists";
    case ErrorKind::kFailedPrecondition: return "failed_precondition";
    case ErrorKind::kOutOfRange: return "out_of_range";
    case ErrorKind::kPermissionDenied: return "permission_denied";
    case ErrorKind::kUnauthenticated: return "unauthenticated";
    case ErrorKind::kResourceExhausted: return "resource_exhausted";
    case ErrorKind::kUnavailable: return "unavailable";
    case ErrorKind::kDeadlineExceeded: return "deadline_exceeded";
    case ErrorKind::kCorruption: return "corruption";
    case ErrorKind::kIo: return "io";
    case ErrorKind::kCancelled: return "cancelled";
    case ErrorKind::kInternal: return "internal";
  }
  return "unknown";
}

Error&& Error::In(std::string_view context) && {
  message = std::string(context) + ": " + message;
  return std::move(*this);
}

std::string Error::ToString() const { return std::string(ErrorKindName(kind)) + ": " + message; }

std::unexpected<Error> FailErrno(std::string_view what, int error_number) {
  ErrorKind kind = ErrorKind::kIo;
  switch (error_number) {
    case ENOENT: kind = ErrorKind::kNotFound; break;
    case EEXIST: kind = ErrorKind::kAlreadyExists; break;
    case EACCES:
    case EPERM:
    case EROFS: kind = ErrorKind::kPermissionDenied; break;
    case ENOSPC:
    case EDQUOT:
    case EMFILE:
    case ENFILE:
    case ENOMEM: kind = ErrorKind::kResourceExhausted; break;
    default: break;
  }
  return Fail(kind, std::string(what) + ": " + std::strerror(error_number));
}

}  // namespace sightline
