#include "apps/sightline/migration/source.h"

#include "apps/sightline/plan_input.h"
#include "apps/sightline/references.h"
#include "apps/sightline/statistics.h"
#include "sightline/flow/recount.h"

namespace sightline::app {

MigrationSource::MigrationSource(const World& world, const config::Config& config, runtime::Failpoints& failpoints)
    : world_(world),
      config_(config),
      runtime_{world.clock, world.files, failpoints},
      references_(world.files, config.data + "/references") {}

Result<std::unique_ptr<MigrationSource>> MigrationSource::Open(const World& world, const config::Config& config,
                                                               runtime::Failpoints& failpoints) {
  std::unique_ptr<MigrationSource> source(new MigrationSource(world, config, failpoints));
  SL_TRY(source->Open());
  return source;
}

Status MigrationSource::Open() {
  SL_ASSIGN_OR_RETURN(const bool there, world_.files.Exists(config_.data + "/log"));
  if (!there) {
    return Fail(ErrorKind::kNotFound, config_.data + " holds no log: there is nothing to move; name another by `data` in " + config_.file);
  }
  auto compiled = CompilePlans(config_);
  if (!compiled) {
    return Fail(ErrorKind::kInvalidArgument, config_.file + " has mistakes; sightline check " + config_.file + " lists them");
  }
  plan_ = std::move(*compiled);
  bus::LogBus::Options options;
  options.flushing = bus::LogBus::Flushing::kInline;
  options.retention_interval = std::chrono::milliseconds(0);
  SL_ASSIGN_OR_RETURN(bus_, bus::LogBus::Open(runtime_, config_.data, options));
  tasks_ = std::make_unique<flow::TaskContext>(flow::TaskContext{.runtime = runtime_,
                                                                 .bus = *bus_,
                                                                 .plan = plan_,
                                                                 .references = catalog_,
                                                                 .versions = VersionsOf(references_, plan_),
                                                                 .directory = config_.data + "/flow",
                                                                 .live = nullptr,
                                                                 .policy = {},
                                                                 .limits = DecoderLimitsOf(config_.limits.ingest),
                                                                 .seed = 0});
  SL_TRY(flow::PublishCommitted(*tasks_));
  SL_ASSIGN_OR_RETURN(const bool kept, world_.files.Exists(config_.data + "/statistics/statistics.duckdb"));
  if (!kept) return {};
  SL_ASSIGN_OR_RETURN(statistics_, OpenStatistics(config_, config_.data, runtime_));
  return {};
}

}  // namespace sightline::app
