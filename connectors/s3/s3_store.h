#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "bridge/objects.h"

// Amazon S3, and what speaks its protocol (MinIO, Ceph, versitygw, R2 …).
namespace sightline::s3 {

enum class Addressing : std::uint8_t { kAuto, kPath, kVirtual };  // auto: path with an endpoint of one's own, else virtual
enum class Credentials : std::uint8_t { kAuto, kAnonymous };       // auto: the keys below, or the AWS environment's
enum class Checksum : std::uint8_t { kNone, kSha256, kCrc64Nvme };

struct Options {
  std::string bucket = {};
  std::string prefix = {};    // all keys lie below it; may be empty
  std::string region = {};    // empty: us-east-1
  std::string endpoint = {};  // "https://host:port"; empty: Amazon's
  Addressing addressing = Addressing::kAuto;
  Credentials credentials = Credentials::kAuto;
  std::string access_key = {};  // empty: AWS_ACCESS_KEY_ID and the like, web identity, container or machine role
  std::string secret_key = {};
  std::string session_token = {};
  Checksum checksum = Checksum::kNone;  // kept with the object; on its way every body is covered by its signature
  std::string ca_pem = {};                   // certificates to trust beside the system's
  bridge::Patience patience = {};
};

// kInvalidArgument for options that cannot be; talks to nobody.
Result<std::unique_ptr<bridge::ObjectStore>> Open(const Options& options);

}  // namespace sightline::s3
