#include "apps/sightline/send_report.h"

#include <algorithm>
#include <ostream>

#include "apps/sightline/output.h"

namespace sightline::app {

void PrintSendReport(const Context& context, const Sender& sender, const std::string& run_id, std::int64_t took_ns,
                     std::uint64_t too_long) {
  const SendSummary& summary = sender.summary();
  const auto number = [&context](std::uint64_t value) {
    return context.format == Format::kTable ? WithThousands(value) : std::to_string(value);
  };
  std::vector<OutputField> fields = {{"received", number(summary.received), CellKind::kNumber},
                                     {"accepted", number(summary.accepted), CellKind::kNumber}};
  for (const char* verdict : {"malformed", "invalid"}) {
    const auto found = summary.rejected.find(verdict);
    fields.push_back({verdict, number(found == summary.rejected.end() ? 0 : found->second), CellKind::kNumber});
  }
  for (const auto& [verdict, count] : summary.rejected) {
    if (verdict != "malformed" && verdict != "invalid") fields.push_back({verdict, number(count), CellKind::kNumber});
  }
  if (too_long > 0) fields.push_back({"too_long", number(too_long), CellKind::kNumber});
  if (sender.unacknowledged() > 0) fields.push_back({"not_acknowledged", number(sender.unacknowledged()), CellKind::kNumber});
  fields.push_back({"batches", number(summary.batches), CellKind::kNumber});
  fields.push_back({"retries", number(summary.retries), CellKind::kNumber});
  const double seconds = std::max(static_cast<double>(took_ns) / 1e9, 1e-3);
  fields.push_back(
      {"events_per_second", number(static_cast<std::uint64_t>(static_cast<double>(summary.received) / seconds)), CellKind::kNumber});
  fields.push_back({"run_id", run_id});
  Print(context, fields);

  for (const SendReject& reject : summary.rejects) {
    context.err() << "line " << reject.line << ": " << reject.verdict << (reject.field.empty() ? "" : ", " + reject.field) << ": "
                  << reject.cause << "\n";
  }
  const std::uint64_t hidden = summary.all_rejected() - std::min<std::uint64_t>(summary.all_rejected(), summary.rejects.size());
  if (!summary.rejects.empty() && hidden > 0)
    context.err() << "and " << WithThousands(hidden) << " more; all of them: sightline dead-letter ls\n";
  if (sender.first_unacknowledged() != 0) {
    context.err() << "not acknowledged from line " << sender.first_unacknowledged() << " on; send the file again with --run-id " << run_id
                  << ", and nothing counts twice\n";
  }
}

}  // namespace sightline::app
