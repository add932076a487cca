#pragma once

#include <cstdint>
#include <expected>
#include <string>
#include <string_view>
#include <utility>

namespace sightline {

// What went wrong, in terms of what the caller can do about it.
enum class ErrorKind : std::uint8_t {
  kInvalidArgument,    // the caller's input is wrong; retrying the same call is useless
  kNotFound,           // the named thing does not exist
  kAlreadyExists,      // the named thing exists and must not
  kFailedPrecondition, // the state of the system forbids it; change the state first
  kOutOfRange,         // an offset, position or limit lies outside what exists
  kPermissionDenied,   // the caller may not do this
  kUnauthenticated,    // the caller did not say who it is, or not credibly
  kResourceExhausted,  // a limit is reached; retry later is safe
  kUnavailable,        // temporarily impossible; retry is safe
  kDeadlineExceeded,   // took too long; whether it happened is unknown
  kCorruption,         // stored bytes are not what was written; never retried
  kIo,                 // the operating system refused; what was asked may be half done
  kCancelled,          // the caller or a shutdown ended it
  kInternal,           // an invariant of ours does not hold
};

// The field's name of the kind, as it stands in logs and JSON ("invalid_argument").
std::string_view ErrorKindName(ErrorKind kind);

// An error as a value: the kind, and a sentence that says what, where, and what to do.
struct Error {
  ErrorKind kind = ErrorKind::kInternal;
  std::string message;

  // Puts "context: " before the message, for callers that know more about the place.
  Error&& In(std::string_view context) &&;
  // "kind: message"
  std::string ToString() const;
};

template <typename T>
using Result = std::expected<T, Error>;
using Status = std::expected<void, Error>;

inline std::unexpected<Error> Fail(ErrorKind kind, std::string message) { return std::unexpected<Error>(Error{kind, std::move(message)}); }

// An error made from errno; ENOSPC and EDQUOT are kResourceExhausted, ENOENT kNotFound, EACCES kPermissionDenied.
std::unexpected<Error> FailErrno(std::string_view what, int error_number);

}  // namespace sightline

#define SL_CONCAT_INNER(a, b) a##b
#define SL_CONCAT(a, b) SL_CONCAT_INNER(a, b)

// Returns the error of a Status or Result expression from the enclosing function.
#define SL_TRY(expression)                                                      \
  do {                                                                          \
    if (auto sl_status = (expression); !sl_status) [[unlikely]] {               \
      return std::unexpected<::sightline::Error>(std::move(sl_status).error()); \
    }                                                                           \
  } while (false)

#define SL_ASSIGN_OR_RETURN_INNER(temporary, declaration, expression)         \
  auto temporary = (expression);                                              \
  if (!temporary) [[unlikely]] {                                              \
    return std::unexpected<::sightline::Error>(std::move(temporary).error()); \
  }                                                                           \
  declaration = std::move(*temporary)

// SL_ASSIGN_OR_RETURN(auto file, fs.Open(path));
#define SL_ASSIGN_OR_RETURN(declaration, expression) SL_ASSIGN_OR_RETURN_INNER(SL_CONCAT(sl_result_, __LINE__), declaration, expression)
