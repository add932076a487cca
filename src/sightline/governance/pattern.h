#pragma once

#include <memory>
#include <string_view>

#include "sightline/base/result.h"

namespace sightline::governance {

// A regular expression that matches in time linear in the text, whatever the expression (RE2: no back references, no
// look-around). Immutable after Compile; Matches may be called from any thread.
class Pattern {
 public:
  // kInvalidArgument with RE2's reason when `expression` is not one, or takes over 1 MiB compiled.
  static Result<Pattern> Compile(std::string_view expression);
  ~Pattern();
  Pattern(Pattern&&) noexcept;
  Pattern& operator=(Pattern&&) noexcept;

  // Whether the whole of `utf8` matches.
  bool Matches(std::string_view utf8) const;

 private:
  struct Impl;
  explicit Pattern(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace sightline::governance
