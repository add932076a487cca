#pragma once

namespace sightline {

// 128-bit integers: exact sums of int64, and multiplication by which a hash is mapped onto a range.
__extension__ using Int128 = __int128;
__extension__ using Uint128 = unsigned __int128;

}  // namespace sightline
