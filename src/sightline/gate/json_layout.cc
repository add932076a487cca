#include "sightline/gate/json_layout_internal.h"

#include <algorithm>
#include <cstring>

#include "sightline/gate/scan_internal.h"

namespace sightline::gate {
namespace {

constexpr std::size_t kGapBytesMax = 1024;
constexpr std::size_t kGapsMax = 256;

}  // namespace

bool JsonLayout::AddGap(const char* begin, const char* end, ValueKind kind, int field) {
  const auto size = static_cast<std::size_t>(end - begin);
  if (size == 0 || size > kGapBytesMax || gaps_.size() == kGapsMax) return false;
  gaps_.push_back({.size = static_cast<std::uint32_t>(size),
                   .chunk = static_cast<std::uint16_t>(chunks_.size()),
                   .chunks = static_cast<std::uint16_t>((size + 31) / 32),
                   .kind = kind,
                   .field = field,
                   .plan = field < 0 ? nullptr : &plan_.fields[static_cast<std::size_t>(field)]});
  for (std::size_t at = 0; at < size; at += 32) {
    Chunk& chunk = chunks_.emplace_back();
    const std::size_t part = std::min<std::size_t>(32, size - at);
    std::memset(&chunk, 0, sizeof(chunk));
    std::memcpy(chunk.bytes, begin + at, part);
    std::memset(chunk.mask, 0xff, part);
  }
  return true;
}

void JsonLayout::Learn(std::string_view record, std::span<const JsonTrace> values, std::span<const int> nulls) {
  gaps_.clear();
  chunks_.clear();
  nulls_.assign(nulls.begin(), nulls.end());
  extra_fields_ = 0;
  const char* gap = record.data();  // start of the bytes that must be the same
  bool fits = true;
  for (const JsonTrace& value : values) {
    if (value.field < 0) ++extra_fields_;
    const char first = *value.begin;
    if (first == '{' || first == '[') {
      fits = false;
    } else if (first == '"') {
      fits = fits && AddGap(gap, value.begin + 1, value.field >= 0 ? ValueKind::kText : ValueKind::kExtraText, value.field);
      gap = value.end - 1;
    } else if (first == '-' || IsDigit(first)) {
      ValueKind kind = ValueKind::kExtraNumber;
      if (value.field >= 0) {
        kind = plan_.fields[static_cast<std::size_t>(value.field)].type == FieldType::kInt64 ? ValueKind::kInt64 : ValueKind::kDouble;
      }
      fits = fits && AddGap(gap, value.begin, kind, value.field);
      gap = value.end;
    } else if (value.field >= 0 && first != 'n') {
      fits = fits && AddGap(gap, value.begin, ValueKind::kBool, value.field);
      gap = value.end;
    }
    // Otherwise a null, or a word that no field takes: part of the bytes that must be the same.
  }
  fits = fits && AddGap(gap, record.data() + record.size(), ValueKind::kEnd, -1);
  if (!fits) Forget();
}

inline const char* JsonLayout::Match(const Chunk* chunk, const Gap& gap, const char* p, const char* limit) {
  const char* at = p;
  for (std::uint32_t i = 0;;) {
    if (at > limit) [[unlikely]]
      return nullptr;
    const __m256i found = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(at));
    const __m256i wanted = _mm256_load_si256(reinterpret_cast<const __m256i*>(chunk->bytes));
    const __m256i mask = _mm256_load_si256(reinterpret_cast<const __m256i*>(chunk->mask));
    if (_mm256_testz_si256(_mm256_xor_si256(found, wanted), mask) == 0) [[unlikely]]
      return nullptr;
    if (++i >= gap.chunks) [[likely]]
      return p + gap.size;
    ++chunk;
    at += 32;
  }
}

inline const char* JsonLayout::ReadText(const char* p, const char* limit, const char* base, const char* origin, const Gap& gap,
                                        RowTarget& target) {
  JsonString string{.begin = p, .end = FindSpecial(p, limit)};
  if (string.end >= limit) [[unlikely]]
    return nullptr;
  if (*string.end != '"') [[unlikely]] {
    const char* what = nullptr;
    const char* where = nullptr;
    if (ReadJsonString(string.end, limit, string, *target.batch, what, where) == nullptr) return nullptr;
  }
  if (gap.plan == nullptr) return string.end;
  if (TakeText(*gap.plan, string, base, origin, *target.batch, target.Text(gap.field)) != ViolationKind::kNone) [[unlikely]]
    return nullptr;
  return string.end;
}

const char* JsonLayout::Read(const char* p, const char* limit, const char* base, const char* origin, RowTarget& target) const {
  const Chunk* const chunks = chunks_.data();
  for (const Gap* gap = gaps_.data();; ++gap) {
    p = Match(chunks + gap->chunk, *gap, p, limit);
    if (p == nullptr) [[unlikely]]
      return nullptr;
    switch (gap->kind) {
      case ValueKind::kInt64: {
        std::int64_t value = 0;
        p = ScanInt64(p, value);
        if (p == nullptr) [[unlikely]]
          return nullptr;
        if (CheckInt64(*gap->plan, value) != ViolationKind::kNone) [[unlikely]]
          return nullptr;
        target.Int64(gap->field) = value;
        break;
      }
      case ValueKind::kText:
      case ValueKind::kExtraText:
        p = ReadText(p, limit, base, origin, *gap, target);
        if (p == nullptr) [[unlikely]]
          return nullptr;
        break;
      case ValueKind::kDouble: {
        const char* const end = ScanNumber(p, limit);
        if (end == nullptr) [[unlikely]]
          return nullptr;
        if (TakeDouble(*gap->plan, p, end, target.Double(gap->field)) != ViolationKind::kNone) [[unlikely]]
          return nullptr;
        p = end;
        break;
      }
      case ValueKind::kBool: {
        const bool value = std::memcmp(p, "true", 4) == 0;
        if (!value && std::memcmp(p, "false", 5) != 0) [[unlikely]]
          return nullptr;
        target.Int64(gap->field) = value ? 1 : 0;
        p += value ? 4 : 5;
        break;
      }
      case ValueKind::kExtraNumber:
        p = ScanNumber(p, limit);
        if (p == nullptr) [[unlikely]]
          return nullptr;
        break;
      case ValueKind::kEnd:
        for (const int field : nulls_) target.SetNull(field);
        return p;
    }
  }
}

}  // namespace sightline::gate
