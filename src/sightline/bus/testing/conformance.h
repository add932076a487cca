#pragma once

// What every bus promises, as tests. An implementation makes a harness and instantiates the suite in one of its test files:
//
//   INSTANTIATE_TEST_SUITE_P(LogBusOnFiles, BusConformance, testing::Values(BusCase{"Files", MakeFilesHarness}), BusCaseName);
#include "sightline/bus/testing/conformance_append.h"  // IWYU pragma: export
#include "sightline/bus/testing/conformance_owned.h"   // IWYU pragma: export
#include "sightline/bus/testing/conformance_read.h"    // IWYU pragma: export
