#include "sightline/runtime/random.h"

#include <sys/random.h>

#include <cstdlib>

namespace sightline::runtime {

std::uint64_t SystemEntropy() {
  std::uint64_t value = 0;
  if (getrandom(&value, sizeof value, 0) != static_cast<ssize_t>(sizeof value)) std::abort();
  return value;
}

}  // namespace sightline::runtime
