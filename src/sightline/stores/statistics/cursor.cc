#include "sightline/stores/statistics/cursor.h"

#include "sightline/base/bytes.h"
#include "sightline/base/hash.h"

namespace sightline::stores {
namespace {

constexpr std::uint8_t kVersion = 1;
constexpr std::string_view kDigits = "0123456789abcdef";

void PutValue(ByteWriter& writer, const Value& value) {
  writer.Put<std::uint8_t>(static_cast<std::uint8_t>(value.index()));
  if (const auto* v = std::get_if<std::int64_t>(&value)) writer.Put(*v);
  if (const auto* v = std::get_if<double>(&value)) writer.Put(*v);
  if (const auto* v = std::get_if<bool>(&value)) writer.Put<std::uint8_t>(*v ? 1 : 0);
  if (const auto* v = std::get_if<std::string>(&value)) writer.PutString(*v);
}

Value GetValue(ByteReader& reader, bool& known) {
  switch (reader.Get<std::uint8_t>()) {
    case 0: return {};
    case 1: return reader.Get<std::int64_t>();
    case 2: return reader.Get<double>();
    case 3: return reader.Get<std::uint8_t>() != 0;
    case 4: return std::string(reader.GetString());
    default: known = false; return {};
  }
}

Result<std::string> FromHex(std::string_view text) {
  std::string bytes;
  if (text.size() % 2 != 0) return Fail(ErrorKind::kInvalidArgument, "not a cursor of this server");
  for (std::size_t i = 0; i < text.size(); i += 2) {
    const std::size_t high = kDigits.find(text[i]);
    const std::size_t low = kDigits.find(text[i + 1]);
    if (high == kDigits.npos || low == kDigits.npos) return Fail(ErrorKind::kInvalidArgument, "not a cursor of this server");
    bytes.push_back(static_cast<char>(high << 4 | low));
  }
  return bytes;
}

}  // namespace

std::string EncodeCursor(const Cursor& cursor) {
  std::string bytes;
  ByteWriter writer(bytes);
  writer.Put<std::uint8_t>(kVersion);
  writer.Put<std::uint8_t>(static_cast<std::uint8_t>(cursor.order));
  writer.Put(cursor.generation);
  writer.Put(cursor.window_start.value);
  writer.Put(cursor.ordinal);
  writer.PutVarint(cursor.group.size());
  for (const Value& value : cursor.group) PutValue(writer, value);
  writer.Put(Crc32c(bytes));
  std::string text;
  for (const char c : bytes) {
    text.push_back(kDigits[static_cast<std::uint8_t>(c) >> 4]);
    text.push_back(kDigits[static_cast<std::uint8_t>(c) & 15]);
  }
  return text;
}

Result<Cursor> DecodeCursor(std::string_view text) {
  const auto broken = Fail(ErrorKind::kInvalidArgument, "not a cursor of this server; ask for the first page without one");
  auto bytes = FromHex(text);
  if (!bytes || bytes->size() < sizeof(std::uint32_t)) return broken;
  const std::size_t body = bytes->size() - sizeof(std::uint32_t);
  if (Crc32c(std::string_view(*bytes).substr(0, body)) != LoadLe<std::uint32_t>(bytes->data() + body)) return broken;
  ByteReader reader(std::string_view(*bytes).substr(0, body));
  Cursor cursor;
  bool known = reader.Get<std::uint8_t>() == kVersion;
  cursor.order = static_cast<RowQuery::Order>(reader.Get<std::uint8_t>());
  cursor.generation = reader.Get<std::uint64_t>();
  cursor.window_start = EventTime(reader.Get<std::int64_t>());
  cursor.ordinal = reader.Get<std::uint32_t>();
  const std::uint64_t values = reader.GetVarint();
  for (std::uint64_t i = 0; i < values && reader.ok() && known; ++i) cursor.group.push_back(GetValue(reader, known));
  if (!known || !reader.done() || cursor.order > RowQuery::Order::kDescending) return broken;
  return cursor;
}

}  // namespace sightline::stores
