#pragma once

#include <condition_variable>
#include <mutex>
#include <thread>
#include <vector>

#include "sightline/flow/plan.h"
#include "sightline/serve/live/live_board.h"

namespace sightline::app {

// Early results of the pipelines that run over all partitions: a few times a second the open windows of the pipeline they read
// from are taken off the live board, added up and put on it. Owns its thread.
class OverallLive {
 public:
  OverallLive(const flow::Plan& plan, serve::LiveBoard& board);
  ~OverallLive();
  OverallLive(const OverallLive&) = delete;
  OverallLive& operator=(const OverallLive&) = delete;

 private:
  struct Member {
    const flow::PipelinePlan* plan;
    std::shared_ptr<const ResultShape> shape;
    std::size_t from;  // SIZE_MAX: the root's input
  };
  struct Family {
    std::string parent;
    std::vector<Member> members;
  };
  void Run();
  void PublishFamily(const Family& family);

  const flow::Plan& plan_;
  serve::LiveBoard& board_;
  std::vector<Family> families_;
  std::mutex mutex_;
  std::condition_variable wake_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace sightline::app
