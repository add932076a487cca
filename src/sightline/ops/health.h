#pragma once

#include <map>
#include <mutex>
#include <string>
#include <string_view>

namespace sightline::ops {

// Whether the process lives and is ready to serve, with the reasons why not. Live: nothing is broken beyond repair but by a
// restart (a partition that refuses appends, say). Ready: also everything has started and nothing is stopping. Components
// report under their own names. Thread-safe.
class Health {
 public:
  // Not ready for `reason`, as at start or while stopping; "" takes it back.
  void SetNotReady(std::string_view component, std::string_view reason) { Set(not_ready_, component, reason); }
  // Works with less than everything for `reason` (a sink whose store is away), and is ready all the same; "" takes it back.
  void SetDegraded(std::string_view component, std::string_view reason) { Set(degraded_, component, reason); }
  // Needs a restart for `reason`; "" takes it back.
  void SetBroken(std::string_view component, std::string_view reason) { Set(broken_, component, reason); }

  bool live() const;
  bool ready() const;
  // {"status":"ok"}, or "failed" or, of a ready process, "degraded": {"status":"failed","reasons":{"component":"reason"}}
  std::string LiveJson() const;
  std::string ReadyJson() const;

 private:
  using Reasons = std::map<std::string, std::string, std::less<>>;
  void Set(Reasons& reasons, std::string_view component, std::string_view reason);
  mutable std::mutex mutex_;
  Reasons not_ready_;
  Reasons degraded_;
  Reasons broken_;
};

}  // namespace sightline::ops
