#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "sightline/bus/port.h"
#include "sightline/model/verdict.h"

namespace sightline::app {

// How many records of a dataset ingest refused, by verdict, since the dataset began. Counted from the dead letters, of which each call
// reads those that are new. Not thread-safe; the bus must outlive it.
class RefusedRecords {
 public:
  using Counts = std::array<std::uint64_t, kVerdicts>;

  explicit RefusedRecords(bus::Bus& bus) : bus_(bus) {}
  // Sums up to the end of the topic. What can't be read, since retention removed it, a disk damaged it, or more came at once
  // than one call reads, counts as malformed.
  Counts Of(const std::string& topic);

 private:
  struct Place {
    std::unique_ptr<bus::Reader> reader;
    std::int64_t passed = 0;  // offsets, those of gaps included
    Counts counts{};
  };
  void Read(const TopicPartition& partition, Offset start, Place& place);

  bus::Bus& bus_;
  std::map<std::string, std::vector<Place>> topics_;
};

}  // namespace sightline::app
