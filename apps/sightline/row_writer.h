#pragma once

#include <memory>
#include <string>

#include "sightline/base/result.h"
#include "sightline/model/result.h"
#include "sightline/runtime/file_system.h"

namespace sightline::app {

// Writes result rows to a file: .csv, .ndjson or .parquet by its name. The file appears under its name when Finish succeeds;
// until then it is NAME.partial, which goes if it never does. One thread.
class RowWriter {
 public:
  static Result<std::unique_ptr<RowWriter>> Make(runtime::FileSystem& files, const std::string& path);
  ~RowWriter();

  Status Write(const ResultHeader& header, const ResultShape& shape, const ColumnBatch& rows);
  // `shape` gives the columns where no row was written.
  Status Finish(const ResultShape& shape);

 private:
  struct Impl;
  explicit RowWriter(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace sightline::app
