#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <iostream>
#include <thread>

#include "sightline/runtime/clock.h"
#include "sightline/runtime/posix_file_system.h"

#include "apps/sightline/commands.h"
#include "apps/sightline/framework.h"

int main(int argc, char** argv) {
  std::ios::sync_with_stdio(false);
  std::signal(SIGPIPE, SIG_IGN);  // a closed pipe or connection is an error value, not the end
  sightline::runtime::SystemClock clock;
  sightline::runtime::PosixFileSystem files;
  sightline::app::World world{
      .clock = clock,
      .files = files,
      .in = std::cin,
      .out = std::cout,
      .err = std::cerr,
      .out_is_terminal = isatty(STDOUT_FILENO) == 1,
      .err_is_terminal = isatty(STDERR_FILENO) == 1,
      .environment = [](const std::string& name) -> std::optional<std::string> {
        const char* value = std::getenv(name.c_str());
        return value == nullptr ? std::nullopt : std::optional<std::string>(value);
      },
      .sleep = [](std::chrono::milliseconds time) { std::this_thread::sleep_for(time); },
  };
  sightline::app::CommandLine line(world);
  sightline::app::AddAllCommands(line);
  return line.Main({argv + 1, argv + argc});
}
