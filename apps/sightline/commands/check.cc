#include "apps/sightline/commands/check.h"

#include <algorithm>
#include <ostream>
#include <tuple>

#include "sightline/config/config.h"

#include "apps/sightline/output.h"
#include "apps/sightline/plan_input.h"

namespace sightline::app {
namespace {

// The file's mistakes or, where it has none, those of the pipelines' expressions and columns.
std::vector<config::Mistake> FindMistakes(const Context& context, const std::string& file) {
  config::Loaded loaded = config::LoadConfigReportingAll(context.world.files, file, context.LoadOptions());
  if (!loaded.config) return std::move(loaded.mistakes);
  auto plans = CompilePlans(*loaded.config);
  if (plans) return {};
  std::ranges::stable_sort(plans.error(), {},
                           [](const config::Mistake& mistake) { return std::tuple(mistake.place.line, mistake.place.column); });
  return std::move(plans.error());
}

Result<Exit> Check(Context& context, const std::string& given) {
  const std::string file = context.ConfigFile(given);
  const std::vector<config::Mistake> mistakes = FindMistakes(context, file);
  if (context.format != Format::kTable) {
    OutputRows rows{.columns = {{"file"}, {"line", CellKind::kNumber}, {"column", CellKind::kNumber}, {"what"}, {"meant"}}, .rows = {}};
    for (const config::Mistake& mistake : mistakes) {
      const bool placed = mistake.place.line > 0;
      rows.rows.push_back({mistake.place.file, placed ? std::optional(std::to_string(mistake.place.line)) : std::nullopt,
                           placed ? std::optional(std::to_string(mistake.place.column)) : std::nullopt, mistake.what,
                           mistake.meant.empty() ? std::nullopt : std::optional(mistake.meant)});
    }
    Print(context, rows);
  } else if (mistakes.empty()) {
    context.out() << file << ": " << Colored(context, Ink::kGood, "no mistakes") << "\n";
  } else {
    for (const config::Mistake& mistake : mistakes) context.out() << mistake.ToString() << "\n";
    context.out() << Colored(context, Ink::kBad, std::to_string(mistakes.size()) + (mistakes.size() == 1 ? " mistake" : " mistakes"))
                  << "\n";
  }
  return mistakes.empty() ? Exit::kOk : Exit::kFailed;
}

}  // namespace

void AddCheck(CommandLine& line) {
  const auto file = std::make_shared<std::string>();
  line.Add("check", "Reports every mistake in a configuration file", Group::kConfigure)
      .Describe(
          "Each mistake stands on a line of its own: file, line, column, what is wrong, what was probably meant. Contracts, expressions "
          "and "
          "the columns of every step are checked too. Ends with 1 if there is a mistake.")
      .Argument("FILE", *file, "the configuration file; else that of --config, else ./sightline.yaml", Need::kOptional)
      .Example("sightline check presets/top-items/sightline.yaml", "the preset that ships")
      .Example("sightline check --format json sightline.yaml", "for an editor or a build")
      .Run([file](Context& context) { return Check(context, *file); });
}

}  // namespace sightline::app
