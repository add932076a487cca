#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "apps/sightline/framework.h"

namespace sightline::app {

enum class CellKind : std::uint8_t { kText, kNumber, kFlag };

struct OutputColumn {
  std::string name;  // snake_case; a table shows it with blanks
  CellKind kind = CellKind::kText;
};

// Rows for people or programs. A cell without a value is empty in a table and in CSV, null in JSON. Cells of kNumber and kFlag
// hold their JSON spelling.
struct OutputRows {
  std::vector<OutputColumn> columns;
  std::vector<std::vector<std::optional<std::string>>> rows;
};
// In the format asked for: an aligned table, a JSON array of objects, or CSV (RFC 4180, LF, with header).
void Print(const Context& context, const OutputRows& rows);

// One thing with several properties: lines "name  value", one JSON object, or CSV with one row.
struct OutputField {
  std::string name;
  std::string value;
  CellKind kind = CellKind::kText;
};
void Print(const Context& context, const std::vector<OutputField>& fields);

// Columns of a terminal that the UTF-8 text takes.
std::size_t DisplayWidth(std::string_view text);

// "1,234,567"
std::string WithThousands(std::uint64_t number);

enum class Ink : std::uint8_t { kGood, kWarning, kBad, kStrong, kFaint };
// The text in colour, where colours are wanted.
std::string Colored(const Context& context, Ink ink, std::string_view text);

}  // namespace sightline::app
