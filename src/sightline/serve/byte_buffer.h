#pragma once

#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <new>
#include <string_view>
#include <utility>

namespace sightline::serve {

// Bytes of a request's body, held once: it grows by realloc, which for large blocks moves pages instead of copying them, and
// new room is not zeroed. Movable, not copyable, not thread-safe.
class ByteBuffer {
 public:
  ByteBuffer() = default;
  ByteBuffer(ByteBuffer&& other) noexcept { *this = std::move(other); }
  ByteBuffer& operator=(ByteBuffer&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    std::swap(capacity_, other.capacity_);
    return *this;
  }
  ByteBuffer(const ByteBuffer&) = delete;
  ByteBuffer& operator=(const ByteBuffer&) = delete;
  ~ByteBuffer() { std::free(data_); }

  void Reserve(std::size_t capacity) {
    if (capacity <= capacity_) return;
    void* grown = std::realloc(data_, capacity);
    if (grown == nullptr) throw std::bad_alloc();
    data_ = static_cast<char*>(grown);
    capacity_ = capacity;
  }
  void Append(std::string_view bytes) {
    if (bytes.empty()) return;
    std::memcpy(Grow(bytes.size()), bytes.data(), bytes.size());
  }
  std::string_view view() const { return {data_, size_}; }
  std::size_t size() const { return size_; }

 private:
  char* Grow(std::size_t by) {
    if (capacity_ - size_ < by) {
      const std::size_t doubled = capacity_ * 2;
      Reserve(doubled > size_ + by ? doubled : size_ + by);
    }
    char* at = data_ + size_;
    size_ += by;
    return at;
  }

  char* data_ = nullptr;
  std::size_t size_ = 0;
  std::size_t capacity_ = 0;
};

}  // namespace sightline::serve
