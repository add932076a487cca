#pragma once

#include <memory>
#include <string>

#include "apps/sightline/framework.h"
#include "apps/sightline/roles.h"
#include "apps/sightline/server/audit.h"
#include "sightline/ingest/port.h"
#include "sightline/serve/api/status.h"

namespace sightline::app {

// The whole server in one process: the data plane, and the API in front of it. Made by `up` and `demo`.
class Server {
 public:
  struct Options {
    int threads = 0;  // of the stream engine; 0: one a core
    std::optional<flow::StartAt> from = std::nullopt;  // where changed pipelines begin
    Roles roles = {};                                  // others than all need a bus that processes share
  };
  // Recovers, binds and serves when it returns; the configuration must outlive it.
  static Result<std::unique_ptr<Server>> Start(Context& context, const config::Config& config, Options options);
  virtual ~Server() = default;

  virtual const std::string& url() const = 0;
  // A link that signs a browser in, once, within five minutes.
  virtual Result<std::string> SignInLink() = 0;
  // Only with the role.
  virtual ingest::Ingest& ingest() = 0;
  virtual serve::ServerStatus status() = 0;
  virtual Result<AuditReport> audit() = 0;
  // Stops accepting, answers what is in flight, commits, closes. The first error.
  virtual Status Stop() = 0;
};

}  // namespace sightline::app
