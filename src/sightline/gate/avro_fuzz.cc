// Avro records of hostile producers: the first byte picks the schema. libavro's own reader believes the lengths that a record claims, so it
// is no judge of such bytes; what is checked is that each record is judged once, and that a row's text lies within the record.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include "sightline/gate/decoder.h"
#include "sightline/gate/testing/contracts.h"
#include "sightline/gate/wire_schema.h"

namespace sightline::gate {
namespace {

class Schemas final : public SchemaSource {
 public:
  Result<WriterSchema> Find(std::uint32_t id) override {
    static constexpr const char* kSchemas[] = {
        R"({"type":"record","name":"E","fields":[{"name":"geographical_location_oid","type":"long"},{"name":"video_camera_oid","type":"int"},
           {"name":"detection_oid","type":["null","long"]},{"name":"item_name","type":"string"},{"name":"timestamp_detected","type":"long"}]})",
        R"({"type":"record","name":"L","fields":[{"name":"next","type":["null","L"]},{"name":"many","type":{"type":"array","items":"null"}},
           {"name":"item_name","type":{"type":"enum","name":"I","symbols":["a","b"]}}]})",
        R"({"type":"record","name":"M","fields":[{"name":"tags","type":{"type":"map","values":{"type":"array","items":["float","bytes"]}}},
           {"name":"raw","type":{"type":"fixed","name":"F","size":7}},{"name":"detection_oid","type":["boolean","double","long"]}]})"};
    return WriterSchema{.format = SchemaFormat::kAvro, .text = kSchemas[id % 3], .messages = {}, .unreadable = {}};
  }
};

}  // namespace
}  // namespace sightline::gate

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace sightline::gate;
  static const auto contract = CameraEvents();
  static Schemas schemas;
  static Decoder decoder(contract, {});
  if (size == 0) return 0;
  std::string value(4, '\0');
  value.append(reinterpret_cast<const char*>(data), size);
  const std::string_view one[] = {value};
  Decoded decoded;
  const auto status = decoder.DecodeWire(one, schemas, decoded);
  bool good = status.has_value() && decoded.rows.rows + decoded.rejects.size() == 1;
  if (good && decoded.rows.rows == 1 && value[4] % 3 == 0) {
    const std::string_view text = decoded.rows.columns[3].strings[0];
    good = text.empty() || (text.data() >= value.data() && text.data() + text.size() <= value.data() + value.size());
  }
  if (!good) {
    std::fprintf(stderr, "a record was judged %zu times, or its text lies elsewhere\n", decoded.rows.rows + decoded.rejects.size());
    std::abort();
  }
  return 0;
}
