#include "sightline/security/secret.h"

#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <openssl/sha.h>

namespace sightline::security {
namespace {
constexpr std::string_view kPrefix = "sha256:";
constexpr std::string_view kAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}
}  // namespace

SecretDigest SecretDigest::Of(std::string_view secret) {
  SecretDigest digest;
  SHA256(reinterpret_cast<const unsigned char*>(secret.data()), secret.size(), digest.bytes.data());
  return digest;
}

Result<SecretDigest> SecretDigest::Parse(std::string_view text) {
  const auto wrong = [] {
    return Fail(ErrorKind::kInvalidArgument,
                "a hashed token is written sha256: and 64 hexadecimal digits; "
                "make one with: printf %s TOKEN | sha256sum");
  };
  if (!text.starts_with(kPrefix) || text.size() != kPrefix.size() + 64) return wrong();
  text.remove_prefix(kPrefix.size());
  SecretDigest digest;
  for (std::size_t i = 0; i < digest.bytes.size(); ++i) {
    const int high = HexDigit(text[2 * i]);
    const int low = HexDigit(text[2 * i + 1]);
    if (high < 0 || low < 0) return wrong();
    digest.bytes[i] = static_cast<std::uint8_t>(high * 16 + low);
  }
  return digest;
}

std::string SecretDigest::ToString() const {
  static constexpr std::string_view kHex = "0123456789abcdef";
  std::string text(kPrefix);
  for (const std::uint8_t byte : bytes) {
    text += kHex[byte >> 4];
    text += kHex[byte & 15];
  }
  return text;
}

bool SameSecret(const SecretDigest& a, const SecretDigest& b) { return CRYPTO_memcmp(a.bytes.data(), b.bytes.data(), a.bytes.size()) == 0; }

Result<std::string> MakeSecret() {
  std::array<unsigned char, 32> raw{};
  if (RAND_bytes(raw.data(), static_cast<int>(raw.size())) != 1) {
    return Fail(ErrorKind::kInternal, "the operating system gives no random bytes; no secret can be made");
  }
  return Base64Url(std::string_view(reinterpret_cast<const char*>(raw.data()), raw.size()));
}

std::string Base64Url(std::string_view bytes) {
  std::string text;
  text.reserve((bytes.size() * 4 + 2) / 3);
  std::uint32_t bits = 0;
  int have = 0;
  for (const char c : bytes) {
    bits = bits << 8 | static_cast<std::uint8_t>(c);
    for (have += 8; have >= 6; have -= 6) text += kAlphabet[bits >> (have - 6) & 63];
  }
  if (have > 0) text += kAlphabet[bits << (6 - have) & 63];
  return text;
}

Result<std::string> ParseBase64Url(std::string_view text) {
  std::string bytes;
  std::uint32_t bits = 0;
  int have = 0;
  for (const char c : text) {
    const auto digit = kAlphabet.find(c);
    if (digit == std::string_view::npos) return Fail(ErrorKind::kInvalidArgument, "not base64url");
    bits = bits << 6 | static_cast<std::uint32_t>(digit);
    have += 6;
    if (have >= 8) {
      have -= 8;
      bytes += static_cast<char>(bits >> have & 255);
    }
  }
  // Left-over bits must be zero and fewer than a digit, or two texts would mean the same bytes.
  if (have >= 6 || (bits & ((1U << have) - 1)) != 0) return Fail(ErrorKind::kInvalidArgument, "not base64url");
  return bytes;
}

}  // namespace sightline::security
