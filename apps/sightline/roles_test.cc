#include "apps/sightline/roles.h"

#include <gtest/gtest.h>

namespace sightline::app {
namespace {

TEST(Roles, AreAllUnlessNamed) {
  ASSERT_TRUE(ParseRoles(""));
  EXPECT_TRUE(ParseRoles("")->all());
  const Result<Roles> some = ParseRoles("serve,ingest");
  ASSERT_TRUE(some);
  EXPECT_EQ(some->ToString(), "ingest,serve");
  EXPECT_FALSE(some->flow);
  EXPECT_FALSE(some->all());
  EXPECT_EQ(ParseRoles("ingest,gate,flow,serve"), Roles());
}

TEST(Roles, SayWhatTheyMightHaveBeen) {
  for (const char* const wrong : {"floww", "flow,", ",flow", "flow serve"}) {
    const Result<Roles> roles = ParseRoles(wrong);
    ASSERT_FALSE(roles) << wrong;
    EXPECT_EQ(roles.error().kind, ErrorKind::kInvalidArgument);
  }
  EXPECT_NE(ParseRoles("floww").error().message.find("did you mean 'flow'?"), std::string::npos) << ParseRoles("floww").error().message;
}

}  // namespace
}  // namespace sightline::app
