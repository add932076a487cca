#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "sightline/stores/objects/port.h"

// What the conformance suite of the object store works with; conformance.h holds the tests.
namespace sightline::stores::testing {

// One object store under test, empty. Objects of different harnesses do not meet.
class ObjectsHarness {
 public:
  virtual ~ObjectsHarness() = default;
  virtual ObjectStore& store() = 0;
  // Another client of the same objects.
  virtual ObjectStore& other() { return store(); }
};

struct ObjectsCase {
  std::string name;
  std::function<std::unique_ptr<ObjectsHarness>()> make;
  // Names may hold ':' there.
  bool colons = true;
};
inline std::string ObjectsCaseName(const ::testing::TestParamInfo<ObjectsCase>& info) { return info.param.name; }
inline void PrintTo(const ObjectsCase& objects_case, std::ostream* out) { *out << objects_case.name; }

class ObjectsConformance : public ::testing::TestWithParam<ObjectsCase> {
 protected:
  void SetUp() override {
    harness_ = GetParam().make();
    ASSERT_NE(harness_, nullptr);
  }
  ObjectStore& store() { return harness_->store(); }
  ObjectStore& other() { return harness_->other(); }
  // The bytes, or the error in words.
  std::string Read(const std::string& key) {
    const Result<Object> object = store().Get(key);
    return object ? object->bytes : "error: " + object.error().ToString();
  }
  std::vector<std::string> Keys(const std::string& prefix = "", const std::string& start_after = "");

  std::unique_ptr<ObjectsHarness> harness_;
};

// Bytes of every value, that differ by `seed` and do not compress away.
std::string Noise(std::size_t size, std::uint64_t seed);
// "expected" when the status or result has this kind of error; else what it is.
template <typename T>
std::string KindOf(const T& result) {
  return result ? "no error" : std::string(ErrorKindName(result.error().kind)) + ": " + result.error().message;
}

GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(ObjectsConformance);

}  // namespace sightline::stores::testing

// The result is an error of this kind.
#define EXPECT_KIND(result, wanted)                                                          \
  do {                                                                                       \
    const auto& sl_result = (result);                                                        \
    EXPECT_TRUE(!sl_result && sl_result.error().kind == ::sightline::ErrorKind::wanted)      \
        << "got " << ::sightline::stores::testing::KindOf(sl_result) << ", wanted " #wanted; \
  } while (false)
// The result is none.
#define EXPECT_OK(result)                                                                  \
  do {                                                                                     \
    const auto& sl_result = (result);                                                      \
    EXPECT_TRUE(sl_result.has_value()) << ::sightline::stores::testing::KindOf(sl_result); \
  } while (false)
#define ASSERT_OK(result)                                                                  \
  do {                                                                                     \
    const auto& sl_result = (result);                                                      \
    ASSERT_TRUE(sl_result.has_value()) << ::sightline::stores::testing::KindOf(sl_result); \
  } while (false)
