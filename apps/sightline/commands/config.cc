#include "apps/sightline/commands/config.h"

#include <ostream>

#include "sightline/config/describe.h"

#include "apps/sightline/output.h"

namespace sightline::app {
namespace {

Result<Exit> Show(Context& context, const std::string& file, const std::string& below, bool changed) {
  SL_ASSIGN_OR_RETURN(const config::Config config, context.LoadConfig(file));
  OutputRows rows{.columns = {{"setting"}, {"value"}, {"origin"}}, .rows = {}};
  for (const config::Setting& setting : config::Settings(config)) {
    const bool inside = below.empty() || setting.path == below ||
                        (setting.path.starts_with(below) && (setting.path[below.size()] == '.' || setting.path[below.size()] == '['));
    if (inside && !(changed && setting.origin == "default")) rows.rows.push_back({setting.path, setting.value, setting.origin});
  }
  if (rows.rows.empty() && !below.empty())
    return Fail(ErrorKind::kNotFound, "there is no setting " + below + "; sightline config show lists all");
  Print(context, rows);
  return Exit::kOk;
}

}  // namespace

void AddConfig(CommandLine& line) {
  line.AddFamily("config", "Shows settings, their schema and their documentation", Group::kConfigure);
  struct ShowOptions {
    std::string file, below;
    bool changed = false;
  };
  const auto show = std::make_shared<ShowOptions>();
  line.Add("config show", "Every setting in effect, and where it comes from", Group::kConfigure)
      .Describe("Secrets are never shown, only where they come from.")
      .Argument("FILE", show->file, "the configuration file; else that of --config, else ./sightline.yaml", Need::kOptional)
      .Option("--below SETTING", &show->below, "only this setting and those below it")
      .Flag("--changed", show->changed, "only what is not a default")
      .Example("sightline config show --below datasets.camera_events", "one dataset")
      .Example("sightline config show --changed --format csv", "what differs from the defaults")
      .Run([show](Context& context) { return Show(context, show->file, show->below, show->changed); });
  line.Add("config schema", "The JSON Schema of the configuration file", Group::kConfigure)
      .Describe("JSON Schema draft 2020-12, for editors and other checkers.")
      .Example("sightline config schema > sightline.schema.json", "for an editor")
      .Run([](Context& context) -> Result<Exit> {
        context.out() << config::JsonSchema();
        return Exit::kOk;
      });
  line.Add("config docs", "The documentation of every setting, Markdown", Group::kConfigure)
      .Example("sightline config docs > docs/configuration.md", "the page of the documentation")
      .Run([](Context& context) -> Result<Exit> {
        context.out() << config::Documentation();
        return Exit::kOk;
      });
}

}  // namespace sightline::app
