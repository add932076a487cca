#include "connectors/postgres/connection_options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "connectors/postgres/connection.h"

namespace sightline::postgres {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

TEST(PostgresConnection, AnAddressElsewhereIsVerifiedUnlessTheUrlSaysOtherwise) {
  const auto mode = [](const std::string& url) {
    const auto parameters = ParseConnection({.url = url, .url_source = "env PG_URL"});
    EXPECT_TRUE(parameters);
    for (const auto& [keyword, value] : parameters->keywords) {
      if (keyword == "sslmode") return value;
    }
    return std::string();
  };
  EXPECT_EQ(mode("postgresql://u@db.example/x"), "verify-full");
  EXPECT_EQ(mode("postgresql://u@db.example/x?sslmode=require"), "require");
  EXPECT_EQ(mode("postgresql://u@127.0.0.1/x"), "prefer");
  EXPECT_EQ(mode("host=/run/postgresql user=u"), "prefer");
}

TEST(PostgresConnection, SettingsGoBeforeTheUrl) {
  const auto parameters =
      ParseConnection({.url = "postgresql://u:p@db.example:6432/x?sslmode=require&sslrootcert=a.pem&application_name=mine",
                       .url_source = "env PG_URL",
                       .tls_mode = "verify-ca",
                       .tls_ca = "b.pem"});
  ASSERT_TRUE(parameters);
  EXPECT_EQ(parameters->place, "db.example:6432/x");
  EXPECT_EQ(parameters->user, "u");
  EXPECT_EQ(parameters->database, "x");
  const auto value = [&](const std::string& wanted) {
    for (const auto& [keyword, text] : parameters->keywords) {
      if (keyword == wanted) return text;
    }
    return std::string();
  };
  EXPECT_EQ(value("sslmode"), "verify-ca");
  EXPECT_EQ(value("sslrootcert"), "b.pem");
  EXPECT_EQ(value("application_name"), "mine");
  EXPECT_EQ(value("client_encoding"), "UTF8");
}

TEST(PostgresConnection, WhatIsNoConnectionIsNotRepeated) {
  for (const std::string url : {"hunter2", "postgresql://u:hunter2@h:port/d", "postgresql://u:hunter2@h/d?nothing=1",
                                "password=hunter2 nothing=1", "http://u:hunter2@h/d", ""}) {
    const auto parameters = ParseConnection({.url = url, .url_source = "env PG_URL"});
    if (parameters) continue;  // what libpq only finds out when it connects
    EXPECT_EQ(parameters.error().kind, ErrorKind::kInvalidArgument);
    EXPECT_THAT(parameters.error().message, AllOf(HasSubstr("env PG_URL"), Not(HasSubstr("hunter2"))));
  }
  EXPECT_FALSE(ParseConnection({.url = "hunter2", .url_source = "env PG_URL"}));
  EXPECT_FALSE(ParseConnection({.url = "", .url_source = "env PG_URL"}));
}

// What a SQLSTATE means for whoever called, and whether trying again is safe.
TEST(PostgresConnection, SqlStatesAreKinds) {
  const ConnectionParameters to{.keywords = {}, .place = "h:5432/d"};
  const auto kind = [&](const char* code) { return ToError(code, "m", to).kind; };
  EXPECT_EQ(kind(""), ErrorKind::kUnavailable);
  EXPECT_EQ(kind("57P01"), ErrorKind::kUnavailable);
  EXPECT_EQ(kind("40P01"), ErrorKind::kUnavailable);
  EXPECT_EQ(kind("25006"), ErrorKind::kUnavailable);
  EXPECT_EQ(kind("57014"), ErrorKind::kDeadlineExceeded);
  EXPECT_EQ(kind("28P01"), ErrorKind::kUnauthenticated);
  EXPECT_EQ(kind("42501"), ErrorKind::kPermissionDenied);
  EXPECT_EQ(kind("53100"), ErrorKind::kResourceExhausted);
  EXPECT_EQ(kind("42P01"), ErrorKind::kFailedPrecondition);
  EXPECT_EQ(kind("XX001"), ErrorKind::kCorruption);
  EXPECT_EQ(kind("58030"), ErrorKind::kIo);
  EXPECT_EQ(kind("22003"), ErrorKind::kInvalidArgument);
  EXPECT_EQ(kind("99999"), ErrorKind::kInternal);
}

TEST(PostgresConnection, NamesAndTextsAreQuoted) {
  EXPECT_EQ(Quote("a\"b"), "\"a\"\"b\"");
  EXPECT_EQ(Literal("a'b\\"), "'a''b\\'");
}

}  // namespace
}  // namespace sightline::postgres
