#pragma once

#include <librdkafka/rdkafka.h>

#include <array>
#include <vector>

#include "connectors/kafka/client.h"

namespace sightline::kafka {

enum class Copying : std::uint8_t { kNo, kYes };

// Records with more headers take memory of their own.
inline constexpr std::size_t kHeadersUsual = 8;

// Hands one record to librdkafka's queue; a rd_kafka_resp_err_t.
inline int Produce(rd_kafka_t* client, rd_kafka_topic_t* topic, std::int32_t partition, const OutRecord& record, Copying copying,
                   void* opaque) {
  // The API takes payloads as void*, and copies keys and headers.
  const auto bytes = [](std::string_view view) { return const_cast<char*>(view.data()); };
  if (record.headers.empty()) {
    char none = 0;  // an empty value is not a missing one
    void* payload = record.null_value ? nullptr : record.value.empty() ? &none : bytes(record.value);
    const int flags = copying == Copying::kYes || record.value.empty() ? RD_KAFKA_MSG_F_COPY : 0;
    const void* key = record.key ? (record.key->empty() ? &none : record.key->data()) : nullptr;
    if (rd_kafka_produce(topic, partition, flags, payload, record.value.size(), key, record.key ? record.key->size() : 0, opaque) == 0) {
      return RD_KAFKA_RESP_ERR_NO_ERROR;
    }
    return rd_kafka_last_error();
  }
  constexpr std::size_t kOthers = 6;
  std::array<rd_kafka_vu_t, kOthers + kHeadersUsual> few{};
  std::vector<rd_kafka_vu_t> many;
  if (record.headers.size() > kHeadersUsual) many.resize(kOthers + record.headers.size());
  rd_kafka_vu_t* const parts = many.empty() ? few.data() : many.data();
  std::size_t count = 0;
  char none = 0;
  const auto add = [&](rd_kafka_vtype_t type) -> rd_kafka_vu_t& {
    rd_kafka_vu_t& part = parts[count++];
    part.vtype = type;
    return part;
  };
  add(RD_KAFKA_VTYPE_RKT).u.rkt = topic;
  add(RD_KAFKA_VTYPE_PARTITION).u.i32 = partition;
  add(RD_KAFKA_VTYPE_MSGFLAGS).u.i = copying == Copying::kYes || record.value.empty() ? RD_KAFKA_MSG_F_COPY : 0;
  add(RD_KAFKA_VTYPE_OPAQUE).u.ptr = opaque;
  rd_kafka_vu_t& value = add(RD_KAFKA_VTYPE_VALUE);
  value.u.mem.ptr = record.null_value ? nullptr : record.value.empty() ? &none : bytes(record.value);
  value.u.mem.size = record.value.size();
  if (record.key) {
    rd_kafka_vu_t& key = add(RD_KAFKA_VTYPE_KEY);
    key.u.mem.ptr = record.key->empty() ? &none : bytes(*record.key);
    key.u.mem.size = record.key->size();
  }
  for (const RecordHeader& one : record.headers) {
    rd_kafka_vu_t& header = add(RD_KAFKA_VTYPE_HEADER);
    header.u.header.name = one.name.data();
    header.u.header.val = one.value.data();
    header.u.header.size = static_cast<ssize_t>(one.value.size());
  }
  rd_kafka_error_t* error = rd_kafka_produceva(client, parts, count);
  if (error == nullptr) return RD_KAFKA_RESP_ERR_NO_ERROR;
  const int code = rd_kafka_error_code(error);
  rd_kafka_error_destroy(error);
  return code;
}

}  // namespace sightline::kafka
