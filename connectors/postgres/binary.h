#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

// Postgres's binary forms: big-endian, a value in front of its length.
namespace sightline::postgres {

constexpr std::uint32_t kBoolOid = 16, kInt8Oid = 20, kInt4Oid = 23, kTextOid = 25, kFloat8Oid = 701;
constexpr std::uint32_t kBoolArrayOid = 1000, kTextArrayOid = 1009, kInt8ArrayOid = 1016, kFloat8ArrayOid = 1022;

template <typename T>
T SwappedBytes(T value) {
  if constexpr (sizeof(T) == 8) return static_cast<T>(__builtin_bswap64(static_cast<std::uint64_t>(value)));
  if constexpr (sizeof(T) == 4) return static_cast<T>(__builtin_bswap32(static_cast<std::uint32_t>(value)));
  if constexpr (sizeof(T) == 2) return static_cast<T>(__builtin_bswap16(static_cast<std::uint16_t>(value)));
  return value;
}
template <typename T>
T LoadBe(const char* from) {
  T value;
  std::memcpy(&value, from, sizeof(T));
  return SwappedBytes(value);
}
template <typename T>
void PutBe(std::string& out, T value) {
  value = SwappedBytes(value);
  char raw[sizeof(T)];
  std::memcpy(raw, &value, sizeof(T));
  out.append(raw, sizeof(T));
}

// A value of COPY or of an array: its length, then itself. Length -1 is null.
template <typename T>
void PutSized(std::string& out, T value) {
  char raw[4 + sizeof(T)];
  const std::int32_t size = SwappedBytes(static_cast<std::int32_t>(sizeof(T)));
  value = SwappedBytes(value);
  std::memcpy(raw, &size, 4);
  std::memcpy(raw + 4, &value, sizeof(T));
  out.append(raw, sizeof raw);
}
inline void PutSized(std::string& out, double value) { PutSized(out, std::bit_cast<std::int64_t>(value)); }
inline void PutSized(std::string& out, std::string_view text) {
  PutBe(out, static_cast<std::int32_t>(text.size()));
  out.append(text);
}
inline void PutNull(std::string& out) { PutBe(out, std::int32_t{-1}); }

}  // namespace sightline::postgres
