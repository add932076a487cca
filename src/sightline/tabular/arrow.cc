#include "sightline/tabular/arrow.h"

#include <optional>
#include <utility>

#include <arrow/array/builder_binary.h>
#include <arrow/array/builder_primitive.h>
#include <arrow/io/interfaces.h>
#include <arrow/ipc/writer.h>
#include <arrow/record_batch.h>
#include <arrow/table.h>
#include <arrow/type.h>
#include <parquet/arrow/writer.h>
#include <parquet/properties.h>

namespace sightline::tabular {
namespace {

std::unexpected<Error> FromArrow(const arrow::Status& status) {
  if (status.IsOutOfMemory()) return Fail(ErrorKind::kResourceExhausted, "out of memory while encoding rows");
  if (status.IsIOError()) return Fail(ErrorKind::kIo, "writing encoded rows: " + status.message());
  return Fail(ErrorKind::kInternal, "encoding rows: " + status.ToString());
}

#define SL_ARROW_TRY(expression)                                \
  do {                                                          \
    if (auto arrow_status = (expression); !arrow_status.ok()) { \
      return FromArrow(arrow_status);                           \
    }                                                           \
  } while (false)

// Arrow's side of a ByteSink. Keeps the sink's own error, so that it is not reworded on its way through Arrow.
class SinkStream final : public arrow::io::OutputStream {
 public:
  explicit SinkStream(ByteSink sink) : sink_(std::move(sink)) { set_mode(arrow::io::FileMode::WRITE); }

  arrow::Status Close() override {
    closed_ = true;
    return arrow::Status::OK();
  }
  bool closed() const override { return closed_; }
  arrow::Result<std::int64_t> Tell() const override { return position_; }
  arrow::Status Write(const void* data, std::int64_t size) override {
    if (error_) return arrow::Status::IOError("the sink has failed before");
    auto written = sink_(std::string_view(static_cast<const char*>(data), static_cast<std::size_t>(size)));
    if (!written) {
      error_ = std::move(written).error();
      return arrow::Status::IOError(error_->message);
    }
    position_ += size;
    return arrow::Status::OK();
  }
  std::optional<Error>& error() { return error_; }

 private:
  ByteSink sink_;
  std::optional<Error> error_;
  std::int64_t position_ = 0;
  bool closed_ = false;
};

std::shared_ptr<arrow::DataType> TypeOf(FieldType type) {
  switch (type) {
    case FieldType::kInt64: return arrow::int64();
    case FieldType::kDouble: return arrow::float64();
    case FieldType::kBool: return arrow::boolean();
    case FieldType::kString: return arrow::utf8();
  }
  return arrow::null();
}

std::shared_ptr<arrow::Schema> ToArrow(const Schema& schema) {
  arrow::FieldVector fields;
  for (const Field& field : schema.fields) fields.push_back(arrow::field(field.name, TypeOf(field.type), field.nullable));
  return arrow::schema(std::move(fields));
}

template <typename Builder, typename Values>
arrow::Result<std::shared_ptr<arrow::Array>> Build(const Column& column, std::size_t rows, const Values& value) {
  Builder builder;
  ARROW_RETURN_NOT_OK(builder.Reserve(static_cast<std::int64_t>(rows)));
  for (std::size_t row = 0; row < rows; ++row) {
    ARROW_RETURN_NOT_OK(column.IsNull(row) ? builder.AppendNull() : builder.Append(value(row)));
  }
  return builder.Finish();
}

arrow::Result<std::shared_ptr<arrow::Array>> ToArrow(const Column& column, std::size_t rows) {
  switch (column.type) {
    case FieldType::kInt64: return Build<arrow::Int64Builder>(column, rows, [&](std::size_t row) { return column.int64s[row]; });
    case FieldType::kDouble: return Build<arrow::DoubleBuilder>(column, rows, [&](std::size_t row) { return column.doubles[row]; });
    case FieldType::kBool: return Build<arrow::BooleanBuilder>(column, rows, [&](std::size_t row) { return column.int64s[row] != 0; });
    case FieldType::kString: return Build<arrow::StringBuilder>(column, rows, [&](std::size_t row) { return column.strings[row]; });
  }
  return arrow::Status::Invalid("unknown column type");
}

arrow::Result<std::shared_ptr<arrow::RecordBatch>> ToArrow(const std::shared_ptr<arrow::Schema>& schema, const ColumnBatch& batch) {
  arrow::ArrayVector arrays;
  for (int c = 0; c < schema->num_fields(); ++c) {
    ARROW_ASSIGN_OR_RAISE(auto array, ToArrow(batch.columns[static_cast<std::size_t>(c)], batch.rows));
    arrays.push_back(std::move(array));
  }
  return arrow::RecordBatch::Make(schema, static_cast<std::int64_t>(batch.rows), std::move(arrays));
}

class ArrowStreamEncoder final : public ColumnarEncoder {
 public:
  ArrowStreamEncoder(std::shared_ptr<SinkStream> stream, std::shared_ptr<arrow::Schema> schema,
                     std::shared_ptr<arrow::ipc::RecordBatchWriter> writer)
      : stream_(std::move(stream)), schema_(std::move(schema)), writer_(std::move(writer)) {}

  Status Write(const ColumnBatch& batch) override {
    if (batch.rows == 0) return {};
    auto converted = ToArrow(schema_, batch);
    if (!converted.ok()) return FromArrow(converted.status());
    return Done(writer_->WriteRecordBatch(**converted));
  }
  Status Finish() override { return Done(writer_->Close()); }

 private:
  Status Done(const arrow::Status& status) {
    if (stream_->error()) return std::unexpected(*stream_->error());
    SL_ARROW_TRY(status);
    return {};
  }
  std::shared_ptr<SinkStream> stream_;
  std::shared_ptr<arrow::Schema> schema_;
  std::shared_ptr<arrow::ipc::RecordBatchWriter> writer_;
};

// Buffered row groups: Arrow gathers batches until a row group is full, so that small batches do not become small groups.
class ParquetEncoder final : public ColumnarEncoder {
 public:
  ParquetEncoder(std::shared_ptr<SinkStream> stream, std::shared_ptr<arrow::Schema> schema,
                 std::unique_ptr<parquet::arrow::FileWriter> writer)
      : stream_(std::move(stream)), schema_(std::move(schema)), writer_(std::move(writer)) {}

  Status Write(const ColumnBatch& batch) override {
    if (batch.rows == 0) return {};
    auto converted = ToArrow(schema_, batch);
    if (!converted.ok()) return FromArrow(converted.status());
    return Done(writer_->WriteRecordBatch(**converted));
  }
  Status Finish() override { return Done(writer_->Close()); }

 private:
  Status Done(const arrow::Status& status) {
    if (stream_->error()) return std::unexpected(*stream_->error());
    SL_ARROW_TRY(status);
    return {};
  }
  std::shared_ptr<SinkStream> stream_;
  std::shared_ptr<arrow::Schema> schema_;
  std::unique_ptr<parquet::arrow::FileWriter> writer_;
};

}  // namespace

Result<std::unique_ptr<ColumnarEncoder>> MakeArrowStreamEncoder(const Schema& schema, ByteSink sink) {
  auto stream = std::make_shared<SinkStream>(std::move(sink));
  auto arrow_schema = ToArrow(schema);
  auto writer = arrow::ipc::MakeStreamWriter(stream, arrow_schema);
  if (stream->error()) return std::unexpected(*stream->error());
  if (!writer.ok()) return FromArrow(writer.status());
  return std::make_unique<ArrowStreamEncoder>(std::move(stream), std::move(arrow_schema), *std::move(writer));
}

Result<std::unique_ptr<ColumnarEncoder>> MakeParquetEncoder(const Schema& schema, ByteSink sink) {
  auto stream = std::make_shared<SinkStream>(std::move(sink));
  auto arrow_schema = ToArrow(schema);
  auto properties = parquet::WriterProperties::Builder()
                        .compression(parquet::Compression::ZSTD)
                        ->max_row_group_length(1 << 20)
                        ->created_by("sightline")
                        ->build();
  auto writer = parquet::arrow::FileWriter::Open(*arrow_schema, arrow::default_memory_pool(), stream, properties);
  if (stream->error()) return std::unexpected(*stream->error());
  if (!writer.ok()) return FromArrow(writer.status());
  return std::make_unique<ParquetEncoder>(std::move(stream), std::move(arrow_schema), *std::move(writer));
}

}  // namespace sightline::tabular
