#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "sightline/bus/port.h"
#include "sightline/gate/decoder.h"
#include "sightline/governance/contract.h"
#include "sightline/ingest/port.h"
#include "sightline/ops/metrics.h"
#include "sightline/runtime/clock.h"

namespace sightline::ingest {

// One dataset as ingest sees it.
struct IntakeDataset {
  std::string name;
  const governance::Contract* contract = nullptr;  // must outlive the intake
  std::string topic;                               // must exist
  std::int32_t partitions = 1;
  std::string partition_by;                        // a field of the contract
  bus::TopicSpec dead_letters;                     // named DeadLetterTopic(name); made when missing
  gate::Decoder::Limits limits;
};

struct IntakeOptions {
  std::size_t records_max = 500'000;                 // in one offer
  std::uint64_t bytes_in_flight_max = 256ULL << 20;  // offered and not durable yet; beyond it kResourceExhausted
  std::size_t rejects_noted_max = 20;
};

// Ingest over the bus. A POST is split over the partitions by its records' `partition_by` column, each part one append with
// the tag (hash of principal and key, partition, CRC-32C of the body): a repeated POST is split in the same way and answered
// by the bus part by part, so that its counts are the same and nothing is stored twice. No thread waits for the disk.
// Thread-safe. Borrows bus, clock and contracts; offers that are not answered yet keep nothing of it but their own state and
// those, so the bus must have answered everything before the intake goes.
class Intake final : public Ingest {
 public:
  static Result<std::unique_ptr<Intake>> Make(bus::Bus& bus, const runtime::Clock& clock, ops::Metrics& metrics,
                                              std::vector<IntakeDataset> datasets, IntakeOptions options = {});
  ~Intake() override;

  void Take(Offer offer, Done done) override;

 private:
  struct Dataset;
  struct Post;
  Intake(bus::Bus& bus, const runtime::Clock& clock, ops::Metrics& metrics, IntakeOptions options);
  Status Add(const IntakeDataset& dataset, ops::Metrics& metrics);
  Status Judge(Post& post);
  void AppendAll(const std::shared_ptr<Post>& post);
  Status Hold(Post& post, std::uint64_t bytes);

  bus::Bus& bus_;
  const runtime::Clock& clock_;
  const IntakeOptions options_;
  std::map<std::string, std::unique_ptr<Dataset>, std::less<>> datasets_;
  std::shared_ptr<std::atomic<std::uint64_t>> bytes_in_flight_ = std::make_shared<std::atomic<std::uint64_t>>(0);
  std::shared_ptr<void> collector_;
};

}  // namespace sightline::ingest
