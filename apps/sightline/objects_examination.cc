// What `sightline doctor` says of the object store.
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <iterator>

#include "apps/sightline/examination.h"
#include "apps/sightline/objects.h"
#include "sightline/runtime/random.h"

namespace sightline::app {
namespace {

// Somebody waits for the answer: a service that takes longer is reported so.
constexpr auto kConnectMax = std::chrono::seconds(5);
constexpr auto kRequestMax = std::chrono::seconds(10);
constexpr auto kRetryMax = std::chrono::seconds(10);
// S3 refuses requests that are 15 minutes off; event times suffer long before.
constexpr auto kSkewWarning = std::chrono::seconds(5);
constexpr auto kSkewProblem = std::chrono::minutes(5);

std::string Remedy(const Error& error, config::ObjectsType type) {
  switch (error.kind) {
    case ErrorKind::kUnavailable:
    case ErrorKind::kDeadlineExceeded:
      return type == config::ObjectsType::kHdfs ? "start the name node, or correct drivers.objects.url"
                                                : "start the service, or correct drivers.objects.endpoint; look at firewalls and proxies";
    case ErrorKind::kUnauthenticated: return "correct the credentials below drivers.objects";
    case ErrorKind::kPermissionDenied:
      return type == config::ObjectsType::kS3
                 ? "allow s3:ListBucket on the bucket; s3:GetObject, s3:PutObject, s3:DeleteObject on its objects"
             : type == config::ObjectsType::kGcs ? "give the account the role Storage Object Admin on the bucket"
                                                 : "let the user own the directory, or set drivers.objects.user";
    case ErrorKind::kFailedPrecondition: return "make the bucket, or correct drivers.objects";
    case ErrorKind::kResourceExhausted: return "make room, or raise the quota";
    default: return "correct drivers.objects";
  }
}

// Puts, reads, replaces and deletes an object of its own; the steps that are refused.
std::vector<Finding> ExamineRights(stores::ObjectStore& store, config::ObjectsType type) {
  const std::string key = "sightline-doctor-" + std::to_string(getpid()) + "-" + std::to_string(runtime::SystemEntropy());
  const std::string bytes = "a probe of sightline doctor; it may be deleted";
  std::vector<Finding> findings;
  const auto step = [&](const char* right, const Status& done) {
    if (!done)
      findings.push_back(
          {"objects", Health::kProblem, std::string("cannot ") + right + ": " + done.error().message, Remedy(done.error(), type)});
    return done.has_value();
  };
  const auto put = store.Put(key, bytes, stores::PutCondition::IfAbsent());
  if (!step("write", put ? Status() : std::unexpected(put.error()))) return findings;
  const auto read = store.Get(key);
  step("read", !read                  ? Status(std::unexpected(read.error()))
               : read->bytes == bytes ? Status()
                                      : Status(Fail(ErrorKind::kCorruption, "other bytes came back than were put")));
  const auto again = store.Put(key, bytes, stores::PutCondition::IfAbsent());
  if (again || again.error().kind != ErrorKind::kAlreadyExists) {
    findings.push_back({"objects", Health::kProblem,
                        "puts on a condition are not kept to: a second put of an object that must be new went through",
                        "several workers would overwrite each other's state: use a service with conditional writes"});
  }
  step("delete", store.Delete(key));
  return findings;
}

Finding ExamineSkew(std::chrono::milliseconds skew) {
  const auto size = std::chrono::abs(skew);
  const std::string found = "the service's clock is " + std::to_string(size.count() / 1000) + " s " +
                            (skew.count() > 0 ? "ahead of" : "behind") + " this machine's";
  if (size < kSkewWarning) return {"objects clock", Health::kGood, "agrees with this machine's", ""};
  return {"objects clock", size < kSkewProblem ? Health::kWarning : Health::kProblem, found,
          "run an NTP client on both: signatures are refused when the clocks differ too much"};
}

}  // namespace

std::vector<Finding> ExamineObjects(const World& world, const config::Config& config, bool server_running) {
  config::ObjectsConfig settings = config.drivers.objects;
  runtime::Failpoints failpoints;
  const runtime::Runtime runtime{world.clock, world.files, failpoints};
  if (settings.type == config::ObjectsType::kFiles) {
    const std::string directory = config.data + "/objects";
    const auto there = world.files.Exists(directory);
    if (server_running || (there && !*there)) return {{"objects", Health::kGood, "local files in " + directory, ""}};
  } else {
    settings.connect_timeout = std::min<std::chrono::milliseconds>(settings.connect_timeout, kConnectMax);
    settings.request_timeout = std::min<std::chrono::milliseconds>(settings.request_timeout, kRequestMax);
    settings.retry_time_max = std::min<std::chrono::milliseconds>(settings.retry_time_max, kRetryMax);
    settings.retries_max = std::min<std::int64_t>(settings.retries_max, 2);
  }
  Result<OpenedObjects> opened = OpenObjects(settings, config.data, runtime, stores::FileObjectStore::Access::kOwn);
  if (!opened) return {{"objects", Health::kProblem, opened.error().message, Remedy(opened.error(), settings.type)}};
  stores::ObjectStore& store = *opened->store;
  std::vector<Finding> findings;
  const auto lister = store.List("", "");
  const auto page = lister ? (*lister)->Next() : std::unexpected(lister.error());
  if (!page) findings.push_back({"objects", Health::kProblem, "cannot list: " + page.error().message, Remedy(page.error(), settings.type)});
  const bool reachable = page || page.error().kind == ErrorKind::kPermissionDenied;
  if (reachable) std::ranges::move(ExamineRights(store, settings.type), std::back_inserter(findings));
  if (findings.empty()) findings.push_back({"objects", Health::kGood, store.location() + ": list, write, read and delete work", ""});
  const auto skew = opened->service != nullptr ? opened->service->clock_skew() : std::nullopt;
  if (skew) findings.push_back(ExamineSkew(*skew));
  if (settings.endpoint.starts_with("http://")) {
    const auto endpoint = config::ParseEndpoint(settings.endpoint.substr(7));
    if (!endpoint || !endpoint->loopback()) {
      findings.push_back({"objects TLS", Health::kWarning, "objects travel unencrypted to " + settings.endpoint,
                          "use https://, with drivers.objects.tls_ca"});
    }
  }
  return findings;
}

}  // namespace sightline::app
