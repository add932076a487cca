#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>

#include "sightline/runtime/simulated/simulated_clock.h"
#include "sightline/security/access.h"
#include "sightline/security/principal.h"
#include "sightline/security/secret.h"

namespace sightline::security {
namespace {

using namespace std::chrono_literals;

class AccessTest : public ::testing::Test {
 protected:
  AccessTest() {
    AccessOptions options;
    options.tokens.push_back({SecretDigest::Of("camera-token"), {"camera", {Permission::kIngestWrite}, {}}});
    options.sessions_max = 3;
    access_.emplace(clock_, "the-admin-token", options);
  }
  runtime::SimulatedClock clock_;
  std::optional<Access> access_;
};

TEST_F(AccessTest, Tokens) {
  EXPECT_EQ(access_->FromToken("the-admin-token", "a")->name, "admin");
  const auto camera = access_->FromToken("camera-token", "a");
  ASSERT_TRUE(camera);
  EXPECT_TRUE(camera->permissions.Has(Permission::kIngestWrite));
  EXPECT_FALSE(camera->permissions.Has(Permission::kResultsRead));
  for (const char* wrong : {"", "the-admin-toke", "the-admin-token ", "The-admin-token"}) {
    EXPECT_EQ(access_->FromToken(wrong, "a").error().kind, ErrorKind::kUnauthenticated) << wrong;
  }
}

TEST_F(AccessTest, CodesWorkOnceAndForFiveMinutes) {
  const auto code = access_->MakeCode();
  ASSERT_TRUE(code);
  EXPECT_EQ(access_->FromCode(*code, "a")->name, "admin");
  EXPECT_EQ(access_->FromCode(*code, "a").error().kind, ErrorKind::kUnauthenticated);
  const auto old = access_->MakeCode();
  clock_.Advance(5min);
  EXPECT_FALSE(access_->FromCode(*old, "a"));
  EXPECT_FALSE(access_->FromCode("", "a"));
}

TEST_F(AccessTest, SessionsEnd) {
  const Principal principal{"admin", Permissions::All(), {}};
  const auto session = access_->OpenSession(principal);
  const auto other = access_->OpenSession(principal);
  ASSERT_TRUE(session && other);
  EXPECT_NE(*session, *other);
  EXPECT_TRUE(access_->FromSession(*session));
  EXPECT_FALSE(access_->FromSession(session->substr(1)));
  access_->CloseSession(*session);
  EXPECT_FALSE(access_->FromSession(*session));
  EXPECT_TRUE(access_->FromSession(*other));
  clock_.Advance(12h);
  EXPECT_FALSE(access_->FromSession(*other));
}

TEST_F(AccessTest, SessionsAreLimitedAndMakeRoomWhenTheyExpire) {
  const Principal principal{"admin", Permissions::All(), {}};
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(access_->OpenSession(principal));
  EXPECT_EQ(access_->OpenSession(principal).error().kind, ErrorKind::kResourceExhausted);
  clock_.Advance(12h);
  EXPECT_TRUE(access_->OpenSession(principal));
}

TEST_F(AccessTest, GuessingIsSlowedDownForTheGuesserAlone) {
  for (int i = 0; i < 10; ++i) EXPECT_EQ(access_->FromToken("guess", "evil").error().kind, ErrorKind::kUnauthenticated);
  EXPECT_EQ(access_->FromToken("guess", "evil").error().kind, ErrorKind::kResourceExhausted);
  EXPECT_EQ(access_->FromCode("guess", "evil").error().kind, ErrorKind::kResourceExhausted);
  EXPECT_EQ(access_->FromToken("guess", "good").error().kind, ErrorKind::kUnauthenticated);
  EXPECT_TRUE(access_->FromToken("camera-token", "evil")) << "who knows a token is not locked out by others behind the same address";
  clock_.Advance(1min);
  EXPECT_EQ(access_->FromToken("guess", "evil").error().kind, ErrorKind::kUnauthenticated);
}

TEST(Secret, DigestsAndTexts) {
  const auto digest = SecretDigest::Of("abc");
  EXPECT_EQ(digest.ToString(), "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  const auto parsed = SecretDigest::Parse(digest.ToString());
  ASSERT_TRUE(parsed);
  EXPECT_TRUE(SameSecret(*parsed, digest));
  EXPECT_FALSE(SameSecret(*parsed, SecretDigest::Of("abd")));
  for (const char* wrong : {"", "abc", "sha256:12", "sha256:zz7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"}) {
    EXPECT_FALSE(SecretDigest::Parse(wrong)) << wrong;
  }
  const auto a = MakeSecret();
  const auto b = MakeSecret();
  ASSERT_TRUE(a && b);
  EXPECT_EQ(a->size(), 43U);
  EXPECT_NE(*a, *b);
}

TEST(Secret, Base64Url) {
  EXPECT_EQ(Base64Url("\xfb\xff"), "-_8");
  for (const std::string& bytes : {std::string(), std::string("a"), std::string("ab"), std::string("abc"), std::string("\0\xff\x80z", 4)}) {
    const auto back = ParseBase64Url(Base64Url(bytes));
    ASSERT_TRUE(back);
    EXPECT_EQ(*back, bytes);
  }
  for (const char* wrong : {"a", "a=", "a+", "aaaaa", "ab/", "-_9"}) EXPECT_FALSE(ParseBase64Url(wrong)) << wrong;
}

TEST(Cookies, TheRightOneIsFound) {
  EXPECT_EQ(FindCookie("a=1; sightline_session=xyz; b=2", "sightline_session"), "xyz");
  EXPECT_EQ(FindCookie("sightline_session=", "sightline_session"), "");
  EXPECT_EQ(FindCookie("xsightline_session=1; sightline_session_2=3", "sightline_session"), "");
  EXPECT_EQ(FindCookie("sightline_session", "sightline_session"), "");
  EXPECT_EQ(FindCookie(";;;=;sightline_session=a=b ;", "sightline_session"), "a=b");
}

TEST(Origins, OnlyOurOwn) {
  EXPECT_TRUE(IsSameOrigin("http://127.0.0.1:8080", "127.0.0.1:8080", false));
  EXPECT_TRUE(IsSameOrigin("https://Board.example", "board.example:443", true));
  EXPECT_TRUE(IsSameOrigin("http://localhost", "localhost:80", false));
  for (const char* other : {"null", "", "http://127.0.0.1:8081", "https://127.0.0.1:8080", "http://127.0.0.1:8080.evil",
                            "http://evil/127.0.0.1:8080", "http://127.0.0.1:8080/"}) {
    EXPECT_FALSE(IsSameOrigin(other, "127.0.0.1:8080", false)) << other;
  }
  EXPECT_FALSE(IsSameOrigin("http://", "", false));
}

TEST(PermissionNames, RoundTripAndAdvice) {
  for (const auto name : Permissions::All().Names()) EXPECT_EQ(PermissionName(*ParsePermission(name)), name);
  EXPECT_EQ(Permissions::All().Names().size(), kPermissions);
  EXPECT_NE(ParsePermission("result.read").error().message.find("did you mean 'results.read'"), std::string::npos);
  EXPECT_TRUE(Permissions{Permission::kAdmin}.Has(Permission::kSqlRun)) << "admin implies the others";
}

class AdminToken : public ::testing::Test {
 protected:
  void SetUp() override {
    directory_ = ::testing::TempDir() + "admin_token_" + std::to_string(::getpid()) + "_" +
                 ::testing::UnitTest::GetInstance()->current_test_info()->name();
    std::filesystem::create_directories(directory_);
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }
  std::string directory_;
};

TEST_F(AdminToken, MadeOnceForTheOwnerAlone) {
  const auto made = LoadOrMakeAdminToken(directory_);
  ASSERT_TRUE(made) << made.error().ToString();
  EXPECT_EQ(made->size(), 43U);
  struct stat info{};
  ASSERT_EQ(::stat((directory_ + "/admin.token").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600U);
  EXPECT_EQ(*LoadOrMakeAdminToken(directory_), *made);
}

TEST_F(AdminToken, RefusesWhatOthersCanReadOrWhatIsEmpty) {
  ASSERT_TRUE(LoadOrMakeAdminToken(directory_));
  ::chmod((directory_ + "/admin.token").c_str(), 0644);
  const auto open = LoadOrMakeAdminToken(directory_);
  ASSERT_FALSE(open);
  EXPECT_EQ(open.error().kind, ErrorKind::kPermissionDenied);
  EXPECT_NE(open.error().message.find("chmod 600"), std::string::npos);
  ::chmod((directory_ + "/admin.token").c_str(), 0600);
  std::ofstream(directory_ + "/admin.token", std::ios::trunc) << "\n";
  EXPECT_EQ(LoadOrMakeAdminToken(directory_).error().kind, ErrorKind::kFailedPrecondition);
  EXPECT_FALSE(LoadOrMakeAdminToken(directory_ + "/missing"));
}

}  // namespace
}  // namespace sightline::security
