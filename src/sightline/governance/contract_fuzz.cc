#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "sightline/base/text.h"
#include "sightline/governance/contract.h"
#include "sightline/governance/pattern.h"

// Any bytes give a contract that holds together, or an error in words.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto check = [](bool holds) {
    if (!holds) std::abort();
  };
  const auto contract = sightline::governance::ParseContract({reinterpret_cast<const char*>(data), size}, "contract.yaml");
  if (!contract) {
    check(contract.error().kind == sightline::ErrorKind::kInvalidArgument && contract.error().message.starts_with("contract.yaml"));
    return 0;
  }
  const auto fields = static_cast<int>(contract->schema.fields.size());
  check(fields > 0 && contract->rules.size() == contract->schema.fields.size());
  check(contract->event_time >= -1 && contract->event_time < fields);
  for (const int key : contract->key) check(key >= 0 && key < fields);
  for (int f = 0; f < fields; ++f) {
    const auto& field = contract->schema.fields[static_cast<std::size_t>(f)];
    const auto& rule = contract->rules[static_cast<std::size_t>(f)];
    check(!field.name.empty() && sightline::IsUtf8(field.name) && contract->schema.Find(field.name) == f &&
          field.nullable == !rule.required);
    check(rule.pattern.empty() || sightline::governance::Pattern::Compile(rule.pattern).has_value());
  }
  return 0;
}
