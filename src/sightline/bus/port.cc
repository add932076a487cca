#include "sightline/bus/port.h"

#include <future>

namespace sightline::bus {

Result<Appended> AppendAndWait(Bus& bus, const TopicPartition& to, const AppendBatch& batch) {
  std::promise<Result<Appended>> answer;
  auto future = answer.get_future();
  bus.Append(to, batch, [&answer](Result<Appended> result) { answer.set_value(std::move(result)); });
  return future.get();
}

}  // namespace sightline::bus
