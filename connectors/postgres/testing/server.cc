#include "connectors/postgres/testing/server.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <stdexcept>

namespace sightline::postgres::testing {
namespace {

constexpr const char* kScript = "tools/engines/postgres/postgres.sh";

int FreePort() {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  auto* generic = reinterpret_cast<sockaddr*>(&address);
  if (fd < 0 || bind(fd, generic, size) != 0 || getsockname(fd, generic, &size) != 0) throw std::runtime_error("no free port");
  close(fd);
  return ntohs(address.sin_port);
}

std::string Quoted(const std::string& text) {
  std::string out = "'";
  for (const char c : text) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return out + "'";
}

}  // namespace

Server::Server(Tls tls, std::string options) : port_(FreePort()), tls_(tls), options_(std::move(options)) {
  folder_ = Run("folder");
  Start();
}

Server::~Server() {
  try {
    Run("kill");
    Run("wipe");
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
  }
}

std::string Server::Run(const std::string& arguments) const {
  const char* tls = tls_ == Tls::kOff ? "off" : tls_ == Tls::kOn ? "on" : "expired";
  const std::string command = "POSTGRES_PORT=" + std::to_string(port_) + " POSTGRES_TLS=" + tls + " POSTGRES_OPTIONS=" + Quoted(options_) +
                              " " + kScript + " " + arguments + " 2>&1 </dev/null";
  const std::unique_ptr<FILE, int (*)(FILE*)> pipe(popen(command.c_str(), "re"), [](FILE*) { return 0; });
  if (!pipe) throw std::runtime_error("cannot run " + std::string(kScript));
  std::string out;
  char buffer[4096];
  while (const std::size_t got = std::fread(buffer, 1, sizeof buffer, pipe.get())) out.append(buffer, got);
  const int status = pclose(pipe.get());
  while (!out.empty() && out.back() == '\n') out.pop_back();
  if (status != 0) throw std::runtime_error(std::string(kScript) + " " + arguments + ": " + out);
  return out;
}

void Server::Start() {
  // The server keeps the pipe open: its output goes elsewhere.
  Run("start >/dev/null");
}

std::string Server::Psql(const std::string& sql, const std::string& database) const {
  return Run("psql -XAtqv ON_ERROR_STOP=1 -d " + Quoted(database) + " -c " + Quoted(sql));
}

ConnectionOptions Server::Connection(const std::string& database, const std::string& user, const std::string& password) const {
  std::string secret = password;
  if (user.empty()) std::ifstream(folder_ + "/password") >> secret;
  ConnectionOptions options;
  options.url = "postgresql://" + (user.empty() ? "lab" : user) + ":" + secret + "@127.0.0.1:" + std::to_string(port_) + "/" + database;
  options.url_source = "env PG_URL";
  return options;
}

Server& SharedServer() {
  static Server server;
  return server;
}

std::string FreshDatabase(Server& server) {
  static std::atomic<int> number = 0;
  const std::string name = "test_" + std::to_string(number++);
  server.Psql("create database " + name);
  return name;
}

}  // namespace sightline::postgres::testing
