// <data>/server.json: how the commands find the server that owns a data directory.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>

#include <nlohmann/json.hpp>

#include "apps/sightline/client.h"

namespace sightline::app {
namespace {

constexpr std::uint64_t kServerFileMax = 64U << 10;
constexpr std::uint64_t kTokenFileMax = 4096;

bool Runs(std::int64_t pid) { return pid > 0 && (kill(static_cast<pid_t>(pid), 0) == 0 || errno == EPERM); }

std::unexpected<Error> NoServer(const std::string& data, const std::string& more) {
  return Fail(ErrorKind::kNotFound,
              "no server runs on " + data + more + "; start one: sightline up --data " + data + " (or name another: --data DIR, --to URL)");
}

}  // namespace

Result<ServerInfo> FindServer(const World& world, const std::string& data) {
  const std::string path = data + "/server.json";
  const auto text = runtime::ReadFile(world.files, path, kServerFileMax);
  if (!text && text.error().kind == ErrorKind::kNotFound) return NoServer(data, "");
  if (!text) return std::unexpected(text.error());
  const nlohmann::json file = nlohmann::json::parse(*text, nullptr, false);
  if (!file.is_object() || !file.contains("pid") || !file["pid"].is_number_integer() || !file.contains("http") ||
      !file["http"].is_string()) {
    return Fail(ErrorKind::kCorruption, path + " is not what a server writes; remove it if no server runs");
  }
  ServerInfo info{.pid = file["pid"].get<std::int64_t>(), .url = file["http"].get<std::string>()};
  if (!Runs(info.pid)) return NoServer(data, " (process " + std::to_string(info.pid) + " has ended)");
  return info;
}

Status WriteServerFile(const std::string& data, const ServerInfo& info) {
  const std::string path = data + "/server.json";
  const std::string temporary = path + ".tmp";
  const std::string text = nlohmann::json{{"pid", info.pid}, {"http", info.url}}.dump() + "\n";
  (void)unlink(temporary.c_str());
  const int fd = open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, S_IRUSR | S_IWUSR);
  if (fd < 0) return FailErrno("creating " + temporary, errno);
  const bool written = write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size());
  const int failure = errno;
  close(fd);
  if (!written) return FailErrno("writing " + temporary, failure);
  if (rename(temporary.c_str(), path.c_str()) != 0) return FailErrno("renaming " + temporary, errno);
  return {};
}

Status RemoveServerFile(runtime::FileSystem& files, const std::string& data) { return files.Remove(data + "/server.json"); }

Result<std::string> FindToken(const World& world, const std::string& data) {
  if (world.environment) {
    if (auto token = world.environment("SIGHTLINE_TOKEN"); token && !token->empty()) return *token;
  }
  auto text = runtime::ReadFile(world.files, data + "/admin.token", kTokenFileMax);
  if (!text) {
    if (text.error().kind == ErrorKind::kNotFound) return "";
    return std::unexpected(std::move(text).error().In("the token in " + data + "/admin.token (or set SIGHTLINE_TOKEN)"));
  }
  while (!text->empty() && (text->back() == '\n' || text->back() == '\r')) text->pop_back();
  return std::move(*text);
}

}  // namespace sightline::app
