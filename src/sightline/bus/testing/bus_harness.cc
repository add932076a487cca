#include "sightline/bus/testing/bus_harness.h"

namespace sightline::bus::testing {

std::vector<std::string> Numbered(int count, int first) {
  std::vector<std::string> values;
  for (int i = 0; i < count; ++i) values.push_back("v" + std::to_string(first + i));
  return values;
}

std::vector<std::string_view> Views(const std::vector<std::string>& strings) { return {strings.begin(), strings.end()}; }

TopicPartition BusConformance::EnsureTopic(const std::string& name, const std::function<void(TopicSpec&)>& change) {
  TopicSpec spec{.name = name};
  if (change) change(spec);
  const Status ensured = bus().EnsureTopic(spec);
  EXPECT_TRUE(ensured) << ensured.error().ToString();
  return {.topic = name, .partition = Partition(0)};
}

Result<Appended> BusConformance::Append(const TopicPartition& to, const std::vector<std::string>& values,
                                        const std::function<void(AppendBatch&)>& change) {
  const auto views = Views(values);
  AppendBatch batch{.values = views};
  if (change) change(batch);
  return AppendAndWait(bus(), to, batch);
}

Result<std::vector<Record>> BusConformance::ReadFrom(const TopicPartition& from, std::int64_t offset) {
  SL_ASSIGN_OR_RETURN(const auto reader, bus().OpenReader(from, Offset(offset)));
  std::vector<Record> records;
  while (true) {
    SL_ASSIGN_OR_RETURN(const auto batch, reader->Next());
    if (!batch) return records;
    for (std::size_t i = 0; i < batch->values.size(); ++i) {
      records.push_back({.offset = batch->offset(i).value,
                         .value = std::string(batch->values[i]),
                         .key = batch->keys.empty() ? "" : std::string(batch->keys[i])});
    }
    EXPECT_EQ(reader->position(), batch->end());
  }
}

std::vector<std::string> BusConformance::Values(const TopicPartition& from, std::int64_t offset) {
  std::vector<std::string> values;
  const auto records = ReadFrom(from, offset);
  EXPECT_TRUE(records) << records.error().ToString();
  if (!records) return values;
  for (const Record& record : *records) {
    if (harness_->HasGaps()) {
      EXPECT_GE(record.offset, offset);
    } else {
      EXPECT_EQ(record.offset, offset);
    }
    offset = record.offset + 1;
    values.push_back(record.value);
  }
  return values;
}

}  // namespace sightline::bus::testing
