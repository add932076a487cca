#pragma once

#include <chrono>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "sightline/base/result.h"
#include "sightline/runtime/clock.h"
#include "sightline/runtime/file_system.h"
#include "sightline/security/principal.h"
#include "sightline/security/secret.h"

namespace sightline::security {

// A token from the configuration: only its digest is there.
struct ConfiguredToken {
  SecretDigest digest;
  Principal principal;
};

struct AccessOptions {
  std::vector<ConfiguredToken> tokens;
  std::chrono::milliseconds code_lifetime = std::chrono::minutes(5);
  std::chrono::milliseconds session_lifetime = std::chrono::hours(12);
  std::size_t sessions_max = 10'000;
  // After this many failed sign-ins from one address within the period the address is refused until the period has passed.
  std::uint32_t failures_max = 10;
  std::chrono::milliseconds failure_period = std::chrono::minutes(1);
};

// Who is who: bearer tokens, one-time sign-in codes and browser sessions. Sessions and codes live in memory: a restart signs
// everybody out. Thread-safe; owns its state, borrows the clock.
class Access {
 public:
  // `admin_token` is the generated one of this data directory.
  Access(const runtime::Clock& clock, std::string_view admin_token, AccessOptions options);

  // kUnauthenticated when nobody has this token; kResourceExhausted after too many failures from `address`.
  Result<Principal> FromToken(std::string_view token, std::string_view address);
  // Nothing when the session is unknown or has expired.
  std::optional<Principal> FromSession(std::string_view session);

  // A code that signs in as admin, once, within the code's lifetime.
  Result<std::string> MakeCode();
  // Consumes the code. Errors as FromToken.
  Result<Principal> FromCode(std::string_view code, std::string_view address);

  // The new session's secret, for the cookie.
  Result<std::string> OpenSession(const Principal& principal);
  void CloseSession(std::string_view session);
  std::chrono::milliseconds session_lifetime() const { return options_.session_lifetime; }

 private:
  struct Session {
    Principal principal;
    std::int64_t expires_ns;
  };
  struct Failures {
    std::uint32_t count = 0;
    std::int64_t since_ns = 0;
  };
  Status Refused(std::string_view address);
  void NoteFailure(std::string_view address);
  void DropExpired(std::int64_t now_ns);

  const runtime::Clock& clock_;
  const AccessOptions options_;
  std::vector<ConfiguredToken> tokens_;
  std::mutex mutex_;
  std::unordered_map<std::string, Session> sessions_;          // by SecretDigest::ToString
  std::unordered_map<std::string, std::int64_t> codes_;        // by digest; expiry
  std::unordered_map<std::string, Failures> failures_;         // by address
};

// Reads `<directory>/admin.token`, or makes it with mode 0600. kPermissionDenied when others than the owner can read it.
Result<std::string> LoadOrMakeAdminToken(const std::string& directory);

// The value of `name` in a Cookie header, or "". The first one wins.
std::string_view FindCookie(std::string_view header, std::string_view name);
// Whether an Origin header names this server itself: scheme and host (with port) as the browser addressed it.
bool IsSameOrigin(std::string_view origin, std::string_view host, bool tls);

}  // namespace sightline::security
