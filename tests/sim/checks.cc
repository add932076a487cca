#include "tests/sim/checks.h"

#include <cstdio>

#include "sightline/base/hash.h"

namespace sightline::sim {

void Trace::Note(std::string_view what, std::int64_t a, std::int64_t b) {
  hash_ = Mix64(hash_ ^ Hash64(what) ^ Mix64(static_cast<std::uint64_t>(a) * 3 + static_cast<std::uint64_t>(b)));
  if (verbose_) {
    std::printf("  %-28.*s %lld %lld\n", static_cast<int>(what.size()), what.data(), static_cast<long long>(a), static_cast<long long>(b));
  }
}

void Trace::Say(std::string_view what, std::string_view text) const {
  if (verbose_) std::printf("  %-28.*s %.*s\n", static_cast<int>(what.size()), what.data(), static_cast<int>(text.size()), text.data());
}

}  // namespace sightline::sim
