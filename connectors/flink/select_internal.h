#pragma once

#include <span>
#include <string>
#include <utility>
#include <vector>

namespace sightline::flink {

// "a, b, c", broken into lines of about 110 characters that begin with `indent` blanks.
std::string Listed(std::span<const std::string> items, std::size_t indent);

// A SELECT while it is put together. Columns that are an expression get a line of their own.
struct Select {
  std::vector<std::string> columns;
  std::string from;
  std::vector<std::string> where;     // joined by AND; each is put in parentheses where there are several
  std::vector<std::string> group_by;

  void Add(std::string column) { columns.push_back(std::move(column)); }
  std::string ToString(std::size_t indent = 0) const;
};

using Options = std::vector<std::pair<std::string, std::string>>;
// WITH ('connector' = 'kafka', …), a line each.
std::string With(const Options& options);

}  // namespace sightline::flink
