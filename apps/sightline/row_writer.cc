#include "apps/sightline/row_writer.h"

#include "sightline/tabular/arrow.h"
#include "sightline/tabular/csv.h"
#include "sightline/tabular/json.h"

namespace sightline::app {
namespace {

enum class FileFormat : std::uint8_t { kCsv, kNdjson, kParquet };
constexpr std::size_t kBufferBytes = 1U << 20;
constexpr const char* kPartial = ".partial";

Schema WithWindow(const Schema& rows) {
  Schema schema;
  schema.fields.push_back({.name = "window_start", .type = FieldType::kInt64});
  schema.fields.push_back({.name = "window_end", .type = FieldType::kInt64});
  schema.fields.insert(schema.fields.end(), rows.fields.begin(), rows.fields.end());
  return schema;
}

}  // namespace

struct RowWriter::Impl {
  runtime::FileSystem& files;
  std::string path;
  FileFormat format;
  std::unique_ptr<runtime::File> file;
  std::uint64_t position = 0;
  std::string buffer;
  bool begun = false;
  std::unique_ptr<tabular::ColumnarEncoder> parquet;

  Status Put(std::string_view bytes) {
    SL_TRY(file->WriteAt(position, bytes));
    position += bytes.size();
    return {};
  }
  Status Begin(const Schema& schema) {
    begun = true;
    if (format == FileFormat::kCsv) tabular::AppendCsvHeader(schema, buffer);
    if (format != FileFormat::kParquet) return {};
    SL_ASSIGN_OR_RETURN(parquet, tabular::MakeParquetEncoder(schema, [this](std::string_view bytes) { return Put(bytes); }));
    return {};
  }
  Status Flush() {
    SL_TRY(Put(buffer));
    buffer.clear();
    return {};
  }
};

RowWriter::RowWriter(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

RowWriter::~RowWriter() {
  if (impl_->file == nullptr) return;
  impl_->parquet.reset();  // ends its file
  impl_->file.reset();
  (void)impl_->files.Remove(impl_->path + kPartial);
}

Result<std::unique_ptr<RowWriter>> RowWriter::Make(runtime::FileSystem& files, const std::string& path) {
  FileFormat format = FileFormat::kCsv;
  if (path.ends_with(".parquet")) {
    format = FileFormat::kParquet;
  } else if (path.ends_with(".ndjson")) {
    format = FileFormat::kNdjson;
  } else if (!path.ends_with(".csv")) {
    return Fail(ErrorKind::kInvalidArgument, "--to " + path + ": the name must end in .csv, .ndjson or .parquet");
  }
  auto impl = std::make_unique<Impl>(Impl{
      .files = files, .path = path, .format = format, .file = nullptr, .position = 0, .buffer = {}, .begun = false, .parquet = nullptr});
  SL_ASSIGN_OR_RETURN(impl->file, files.Open(path + kPartial, runtime::OpenMode::kCreate));
  std::unique_ptr<RowWriter> writer(new RowWriter(std::move(impl)));
  SL_TRY(writer->impl_->file->Truncate(0));
  return writer;
}

Status RowWriter::Write(const ResultHeader& header, const ResultShape& shape, const ColumnBatch& rows) {
  const Schema schema = WithWindow(shape.schema);
  if (!impl_->begun) SL_TRY(impl_->Begin(schema));
  ColumnBatch all;
  all.rows = rows.rows;
  all.columns.resize(2);
  all.columns[0].int64s.assign(rows.rows, header.window_start.value);
  all.columns[1].int64s.assign(rows.rows, header.window_end.value);
  all.columns.insert(all.columns.end(), rows.columns.begin(), rows.columns.end());
  switch (impl_->format) {
    case FileFormat::kCsv: tabular::AppendCsvRows(schema, all, impl_->buffer); break;
    case FileFormat::kNdjson: tabular::AppendNdjson(schema, all, impl_->buffer); break;
    case FileFormat::kParquet: return impl_->parquet->Write(all);
  }
  return impl_->buffer.size() > kBufferBytes ? impl_->Flush() : Status();
}

Status RowWriter::Finish(const ResultShape& shape) {
  if (!impl_->begun) SL_TRY(impl_->Begin(WithWindow(shape.schema)));
  if (impl_->parquet) SL_TRY(impl_->parquet->Finish());
  SL_TRY(impl_->Flush());
  SL_TRY(impl_->file->Sync());
  SL_TRY(impl_->files.Rename(impl_->path + kPartial, impl_->path));
  impl_->file.reset();
  return {};
}

}  // namespace sightline::app
