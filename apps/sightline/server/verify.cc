#include "apps/sightline/server/verify.h"

#include <nlohmann/json.hpp>

namespace sightline::app {

Result<std::string> VerifyJson(bus::LogBus& bus, const std::string& topic) {
  using Json = nlohmann::ordered_json;
  SL_ASSIGN_OR_RETURN(const std::vector<bus::VerifyReport> reports, bus.Verify(topic));
  Json out = {{"topic", topic}, {"holds", true}, {"partitions", Json::array()}};
  for (std::size_t p = 0; p < reports.size(); ++p) {
    const bus::VerifyReport& report = reports[p];
    // What opening the log cut off: records that no sender was told are there.
    std::uint64_t torn = 0;
    std::vector<std::string> remarks = report.remarks;
    for (const bus::LogBus::Recovered& recovered : bus.recovered()) {
      if (recovered.partition.topic != topic || recovered.partition.partition.value != static_cast<std::int32_t>(p)) continue;
      torn = recovered.report.cut_bytes;
      for (const std::string& file : recovered.report.damaged_sidecars)
        remarks.push_back(file + ": the description of a segment that retention removed is damaged; no record is lost by that");
    }
    Json damages = Json::array();
    for (const bus::Damage& damage : report.damages) {
      damages.push_back({{"from", damage.from.value}, {"to", damage.to.value}, {"file", damage.file}, {"position", damage.position}});
    }
    if (!report.damages.empty()) out["holds"] = false;
    out["partitions"].push_back({{"partition", p},
                                 {"batches", report.batches},
                                 {"records", report.records},
                                 {"bytes", report.bytes},
                                 {"repaired", report.repaired},
                                 {"torn_tail_bytes", torn},
                                 {"remarks", remarks},
                                 {"damages", std::move(damages)}});
  }
  return out.dump();
}

}  // namespace sightline::app
