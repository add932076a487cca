#include "connectors/kafka/patient_registry.h"

namespace sightline::kafka {
namespace {

// A contradiction is corrected by people.
constexpr int kRefusedWaits = 5;

}  // namespace

void PatientRegistry::NoteTrouble(const Error& error) {
  trouble_ = error;
  again_ = std::chrono::steady_clock::now() + wait_;
}

Result<gate::WriterSchema> PatientRegistry::Find(std::uint32_t id) {
  if (Waits()) return std::unexpected(*trouble_);
  Result<gate::WriterSchema> found = schemas_->Find(id);
  if (found || found.error().kind == ErrorKind::kNotFound) {
    trouble_.reset();
  } else {
    NoteTrouble(found.error());
  }
  return found;
}

Status PatientRegistry::MayJudge(const std::string& topic) {
  if (!admit_ || admitted_.contains(topic)) return {};
  const auto refused = refused_.find(topic);
  if (refused != refused_.end() && std::chrono::steady_clock::now() < refused->second.again) return std::unexpected(refused->second.error);
  if (Waits()) return std::unexpected(*trouble_);
  const Status admitted = admit_(topic);
  if (admitted) {
    trouble_.reset();
    refused_.erase(topic);
    admitted_.insert(topic);
  } else if (admitted.error().kind == ErrorKind::kFailedPrecondition) {
    trouble_.reset();
    refused_.insert_or_assign(topic, Refused{admitted.error(), std::chrono::steady_clock::now() + kRefusedWaits * wait_});
  } else {
    NoteTrouble(admitted.error());
  }
  return admitted;
}

}  // namespace sightline::kafka
