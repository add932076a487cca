#pragma once

#include <memory>
#include <string>

#include "apps/sightline/server/offline_data.h"

namespace sightline::app {

// Answers requests of the API about the context's data directory: by the server that owns it or, when none does, in this process,
// which then owns the directory while this object lives. The context must outlive it. One thread.
class DataAccess {
 public:
  // Errors say what to do: no directory yet, a process that owns it and does not answer, a configuration that can't be read.
  static Result<DataAccess> Open(const Context& context, OfflineData::Needs needs);
  DataAccess(DataAccess&&) noexcept = default;
  DataAccess& operator=(DataAccess&&) noexcept = default;

  // The body of a 2xx answer; any other is an error of the kind that its status means. What takes long is seen to go on.
  Result<std::string> Ask(const HttpRequest& request);
  // Null while a server owns the directory.
  OfflineData* offline() { return offline_.get(); }
  const std::string& data() const { return data_; }

 private:
  explicit DataAccess(const Context& context) : context_(&context) {}
  const Context* context_;
  std::string data_;
  std::unique_ptr<Client> client_;
  std::unique_ptr<OfflineData> offline_;
};

}  // namespace sightline::app
