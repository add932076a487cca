#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "bridge/objects.h"

// Google Cloud Storage.
namespace sightline::gcs {

enum class Credentials : std::uint8_t { kAuto, kAnonymous };  // auto: the key below, or the application's default credentials

struct Options {
  std::string bucket = {};
  std::string prefix = {};           // all keys lie below it; may be empty
  std::string endpoint = {};         // empty: Google's
  std::string service_account = {};  // the JSON of a key; empty: GOOGLE_APPLICATION_CREDENTIALS, gcloud's, or the machine's account
  Credentials credentials = Credentials::kAuto;
  std::string ca_pem = {};  // certificates to trust beside the system's
  bridge::Patience patience = {};
};

// kInvalidArgument for options that cannot be, kUnauthenticated for a key that is none; talks to nobody.
Result<std::unique_ptr<bridge::ObjectStore>> Open(const Options& options);

}  // namespace sightline::gcs
