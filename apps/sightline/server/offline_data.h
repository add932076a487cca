#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "apps/sightline/client.h"
#include "apps/sightline/framework.h"
#include "sightline/bus/embedded/log_bus.h"

namespace sightline::app {

// A data directory that no server owns, opened to be looked into. It answers requests of the API by the same routes as a server,
// and changes nothing that a start of the server would not: the log is brought into order after a crash, no pipeline runs, and
// nothing is removed by retention. Owns the directory while it lives. One thread.
class OfflineData {
 public:
  enum class Needs : std::uint8_t {
    kLog,         // topics; the pipelines too, where the configuration can be read
    kPipelines,   // and the configuration must be readable: dead letters, the audit
    kStatistics,  // the statistics store alone
  };
  // kNotFound when there is nothing yet, kFailedPrecondition when a process owns the directory; both say what to do.
  static Result<std::unique_ptr<OfflineData>> Open(const Context& context, const std::string& data, Needs needs);
  OfflineData(const OfflineData&) = delete;
  OfflineData& operator=(const OfflineData&) = delete;
  ~OfflineData();

  Result<HttpResponse> Ask(const HttpRequest& request);
  // For what the API does not offer; null with kStatistics.
  bus::LogBus* log();

 private:
  struct Impl;
  explicit OfflineData(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// <data>/configuration.json: the file that the server last ran with, so that the commands find it without --config.
Status RecordConfiguration(runtime::FileSystem& files, const std::string& data, const std::string& file);
// The configuration of a data directory: --config, else what the server last ran with, else ./sightline.yaml.
Result<config::Config> ConfigurationOf(const Context& context, const std::string& data);

}  // namespace sightline::app
