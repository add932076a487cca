#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "bench/load/connection.h"

namespace sightline::bench {

// The words name=value of the command line. A name that nobody asks for is a mistake, told by Finish.
class Options {
 public:
  Options(int count, char** words);
  std::int64_t Number(const std::string& name, std::int64_t otherwise);
  std::string Text(const std::string& name);
  // server=HOST:PORT and token=FILE
  Server TakeServer();
  void Finish() const;

 private:
  std::map<std::string, std::string> values_;
};

// The modes of the program; each prints one line of JSON.
void Fill(Options& options);
void Live(Options& options);

}  // namespace sightline::bench
