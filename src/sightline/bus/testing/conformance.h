#pragma once

// What every bus promises, as tests. An implementation makes a harness and instantiates the suite in one of its test files:
//
//   INSTANTIATE_TEST_SUITE_P(LogBusOnFiles, BusConformance, testing::Values(BusCase{"Files", MakeFilesHarness}), BusCaseName);
//
// BusConformance holds for every bus. LogConformance is for those that own their log: topics with an owner a partition, sequences of
// producers, records held for consumer groups, limits by size.
#include "sightline/bus/testing/conformance_append.h"  // IWYU pragma: export
#include "sightline/bus/testing/conformance_log.h"     // IWYU pragma: export
#include "sightline/bus/testing/conformance_owned.h"   // IWYU pragma: export
#include "sightline/bus/testing/conformance_read.h"    // IWYU pragma: export
#include "sightline/bus/testing/conformance_retry.h"   // IWYU pragma: export
