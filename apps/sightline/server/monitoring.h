#pragma once

#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "sightline/bus/port.h"
#include "sightline/flow/task.h"
#include "sightline/ops/log.h"
#include "sightline/runtime/runtime.h"

namespace sightline::app {

// What a process says of itself every second.
struct ProcessReport {
  std::string process;  // of one run of it
  std::string host;
  std::string roles;
  std::string version;
  WallTime at;
  std::vector<flow::TaskStatus> tasks;  // without the sets of what was replayed
};
std::string EncodeReport(const ProcessReport& report);
// kCorruption when it is none; what a newer version adds is left out.
Result<ProcessReport> DecodeReport(std::string_view json);

// Where several processes share the work, each says in the topic `monitoring` how far it is, and hears the others: so every replica of
// the API shows the same. Thread-safe.
class Monitoring {
 public:
  struct Options {
    std::chrono::milliseconds every{1'000};
    std::chrono::milliseconds silent_after{10'000};  // who says nothing for so long is gone
    bool listen = true;
  };
  // `own` is asked for what to say. Both outlive the object.
  static Result<std::unique_ptr<Monitoring>> Start(bus::Bus& bus, const runtime::Clock& clock, std::function<ProcessReport()> own,
                                                   Options options, const ops::Log& log);
  ~Monitoring();
  Monitoring(const Monitoring&) = delete;
  Monitoring& operator=(const Monitoring&) = delete;

  // The newest of each process that was heard of lately; this one's among them once it was read back.
  std::vector<ProcessReport> reports() const;
  // The tasks of all processes, each once: of the one that spoke of it last.
  std::vector<flow::TaskStatus> tasks() const;

 private:
  Monitoring(bus::Bus& bus, const runtime::Clock& clock, std::function<ProcessReport()> own, Options options, const ops::Log& log)
      : bus_(bus), clock_(clock), own_(std::move(own)), options_(options), log_(log) {}
  void Run();
  Status Say();
  Status Hear();

  bus::Bus& bus_;
  const runtime::Clock& clock_;
  const std::function<ProcessReport()> own_;
  const Options options_;
  const ops::Log log_;
  std::unique_ptr<bus::Reader> reader_;  // of the thread
  mutable std::mutex mutex_;
  std::map<std::string, ProcessReport> heard_;  // by process
  std::mutex stop_mutex_;
  std::condition_variable stop_wake_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace sightline::app
