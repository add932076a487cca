#pragma once

// What every object store promises, as tests. An implementation makes a harness and instantiates the suite in one of its test files:
//
//   INSTANTIATE_TEST_SUITE_P(S3, ObjectsConformance, testing::Values(ObjectsCase{"Versitygw", MakeHarness}), ObjectsCaseName);
#include "sightline/stores/objects/testing/conformance_keys.h"    // IWYU pragma: export
#include "sightline/stores/objects/testing/conformance_list.h"    // IWYU pragma: export
#include "sightline/stores/objects/testing/conformance_put.h"     // IWYU pragma: export
#include "sightline/stores/objects/testing/conformance_upload.h"  // IWYU pragma: export
