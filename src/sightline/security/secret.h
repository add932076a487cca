#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "sightline/base/result.h"

namespace sightline::security {

// SHA-256 of a secret. Only digests are kept and compared, so that neither memory nor the time of a comparison gives a
// secret away; the secrets are 256-bit random, so a slow password hash is not needed.
struct SecretDigest {
  std::array<std::uint8_t, 32> bytes{};
  static SecretDigest Of(std::string_view secret);
  // "sha256:" and 64 hexadecimal digits, the form in configuration files.
  static Result<SecretDigest> Parse(std::string_view text);
  std::string ToString() const;
};

// In constant time.
bool SameSecret(const SecretDigest& a, const SecretDigest& b);

// 256 random bits of the operating system as 43 characters of base64url.
Result<std::string> MakeSecret();

std::string Base64Url(std::string_view bytes);
// kInvalidArgument when it is not base64url without padding.
Result<std::string> ParseBase64Url(std::string_view text);

}  // namespace sightline::security
