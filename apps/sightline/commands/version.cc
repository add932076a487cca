#include "apps/sightline/commands/version.h"

#include <duckdb.h>
#include <simdjson.h>
#include <zlib.h>
#include <zstd.h>

#include <arrow/util/config.h>
#include <google/protobuf/stubs/common.h>
#include <lz4.h>
#include <openssl/crypto.h>
#include <CLI/Version.hpp>
#include <boost/version.hpp>

#include "sightline/build_commit.h"
#include "sightline/build_info.h"
#include "sightline/flow/plan.h"

#include "apps/sightline/output.h"

// SIMDJSON_VERSION is a bare 3.0.1, not a text.
#define SIGHTLINE_TEXT_INNER(x) #x
#define SIGHTLINE_TEXT(x) SIGHTLINE_TEXT_INNER(x)

namespace sightline::app {
namespace {

std::string Compiler() {
#if defined(__clang__)
  return "clang " __clang_version__;
#else
  return "g++ " __VERSION__;
#endif
}

Result<Exit> Version(Context& context) {
  std::vector<OutputField> fields = {
      {"version", kVersion},
      {"commit", kCommit},
      {"build", std::string(kBuildType) + (*kSanitizers == '\0' ? "" : std::string(" with sanitizers ") + kSanitizers) + ", " + Compiler() +
                    ", " + kInstructionSet},
      {"semantics", std::to_string(flow::kSemanticsVersion), CellKind::kNumber},
      {"arrow", ARROW_VERSION_STRING},
      {"boost", std::to_string(BOOST_VERSION / 100000) + "." + std::to_string(BOOST_VERSION / 100 % 1000) + "." +
                    std::to_string(BOOST_VERSION % 100)},
      {"cli11", CLI11_VERSION},
      {"duckdb", duckdb_library_version()},
      {"lz4", LZ4_versionString()},
      {"openssl", OpenSSL_version(OPENSSL_FULL_VERSION_STRING)},
      {"protobuf", google::protobuf::internal::VersionString(GOOGLE_PROTOBUF_VERSION)},
      {"simdjson", SIGHTLINE_TEXT(SIMDJSON_VERSION)},
      {"zlib", zlibVersion()},
      {"zstd", ZSTD_versionString()}};
  Print(context, fields);
  return Exit::kOk;
}

}  // namespace

void AddVersion(CommandLine& line) {
  line.Add("version", "Version, build and versions of the libraries", Group::kAbout)
      .Example("sightline version --format json", "for a report of a problem")
      .Run(Version);
}

}  // namespace sightline::app
