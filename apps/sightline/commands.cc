#include "apps/sightline/commands.h"

#include "apps/sightline/commands/check.h"
#include "apps/sightline/commands/completion.h"
#include "apps/sightline/commands/config.h"
#include "apps/sightline/commands/demo.h"
#include "apps/sightline/commands/doctor.h"
#include "apps/sightline/commands/inspect.h"
#include "apps/sightline/commands/jobs.h"
#include "apps/sightline/commands/migrate.h"
#include "apps/sightline/commands/replay.h"
#include "apps/sightline/commands/run.h"
#include "apps/sightline/commands/send.h"
#include "apps/sightline/commands/simulate.h"
#include "apps/sightline/commands/up.h"
#include "apps/sightline/commands/version.h"

namespace sightline::app {

void AddAllCommands(CommandLine& line) {
  AddUp(line);
  AddDemo(line);
  AddRun(line);
  AddPlan(line);
  AddJobs(line);
  AddSend(line);
  AddSimulate(line);
  AddTopic(line);
  AddDeadLetter(line);
  AddReplay(line);
  AddAudit(line);
  AddQuery(line);
  AddCheck(line);
  AddConfig(line);
  AddMigrate(line);
  AddDoctor(line);
  AddCompletion(line);
  AddVersion(line);
}

}  // namespace sightline::app
