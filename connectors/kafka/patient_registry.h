#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>

#include "sightline/gate/wire_schema.h"

namespace sightline::kafka {

// A schema registry as a gate asks it: when it did not answer it is left alone for a while, so that records whose schemas are known go on
// meanwhile. Remembers which topics it was asked about. One thread.
class PatientRegistry final : public gate::SchemaSource {
 public:
  using Admit = std::function<Status(const std::string& topic)>;

  // `schemas` (may be null) must outlive it; `admit` may be empty.
  PatientRegistry(gate::SchemaSource* schemas, Admit admit, std::chrono::milliseconds wait)
      : schemas_(schemas), admit_(std::move(admit)), wait_(wait) {}

  Result<gate::WriterSchema> Find(std::uint32_t id) override;
  // Whether a topic's records may be judged; asked until it was once. kFailedPrecondition: its schema contradicts the contract.
  Status MayJudge(const std::string& topic);
  // Why it is waited for.
  const std::optional<Error>& trouble() const { return trouble_; }

 private:
  using Time = std::chrono::steady_clock::time_point;
  struct Refused {
    Error error;
    Time again;
  };
  bool Waits() const { return trouble_ && std::chrono::steady_clock::now() < again_; }
  void NoteTrouble(const Error& error);

  gate::SchemaSource* schemas_;
  const Admit admit_;
  const std::chrono::milliseconds wait_;
  std::optional<Error> trouble_;
  Time again_;
  std::set<std::string> admitted_;
  std::map<std::string, Refused> refused_;
};

}  // namespace sightline::kafka
