// What a server, or somebody in its place, may send along a replication stream, and a state file that somebody has changed.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "connectors/postgres/followed_table.h"
#include "connectors/postgres/pgoutput.h"

using sightline::postgres::FollowedTable;
namespace pgoutput = sightline::postgres::pgoutput;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  (void)FollowedTable::Deserialize(bytes);
  (void)sightline::postgres::ParseLsn(bytes.substr(0, 40));
  FollowedTable table;
  table.Begin({.system = "s", .slot = "s", .table = "t", .columns = {"id", "name"}, .identity = {true, false}}, 1);
  // Messages one after another, each behind a byte with its length, as a stream of transactions.
  std::string_view rest = bytes;
  while (!rest.empty()) {
    const std::size_t length = static_cast<std::uint8_t>(rest[0]);
    const std::string_view one = rest.substr(1, length);
    rest.remove_prefix(std::min(rest.size(), 1 + length));
    const auto envelope = pgoutput::ParseEnvelope(one);
    const std::string_view payload =
        envelope && std::holds_alternative<pgoutput::Data>(*envelope) ? std::get<pgoutput::Data>(*envelope).payload : one;
    const auto message = pgoutput::Parse(payload);
    if (!message) continue;
    if (const auto* relation = std::get_if<pgoutput::Relation>(&*message)) (void)table.Describe(*relation);
    if (const auto* insert = std::get_if<pgoutput::Insert>(&*message)) (void)table.Insert(insert->row);
    if (const auto* update = std::get_if<pgoutput::Update>(&*message)) (void)table.Update(*update);
    if (const auto* removed = std::get_if<pgoutput::Delete>(&*message)) (void)table.Remove(removed->old);
  }
  const std::string state = table.Serialize();
  const auto again = FollowedTable::Deserialize(state);
  if (!again || again->Serialize() != state) __builtin_trap();
  return 0;
}
