#include "apps/sightline/data_access.h"

#include "apps/sightline/progress.h"

namespace sightline::app {
namespace {

// Whether somebody answers at all. A server that was killed leaves its file, and its process id may be another's by now.
bool Answers(Client& client) {
  const auto answer = client.Ask({.method = "OPTIONS", .target = "/v1/session", .headers = {}, .body = {}});
  return answer || answer.error().kind != ErrorKind::kUnavailable;
}

}  // namespace

Result<DataAccess> DataAccess::Open(const Context& context, OfflineData::Needs needs) {
  DataAccess access(context);
  SL_ASSIGN_OR_RETURN(access.data_, context.DataDirectory());
  const auto server = FindServer(context.world, access.data_);
  if (!server && server.error().kind != ErrorKind::kNotFound) return std::unexpected(server.error());
  std::string silent;
  if (server) {
    SL_ASSIGN_OR_RETURN(Client client, Client::Find(context));
    if (Answers(client)) {
      access.client_ = std::make_unique<Client>(std::move(client));
      return access;
    }
    silent =
        "; " + access.data_ + "/server.json names process " + std::to_string(server->pid) + " at " + server->url + ", where nobody answers";
  }
  auto offline = OfflineData::Open(context, access.data_, needs);
  if (!offline) {
    Error error = std::move(offline).error();
    error.message += silent;
    return std::unexpected(std::move(error));
  }
  access.offline_ = std::move(*offline);
  return access;
}

Result<std::string> DataAccess::Ask(const HttpRequest& request) {
  const Working working(*context_);
  if (client_) {
    SL_ASSIGN_OR_RETURN(HttpResponse response, client_->AskForSuccess(request));
    return std::move(response.body);
  }
  SL_ASSIGN_OR_RETURN(HttpResponse response, offline_->Ask(request));
  if (response.status >= 200 && response.status < 300) return std::move(response.body);
  return std::unexpected(ErrorOf(response));
}

}  // namespace sightline::app
