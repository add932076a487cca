#include "sightline/flow/group_index.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <map>
#include <optional>
#include <tuple>

#include "sightline/runtime/random.h"

namespace sightline::flow {
namespace {

using Key = std::tuple<std::optional<std::int64_t>, std::optional<std::string>, std::optional<double>>;

// Integers by value, texts by bytes, null last.
template <typename T>
int CompareOptional(const std::optional<T>& a, const std::optional<T>& b) {
  if (!a || !b) return a.has_value() == b.has_value() ? 0 : (a ? -1 : 1);
  return *a < *b ? -1 : (*b < *a ? 1 : 0);
}
bool Before(const Key& a, const Key& b) {
  if (const int order = CompareOptional(std::get<0>(a), std::get<0>(b)); order != 0) return order < 0;
  if (const int order = CompareOptional(std::get<1>(a), std::get<1>(b)); order != 0) return order < 0;
  return CompareOptional(std::get<2>(a), std::get<2>(b)) < 0;
}

class Keys {
 public:
  Keys(std::uint64_t seed, bool nullable) : random_(seed), nullable_(nullable) {
    schema_.fields = {{"place", FieldType::kInt64, nullable, false},
                      {"name", FieldType::kString, nullable, false},
                      {"size", FieldType::kDouble, nullable, false}};
  }
  const Schema& schema() const { return schema_; }

  Key Next() {
    static const std::vector<std::int64_t> kPlaces = {std::numeric_limits<std::int64_t>::min(), -7, -1, 0, 1, 12,
                                                      std::numeric_limits<std::int64_t>::max()};
    static const std::vector<std::string> kNames = {
        "", "a", "item-0001", "item-0002", "item-000", std::string("item-000\0", 9), "\xff\xff", "zebra crossing"};
    static const std::vector<double> kSizes = {-1.5, -0.25, 0, 0.25, 3e9};
    Key key;
    if (!nullable_ || !random_.OneIn(6)) std::get<0>(key) = kPlaces[random_.Below(kPlaces.size())];
    if (!nullable_ || !random_.OneIn(6)) std::get<1>(key) = kNames[random_.Below(kNames.size())];
    if (!nullable_ || !random_.OneIn(6)) std::get<2>(key) = kSizes[random_.Below(kSizes.size())];
    return key;
  }
  runtime::Random& random() { return random_; }

 private:
  runtime::Random random_;
  bool nullable_;
  Schema schema_;
};

ColumnBatch BatchOf(const Schema& schema, const std::vector<Key>& keys) {
  ColumnBatch batch;
  batch.Reset(schema, keys.size());
  batch.rows = keys.size();
  for (Column& column : batch.columns) column.nulls.assign(keys.size(), 0);
  for (std::size_t i = 0; i < keys.size(); ++i) {
    const auto& [place, name, size] = keys[i];
    batch.columns[0].int64s[i] = place.value_or(0);
    batch.columns[1].strings[i] = name ? std::string_view(*name) : std::string_view();
    batch.columns[2].doubles[i] = size.value_or(0);
    batch.columns[0].nulls[i] = place ? 0 : 1;
    batch.columns[1].nulls[i] = name ? 0 : 1;
    batch.columns[2].nulls[i] = size ? 0 : 1;
  }
  return batch;
}

// A family's members are all groups with its value, in canonical order.
void ExpectFamiliesHold(GroupIndex& index, const std::vector<Key>& of_group, int column) {
  const auto value = [&](std::uint32_t group) {
    const auto& [place, name, size] = of_group[group];
    return column == 0 ? (place ? std::to_string(*place) : "null") : (name ? "text " + *name : "null");
  };
  std::map<std::uint32_t, std::vector<std::uint32_t>> members;
  for (const std::uint32_t group : index.Sorted()) members[index.FamilyOf(group)].push_back(group);
  for (const auto& [family, groups] : members) {
    const std::span<const std::uint32_t> kept = index.Members(family);
    EXPECT_TRUE(std::ranges::equal(kept, groups));
    for (const std::uint32_t group : groups) EXPECT_EQ(value(group), value(groups.front()));
  }
}

// Groups come in pieces, are numbered anew, and some are dropped between: the canonical order is always that of the keys, whatever the
// order of arrival.
TEST(GroupIndex, OrderIsThatOfTheKeysThroughGrowthAndCompaction) {
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    Keys keys(seed, seed % 2 == 0);
    const std::vector<int> family = seed % 3 == 0 ? std::vector<int>{1} : std::vector<int>{0};
    GroupIndex index(keys.schema(), {0, 1, 2}, family, family);
    std::vector<Key> of_group;
    for (int piece = 0; piece < 12; ++piece) {
      std::vector<Key> rows;
      for (std::size_t i = 0; i < 1 + keys.random().Below(60); ++i) rows.push_back(keys.Next());
      std::vector<std::uint32_t> numbers(rows.size()), groups(rows.size());
      for (std::size_t i = 0; i < rows.size(); ++i) numbers[i] = static_cast<std::uint32_t>(i);
      index.Assign(BatchOf(keys.schema(), rows), numbers, groups);
      of_group.resize(index.size());
      for (std::size_t i = 0; i < rows.size(); ++i) of_group[groups[i]] = rows[i];
      std::vector<Key> sorted;
      for (const std::uint32_t group : index.Sorted()) sorted.push_back(of_group[group]);
      std::vector<Key> wanted = of_group;
      std::ranges::sort(wanted, [&](const Key& a, const Key& b) {
        if (family[0] == 0) return Before(a, b);
        const Key x{std::nullopt, std::get<1>(a), std::nullopt}, y{std::nullopt, std::get<1>(b), std::nullopt};
        return Before(x, y) || (!Before(y, x) && Before(a, b));
      });
      ASSERT_EQ(sorted, wanted) << "seed " << seed << " piece " << piece;
      if (keys.random().OneIn(3)) {
        const std::vector<std::uint32_t> moved = index.Renumber();
        std::vector<Key> renumbered(of_group.size());
        for (std::size_t group = 0; group < moved.size(); ++group) renumbered[moved[group]] = of_group[group];
        ASSERT_EQ(renumbered, wanted) << "seed " << seed << " piece " << piece;
        of_group = renumbered;
      }
      ExpectFamiliesHold(index, of_group, family[0]);
      if (!keys.random().OneIn(3)) continue;
      std::vector<std::uint8_t> alive(index.size());
      for (std::uint8_t& one : alive) one = keys.random().OneIn(2) ? 1 : 0;
      const std::vector<std::uint32_t> moved = index.Compact(alive);
      std::vector<Key> left(index.size());
      for (std::size_t group = 0; group < moved.size(); ++group) {
        ASSERT_EQ(moved[group] == GroupIndex::kGone, alive[group] == 0);
        if (moved[group] != GroupIndex::kGone) left[moved[group]] = of_group[group];
      }
      of_group = left;
    }
  }
}

}  // namespace
}  // namespace sightline::flow
