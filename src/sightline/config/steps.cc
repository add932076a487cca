// The steps' part of the table: their settings, and the way from settings to the model's Step and back.
#include <utility>

#include "sightline/config/table.h"

namespace sightline::config {
namespace {

using enum ValueType;

constexpr std::int64_t kDay = 24LL * 60 * 60 * 1000;
constexpr std::int64_t kYear = 366 * kDay;
constexpr std::string_view kMissing[] = {"keep", "drop"};

void SetWhere(void* object, Value value) { static_cast<StepSettings*>(object)->where.expression = std::get<std::string>(std::move(value)); }
Value GetWhere(const void* object) { return static_cast<const StepSettings*>(object)->where.expression; }
void SetDerive(void* object, Value value) { static_cast<StepSettings*>(object)->derive.columns = std::get<NamedTexts>(std::move(value)); }
Value GetDerive(const void* object) { return static_cast<const StepSettings*>(object)->derive.columns; }

constexpr Property kDedupeProperties[] = {
    {.name = "by",
     .type = kNames,
     .help = "The fields that identify an event.",
     .example = "[detection_oid]",
     .required = true,
     .access = Bind<&DedupeStep::by, kNames>()},
    {.name = "within",
     .type = kDuration,
     .help = "How long an identity is remembered, in event time. At least the window and its allowed lateness.",
     .example = "24h",
     .min = 1,
     .max = kYear,
     .required = true,
     .access = Bind<&DedupeStep::within, kDuration>()},
};
constexpr Section kDedupe{"dedupe", "Drops an event whose identity was seen before.", kDedupeProperties};

constexpr Property kEnrichProperties[] = {
    {.name = "with",
     .type = kName,
     .help = "A reference.",
     .example = "locations",
     .required = true,
     .access = Bind<&EnrichStep::with, kName>()},
    {.name = "on",
     .type = kName,
     .help = "The field that is looked up among the reference's keys.",
     .example = "geographical_location_oid",
     .required = true,
     .access = Bind<&EnrichStep::on, kName>()},
    {.name = "missing",
     .type = kChoice,
     .default_text = "keep",
     .help = "Rows whose key the reference lacks: `keep` them, counted and with empty columns, or `drop` them.",
     .choices = kMissing,
     .access = Bind<&EnrichStep::missing, kChoice>()},
    {.name = "take",
     .type = kNames,
     .help = "The reference's columns to add, right after `on`. All but its key when left out.",
     .example = "[geographical_location]",
     .access = Bind<&EnrichStep::take, kNames>()},
};
constexpr Section kEnrich{"enrich", "Adds the columns of a reference's row.", kEnrichProperties};

constexpr Property kWindowProperties[] = {
    {.name = "tumbling",
     .type = kDuration,
     .default_text = "0s",
     .help = "Size of windows that follow each other.",
     .example = "1m",
     .min = 0,
     .max = kYear,
     .access = Bind<&WindowSettings::tumbling, kDuration>()},
    {.name = "sliding",
     .type = kDuration,
     .default_text = "0s",
     .help = "Size of windows that overlap; a multiple of `every`.",
     .example = "60s",
     .min = 0,
     .max = kYear,
     .access = Bind<&WindowSettings::sliding, kDuration>()},
    {.name = "every",
     .type = kDuration,
     .default_text = "0s",
     .help = "How often a sliding window begins.",
     .example = "5s",
     .min = 0,
     .max = kYear,
     .access = Bind<&WindowSettings::every, kDuration>()},
    {.name = "allowed_lateness",
     .type = kDuration,
     .default_text = "0s",
     .help = "How long after its end, by the watermark, a final result may still be corrected.",
     .min = 0,
     .max = kYear,
     .access = Bind<&WindowSettings::allowed_lateness, kDuration>()},
    {.name = "zone",
     .type = kText,
     .help = "Time zone windows are aligned to.",
     .unavailable = "this build aligns windows to UTC alone; leave `zone` out"},
};
constexpr Section kWindow{"window", "Cuts event time into windows, aligned to UTC: `{tumbling: 1m}` or `{sliding: 60s, every: 5s}`.",
                          kWindowProperties};

constexpr Property kAggregateProperties[] = {
    {.name = "by",
     .type = kNames,
     .help = "The columns of a group.",
     .example = "[geographical_location_oid, item_name]",
     .required = true,
     .access = Bind<&AggregateStep::by, kNames>()},
};
constexpr Property kAggregateColumns{.name = "COLUMN",
                                     .type = kExpressions,
                                     .help = "A new column: `count()`, or `sum`, `min`, `max`, `avg` or `count_distinct` of a column.",
                                     .example = "item_count: count()",
                                     .access = Bind<&AggregateStep::columns, kExpressions>()};
constexpr Section kAggregate{"aggregate", "One row a group and window.", kAggregateProperties, &kAggregateColumns};

constexpr Property kRankProperties[] = {
    {.name = "within",
     .type = kNames,
     .help = "The columns within which rows are ranked.",
     .example = "[window_start, geographical_location_oid]",
     .required = true,
     .access = Bind<&RankStep::within, kNames>()},
    {.name = "by",
     .type = kName,
     .help = "The column that ranks, greatest first; ties by the remaining text column in byte order of its UTF-8.",
     .example = "item_count",
     .required = true,
     .access = Bind<&RankStep::by, kName>()},
    {.name = "top",
     .type = kInteger,
     .default_text = "10",
     .help = "How many rows are kept.",
     .min = 1,
     .max = 1'000'000,
     .access = Bind<&RankStep::top, kInteger>()},
};
constexpr Section kRank{"rank", "Numbers the rows of a group (column `rank`) and keeps the first ones.", kRankProperties};

constexpr Property kStepProperties[] = {
    {.name = "where",
     .type = kExpression,
     .help = "Keeps the events for which a condition holds; the others count as filtered.",
     .example = "item_name <> 'shadow'",
     .access = {.set = &SetWhere, .get = &GetWhere}},
    {.name = "derive",
     .type = kExpressions,
     .help = "Adds columns.",
     .example = "{hour: timestamp_detected / 3600000}",
     .access = {.set = &SetDerive, .get = &GetDerive}},
    {.name = "dedupe", .type = kSection, .help = kDedupe.help, .access = BindSection<&StepSettings::dedupe>(), .section = &kDedupe},
    {.name = "enrich", .type = kSection, .help = kEnrich.help, .access = BindSection<&StepSettings::enrich>(), .section = &kEnrich},
    {.name = "window", .type = kSection, .help = kWindow.help, .access = BindSection<&StepSettings::window>(), .section = &kWindow},
    {.name = "aggregate",
     .type = kSection,
     .help = kAggregate.help,
     .access = BindSection<&StepSettings::aggregate>(),
     .section = &kAggregate},
    {.name = "rank", .type = kSection, .help = kRank.help, .access = BindSection<&StepSettings::rank>(), .section = &kRank},
};
constexpr Section kStepKinds{"a step", "One of the following.", kStepProperties};

}  // namespace

const Section& StepSection() { return kStepKinds; }

Step MakeStep(std::string_view kind, StepSettings settings, SourcePlace place) {
  Step step;
  step.place = std::move(place);
  if (kind == "where") step.step = std::move(settings.where);
  if (kind == "derive") step.step = std::move(settings.derive);
  if (kind == "dedupe") step.step = std::move(settings.dedupe);
  if (kind == "enrich") step.step = std::move(settings.enrich);
  if (kind == "window") {
    const WindowSettings& w = settings.window;
    const bool tumbling = w.tumbling.count() != 0;
    step.step = WindowStep{
        .size = tumbling ? w.tumbling : w.sliding, .every = tumbling ? w.tumbling : w.every, .allowed_lateness = w.allowed_lateness};
  }
  if (kind == "aggregate") step.step = std::move(settings.aggregate);
  if (kind == "rank") step.step = std::move(settings.rank);
  return step;
}

std::pair<std::string_view, StepSettings> SettingsOf(const Step& step) {
  StepSettings settings;
  const auto visitor = [&settings]<typename T>(const T& s) -> std::string_view {
    if constexpr (std::is_same_v<T, WhereStep>) return settings.where = s, "where";
    if constexpr (std::is_same_v<T, DeriveStep>) return settings.derive = s, "derive";
    if constexpr (std::is_same_v<T, DedupeStep>) return settings.dedupe = s, "dedupe";
    if constexpr (std::is_same_v<T, EnrichStep>) return settings.enrich = s, "enrich";
    if constexpr (std::is_same_v<T, AggregateStep>) return settings.aggregate = s, "aggregate";
    if constexpr (std::is_same_v<T, RankStep>) return settings.rank = s, "rank";
    if constexpr (std::is_same_v<T, WindowStep>) {
      settings.window.allowed_lateness = s.allowed_lateness;
      if (s.size == s.every) {
        settings.window.tumbling = s.size;
      } else {
        settings.window.sliding = s.size;
        settings.window.every = s.every;
      }
      return "window";
    }
    return {};
  };
  const std::string_view kind = std::visit(visitor, step.step);
  return {kind, std::move(settings)};
}

}  // namespace sightline::config
