#include "apps/sightline/output.h"

#include <algorithm>
#include <array>
#include <ostream>

#include "sightline/base/text.h"

namespace sightline::app {
namespace {

// Blocks of East Asian wide characters and emoji, as far as names of places need them.
constexpr std::array<std::pair<char32_t, char32_t>, 9> kWide = {{{0x1100, 0x115f},
                                                                 {0x2e80, 0x303e},
                                                                 {0x3041, 0x33ff},
                                                                 {0x3400, 0x4dbf},
                                                                 {0x4e00, 0x9fff},
                                                                 {0xac00, 0xd7a3},
                                                                 {0xf900, 0xfaff},
                                                                 {0xff00, 0xff60},
                                                                 {0x1f300, 0x1faff}}};

std::size_t WidthOf(char32_t c) {
  if ((c >= 0x300 && c <= 0x36f) || (c >= 0x200b && c <= 0x200f)) return 0;  // combining marks, zero-width
  return std::ranges::any_of(kWide, [c](const auto& block) { return c >= block.first && c <= block.second; }) ? 2 : 1;
}

// Terminals act on control characters: they are shown as �, never sent.
std::string Shown(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      out += "\xef\xbf\xbd";
    } else {
      out += c;
    }
  }
  return out;
}

std::string Title(std::string_view name) {
  std::string out(name);
  std::ranges::replace(out, '_', ' ');
  return out;
}

std::string CsvField(std::string_view text) {
  if (text.find_first_of(",\"\r\n") == std::string_view::npos) return std::string(text);
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"') out += '"';
    out += c;
  }
  return out + "\"";
}

std::string JsonCell(const std::optional<std::string>& cell, CellKind kind) {
  if (!cell) return "null";
  if (kind != CellKind::kText) return *cell;
  std::string out;
  AppendJsonString(out, *cell);
  return out;
}

void PrintTable(const Context& context, const OutputRows& rows) {
  std::vector<std::vector<std::string>> cells(1);
  for (const OutputColumn& column : rows.columns) cells[0].push_back(Title(column.name));
  for (const auto& row : rows.rows) {
    std::vector<std::string>& shown = cells.emplace_back();
    for (const auto& cell : row) shown.push_back(Shown(cell.value_or("")));
  }
  std::vector<std::size_t> widths(rows.columns.size());
  for (const auto& row : cells) {
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], DisplayWidth(row[i]));
  }
  for (std::size_t r = 0; r < cells.size(); ++r) {
    std::string line;
    for (std::size_t i = 0; i < cells[r].size(); ++i) {
      const std::string padding(widths[i] - DisplayWidth(cells[r][i]), ' ');
      const bool right = rows.columns[i].kind == CellKind::kNumber;
      line += (i == 0 ? "" : "  ") + (right ? padding + cells[r][i] : cells[r][i] + padding);
    }
    line.erase(line.find_last_not_of(' ') + 1);
    context.out() << (r == 0 ? Colored(context, Ink::kStrong, line) : line) << "\n";
  }
}

}  // namespace

std::size_t DisplayWidth(std::string_view text) {
  std::size_t width = 0;
  for (std::size_t i = 0; i < text.size();) {
    const auto lead = static_cast<unsigned char>(text[i]);
    const std::size_t length = lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
    char32_t c = length == 1 ? lead : lead & (0xffU >> (length + 1));
    for (std::size_t k = 1; k < length && i + k < text.size(); ++k) c = (c << 6) | (static_cast<unsigned char>(text[i + k]) & 0x3fU);
    width += WidthOf(c);
    i += length;
  }
  return width;
}

std::string WithThousands(std::uint64_t number) {
  std::string out = std::to_string(number);
  for (auto at = static_cast<std::ptrdiff_t>(out.size()) - 3; at > 0; at -= 3) out.insert(static_cast<std::size_t>(at), ",");
  return out;
}

std::string Colored(const Context& context, Ink ink, std::string_view text) {
  if (!context.color) return std::string(text);
  constexpr std::array<const char*, 5> kCodes = {"\033[32m", "\033[33m", "\033[31m", "\033[1m", "\033[2m"};
  return kCodes[static_cast<std::size_t>(ink)] + std::string(text) + "\033[0m";
}

void Print(const Context& context, const OutputRows& rows) {
  if (context.format == Format::kTable) {
    PrintTable(context, rows);
    return;
  }
  std::ostream& out = context.out();
  if (context.format == Format::kCsv) {
    for (std::size_t i = 0; i < rows.columns.size(); ++i) out << (i == 0 ? "" : ",") << CsvField(rows.columns[i].name);
    out << "\n";
    for (const auto& row : rows.rows) {
      for (std::size_t i = 0; i < row.size(); ++i) out << (i == 0 ? "" : ",") << CsvField(row[i].value_or(""));
      out << "\n";
    }
    return;
  }
  out << "[";
  for (std::size_t r = 0; r < rows.rows.size(); ++r) {
    out << (r == 0 ? "\n  {" : ",\n  {");
    for (std::size_t i = 0; i < rows.columns.size(); ++i) {
      std::string name;
      AppendJsonString(name, rows.columns[i].name);
      out << (i == 0 ? "" : ", ") << name << ": " << JsonCell(rows.rows[r][i], rows.columns[i].kind);
    }
    out << "}";
  }
  out << (rows.rows.empty() ? "]\n" : "\n]\n");
}

void Print(const Context& context, const std::vector<OutputField>& fields) {
  std::ostream& out = context.out();
  if (context.format == Format::kCsv) {
    OutputRows rows;
    rows.rows.emplace_back();
    for (const OutputField& field : fields) {
      rows.columns.push_back({field.name, field.kind});
      rows.rows[0].emplace_back(field.value);
    }
    Print(context, rows);
    return;
  }
  if (context.format == Format::kJson) {
    out << "{";
    for (std::size_t i = 0; i < fields.size(); ++i) {
      std::string name;
      AppendJsonString(name, fields[i].name);
      out << (i == 0 ? "" : ", ") << name << ": " << JsonCell(fields[i].value, fields[i].kind);
    }
    out << "}\n";
    return;
  }
  std::size_t width = 0;
  for (const OutputField& field : fields) width = std::max(width, DisplayWidth(field.name));
  for (const OutputField& field : fields) {
    out << Colored(context, Ink::kFaint, Title(field.name)) << std::string(width - DisplayWidth(field.name) + 2, ' ') << Shown(field.value)
        << "\n";
  }
}

}  // namespace sightline::app
