#pragma once

#include <compare>
#include <cstdint>
#include <functional>

namespace sightline {

// An integer that means one thing: Strong<struct OffsetTag> does not convert to or from another, nor silently
// from an integer. Arithmetic is limited to what makes sense for positions: + and - with a plain difference.
template <typename Tag, typename Rep = std::int64_t>
struct Strong {
  Rep value{};
  constexpr Strong() = default;
  constexpr explicit Strong(Rep v) : value(v) {}
  friend constexpr auto operator<=>(const Strong&, const Strong&) = default;
  friend constexpr Strong operator+(Strong a, Rep difference) { return Strong(static_cast<Rep>(a.value + difference)); }
  friend constexpr Strong operator-(Strong a, Rep difference) { return Strong(static_cast<Rep>(a.value - difference)); }
  friend constexpr Rep operator-(Strong a, Strong b) { return static_cast<Rep>(a.value - b.value); }
  constexpr Strong& operator+=(Rep difference) {
    value = static_cast<Rep>(value + difference);
    return *this;
  }
};

}  // namespace sightline

template <typename Tag, typename Rep>
struct std::hash<sightline::Strong<Tag, Rep>> {
  std::size_t operator()(const sightline::Strong<Tag, Rep>& s) const noexcept { return std::hash<Rep>{}(s.value); }
};
