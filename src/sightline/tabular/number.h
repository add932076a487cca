#pragma once

#include <cstdint>
#include <string>

namespace sightline::tabular {

// Decimal digits, with a minus sign where needed.
void AppendInt64(std::string& out, std::int64_t value);
// The shortest decimal form that reads back as the same double; "NaN", "Infinity", "-Infinity" for the rest.
void AppendDouble(std::string& out, double value);
bool IsFinite(double value);

}  // namespace sightline::tabular
