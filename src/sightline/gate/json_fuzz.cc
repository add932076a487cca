#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include "sightline/gate/decoder.h"
#include "sightline/gate/testing/contracts.h"
#include "sightline/gate/testing/json_oracle.h"

namespace {

using sightline::gate::Decoded;
using sightline::gate::Decoder;

void Check(const std::string& disagreement) {
  if (disagreement.empty()) return;
  std::fprintf(stderr, "%s\n", disagreement.c_str());
  std::abort();
}

// What was said of record `index`, in words.
std::string Said(const Decoded& decoded, std::uint32_t index) {
  for (const auto& reject : decoded.rejects) {
    if (reject.record == index) return std::string(VerdictName(reject.verdict)) + " " + reject.field + " " + reject.cause;
  }
  for (std::size_t row = 0; row < decoded.rows.rows; ++row) {
    if (decoded.record_of[row] != index) continue;
    std::string said;
    for (const auto& column : decoded.rows.columns) {
      if (column.IsNull(row)) {
        said += "null ";
      } else if (column.type == sightline::FieldType::kString) {
        said += std::string(column.strings[row]) + " ";
      } else if (column.type == sightline::FieldType::kDouble) {
        said += std::to_string(column.doubles[row]) + " ";
      } else {
        said += std::to_string(column.int64s[row]) + " ";
      }
    }
    return said;
  }
  return "nothing";
}

// The same record twice after itself: the second and third time its shape is known.
void CheckShape(const sightline::governance::Contract& contract, std::string_view record) {
  const std::string exact(record);
  const std::string_view records[] = {exact, exact, exact};
  Decoder decoder(contract, {});
  Decoded decoded;
  decoder.DecodeRecords(sightline::bus::Encoding::kJson, records, decoded);
  const std::string first = Said(decoded, 0);
  Check(Said(decoded, 1) == first && Said(decoded, 2) == first ? "" : "known shape: " + Said(decoded, 2) + " instead of " + first);
}

// The whole input as lines after a good one, at once and cut in two.
void CheckLines(const sightline::governance::Contract& contract, std::string_view text) {
  Decoder whole(contract, {});
  Decoder parts(contract, {});
  Decoded all;
  Decoded some;
  whole.DecodeLines(text, true, text.size() + 1, all);
  std::uint32_t base = 0;
  std::size_t at = parts.DecodeLines(text.substr(0, text.size() / 2), false, text.size() + 1, some);
  for (int part = 0; part < 2; ++part) {
    for (std::uint32_t i = 0; i < some.seen; ++i) {
      Check(Said(some, i) == Said(all, base + i) ? "" : "in parts: " + Said(some, i) + " instead of " + Said(all, base + i));
    }
    base += some.seen;
    if (part == 0) parts.DecodeLines(text.substr(at), true, text.size() + 1, some);
  }
  Check(base == all.seen ? "" : "another number of lines");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const auto cameras = sightline::gate::CameraEvents();
  static const auto rules = [] {
    auto contract = sightline::gate::EveryRule();
    contract.rules[6].pattern.clear();  // compiling it would take most of the time
    return contract;
  }();
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  for (const auto* contract : {&cameras, &rules}) {
    Check(sightline::gate::DisagreementWithSimdjson(*contract, text));
    CheckShape(*contract, text);
    CheckLines(*contract, text);
    for (std::size_t at = 0; at < text.size();) {
      const std::size_t end = std::min(text.find('\n', at), text.size());
      Check(sightline::gate::DisagreementWithSimdjson(*contract, text.substr(at, end - at)));
      at = end + 1;
    }
  }
  return 0;
}
