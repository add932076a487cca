#pragma once

#include <cstdint>
#include <string_view>

#include "sightline/config/property.h"

// What the files of the table share.
namespace sightline::config::internal {

inline constexpr std::int64_t kSecond = 1000;
inline constexpr std::int64_t kMinute = 60 * kSecond;
inline constexpr std::int64_t kHour = 60 * kMinute;
inline constexpr std::int64_t kDay = 24 * kHour;
inline constexpr std::int64_t kYear = 366 * kDay;
inline constexpr std::int64_t kKiB = 1 << 10;
inline constexpr std::int64_t kMiB = 1 << 20;
inline constexpr std::int64_t kGiB = 1 << 30;
inline constexpr std::int64_t kTiB = kGiB << 10;

// The order of each list is the order of the enumeration it stands for.
inline constexpr std::string_view kDurabilities[] = {"fsync", "interval", "os"};
inline constexpr std::string_view kWhenFull[] = {"refuse", "drop"};

inline constexpr std::string_view kBusHelp = "The durable event bus.";
extern const Section kBusSection;
inline constexpr std::string_view kFlinkHelp =
    "A Flink cluster, for pipelines with `engine: flink` (docs/flink.md). Left out: there is none.";
extern const Section kFlinkSection;
inline constexpr std::string_view kGateHelp = "Topics on Kafka that others write: their records are judged and taken over.";
extern const Section kGateSection;

}  // namespace sightline::config::internal
