#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "sightline/base/result.h"
#include "sightline/model/time.h"
#include "sightline/stores/statistics/port.h"

namespace sightline::stores {

// The place of a row in the order of a query: after it the next page begins. It names the row by what orders it, so that rows
// which come or go elsewhere move nothing; another generation makes it void. As text it is opaque (hexadecimal of a versioned
// record with a CRC-32C, so that a token that was cut or made up is refused); see docs/adr/0005-statistics-store.md.
struct Cursor {
  std::uint64_t generation = 0;
  RowQuery::Order order = RowQuery::Order::kAscending;
  EventTime window_start;
  std::vector<Value> group;   // the group columns' values
  std::uint32_t ordinal = 0;  // of the row in its group
};

std::string EncodeCursor(const Cursor& cursor);
// kInvalidArgument when the text is not a cursor.
Result<Cursor> DecodeCursor(std::string_view text);

}  // namespace sightline::stores
