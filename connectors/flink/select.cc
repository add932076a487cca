#include "connectors/flink/select_internal.h"
#include "connectors/flink/sql_words.h"

namespace sightline::flink {
namespace {

constexpr std::size_t kWidth = 110;

}  // namespace

std::string Listed(std::span<const std::string> items, std::size_t indent) {
  const std::string begin(indent, ' ');
  std::string out;
  std::string line;
  for (std::size_t i = 0; i < items.size(); ++i) {
    const std::string item = items[i] + (i + 1 < items.size() ? "," : "");
    const bool own = items[i].find(" AS ") != std::string::npos;
    const bool before = i > 0 && items[i - 1].find(" AS ") != std::string::npos;
    if (!line.empty() && (own || before || indent + line.size() + item.size() + 1 > kWidth)) {
      out += begin + line + "\n";
      line.clear();
    }
    line += (line.empty() ? "" : " ") + item;
  }
  return out + begin + line;
}

std::string Select::ToString(std::size_t indent) const {
  const std::string begin(indent, ' ');
  std::string out = begin + "SELECT\n" + Listed(columns, indent + 2) + "\n" + begin + "FROM " + from;
  for (std::size_t i = 0; i < where.size(); ++i) {
    out += (i == 0 ? "\n" + begin + "WHERE " : " AND ") + (where.size() > 1 ? "(" + where[i] + ")" : where[i]);
  }
  if (!group_by.empty()) out += "\n" + begin + "GROUP BY " + Listed(group_by, indent + 2).substr(indent + 2);
  return out;
}

std::string With(const Options& options) {
  std::string out = "WITH (\n";
  for (std::size_t i = 0; i < options.size(); ++i) {
    out += "  " + Text(options[i].first) + " = " + Text(options[i].second) + (i + 1 < options.size() ? ",\n" : "\n");
  }
  return out + ")";
}

}  // namespace sightline::flink
