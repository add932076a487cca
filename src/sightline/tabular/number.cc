#include "sightline/tabular/number.h"

#include <charconv>
#include <cmath>

namespace sightline::tabular {

void AppendInt64(std::string& out, std::int64_t value) {
  char digits[24];
  out.append(digits, std::to_chars(digits, digits + sizeof(digits), value).ptr);
}

void AppendDouble(std::string& out, double value) {
  if (std::isnan(value)) {
    out += "NaN";
  } else if (std::isinf(value)) {
    out += value > 0 ? "Infinity" : "-Infinity";
  } else {
    char digits[40];
    out.append(digits, std::to_chars(digits, digits + sizeof(digits), value).ptr);
  }
}

bool IsFinite(double value) { return std::isfinite(value); }

}  // namespace sightline::tabular
