#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>

namespace sightline {

static_assert(std::endian::native == std::endian::little, "persistent formats are little-endian and read in place");

// Loads and stores of little-endian integers at any alignment.
template <typename T>
inline T LoadLe(const void* from) {
  T value;
  std::memcpy(&value, from, sizeof(T));
  return value;
}
template <typename T>
inline void StoreLe(void* to, T value) {
  std::memcpy(to, &value, sizeof(T));
}

// Appends to a byte string; the writer's half of every binary format.
class ByteWriter {
 public:
  explicit ByteWriter(std::string& out) : out_(out) {}
  template <typename T>
  void Put(T value) {
    char raw[sizeof(T)];
    std::memcpy(raw, &value, sizeof(T));
    out_.append(raw, sizeof(T));
  }
  void PutVarint(std::uint64_t value) {
    while (value >= 0x80) {
      out_.push_back(static_cast<char>(value | 0x80));
      value >>= 7;
    }
    out_.push_back(static_cast<char>(value));
  }
  void PutBytes(std::string_view bytes) { out_.append(bytes); }
  // varint length, then the bytes
  void PutString(std::string_view bytes) {
    PutVarint(bytes.size());
    out_.append(bytes);
  }
  std::string& out() { return out_; }

 private:
  std::string& out_;
};

// Reads from a byte span. After the first read past the end every read gives zero and ok() is false, so
// that a parser checks once at its end instead of after each field.
class ByteReader {
 public:
  explicit ByteReader(std::string_view bytes) : at_(bytes.data()), end_(bytes.data() + bytes.size()) {}
  template <typename T>
  T Get() {
    if (remaining() < sizeof(T)) return Broken<T>();
    T value = LoadLe<T>(at_);
    at_ += sizeof(T);
    return value;
  }
  std::uint64_t GetVarint() {
    std::uint64_t value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      if (at_ == end_) return Broken<std::uint64_t>();
      const auto byte = static_cast<std::uint8_t>(*at_++);
      if (shift == 63 && byte > 1) return Broken<std::uint64_t>();
      value |= static_cast<std::uint64_t>(byte & 0x7f) << shift;
      if ((byte & 0x80) == 0) return value;
    }
    return Broken<std::uint64_t>();
  }
  std::string_view GetBytes(std::uint64_t size) {
    if (remaining() < size) return Broken<std::string_view>();
    std::string_view bytes(at_, size);
    at_ += size;
    return bytes;
  }
  std::string_view GetString() { return GetBytes(GetVarint()); }
  std::size_t remaining() const { return static_cast<std::size_t>(end_ - at_); }
  const char* position() const { return at_; }
  bool ok() const { return ok_; }
  // True when everything was read, and nothing past the end.
  bool done() const { return ok_ && at_ == end_; }

 private:
  template <typename T>
  T Broken() {
    ok_ = false;
    at_ = end_;
    return T{};
  }
  const char* at_;
  const char* end_;
  bool ok_ = true;
};

constexpr std::uint64_t ZigZag(std::int64_t value) {
  return (static_cast<std::uint64_t>(value) << 1) ^ static_cast<std::uint64_t>(value >> 63);
}
constexpr std::int64_t UnZigZag(std::uint64_t value) {
  return static_cast<std::int64_t>(value >> 1) ^ -static_cast<std::int64_t>(value & 1);
}

}  // namespace sightline
