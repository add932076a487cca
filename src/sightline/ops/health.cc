#include "sightline/ops/health.h"

#include "sightline/base/text.h"

namespace sightline::ops {
namespace {

std::string Json(const std::map<std::string, std::string, std::less<>>& reasons, std::string_view status = "failed") {
  if (reasons.empty()) return "{\"status\":\"ok\"}\n";
  std::string out = "{\"status\":\"" + std::string(status) + "\",\"reasons\":{";
  bool first = true;
  for (const auto& [component, reason] : reasons) {
    if (!first) out += ',';
    first = false;
    AppendJsonString(out, component);
    out += ':';
    AppendJsonString(out, reason);
  }
  out += "}}\n";
  return out;
}

}  // namespace

void Health::Set(Reasons& reasons, std::string_view component, std::string_view reason) {
  const std::lock_guard lock(mutex_);
  if (reason.empty()) {
    reasons.erase(std::string(component));
  } else {
    reasons.insert_or_assign(std::string(component), std::string(reason));
  }
}

bool Health::live() const {
  const std::lock_guard lock(mutex_);
  return broken_.empty();
}

bool Health::ready() const {
  const std::lock_guard lock(mutex_);
  return broken_.empty() && not_ready_.empty();
}

std::string Health::LiveJson() const {
  const std::lock_guard lock(mutex_);
  return Json(broken_);
}

std::string Health::ReadyJson() const {
  const std::lock_guard lock(mutex_);
  Reasons all = not_ready_;
  for (const auto& [component, reason] : broken_) all.insert_or_assign(component, reason);
  if (all.empty()) return Json(degraded_, "degraded");
  return Json(all);
}

}  // namespace sightline::ops
