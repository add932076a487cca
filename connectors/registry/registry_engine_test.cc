// The registry client and the gate's decoder behind it, against Apicurio Registry.
#include <gtest/gtest.h>
#include <unistd.h>

#include "connectors/registry/contract_schemas.h"
#include "connectors/registry/testing/registry_engine.h"
#include "sightline/gate/decoder.h"
#include "sightline/gate/testing/contracts.h"

namespace sightline::registry {
namespace {

using gate::SchemaFormat;

using testing::RegistryEngine;
using testing::WireValue;

class RegistryTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto client = RegistryClient::Make({.url = RegistryEngine::Get().url()});
    ASSERT_TRUE(client) << client.error().ToString();
    client_ = std::move(*client);
  }
  std::string Subject(const std::string& name) { return ValueSubject(name + std::to_string(getpid())); }
  std::unique_ptr<RegistryClient> client_;
  const governance::Contract contract_ = gate::CameraEvents();
};

TEST_F(RegistryTest, OurSchemasAreRegisteredOnceAndComeBack) {
  for (const auto& [name, format] :
       {std::pair("json", SchemaFormat::kJson), {"protobuf", SchemaFormat::kProtobuf}, {"avro", SchemaFormat::kAvro}}) {
    const std::string subject = Subject(name);
    EXPECT_FALSE(*client_->Latest(subject));
    for (int round = 0; round < 2; ++round) {
      const Status agreed = Agree(*client_, subject, contract_, format);
      ASSERT_TRUE(agreed) << agreed.error().ToString();
      const auto latest = client_->Latest(subject);
      ASSERT_TRUE(latest) << latest.error().ToString();
      ASSERT_TRUE(*latest);
      EXPECT_EQ((*latest)->version, 1);
      EXPECT_EQ((*latest)->format, format);
      const auto by_id = client_->ById((*latest)->id);
      ASSERT_TRUE(by_id) << by_id.error().ToString();
      EXPECT_TRUE(CompareSchema(contract_, by_id->format, by_id->text)->conflicts.empty());
    }
  }
  const auto subjects = client_->Subjects();
  ASSERT_TRUE(subjects);
  EXPECT_GE(subjects->size(), 3U);
}

TEST_F(RegistryTest, ARegisteredSchemaThatContradictsTheContractIsRefusedByName) {
  const std::string subject = Subject("wrong");
  std::string text = RenderSchema(contract_, SchemaFormat::kAvro);
  const std::string right = R"("name":"detection_oid","type":"long")";
  text.replace(text.find(right), right.size(), R"("name":"detection_oid","type":"string")");
  ASSERT_TRUE(client_->Register(subject, SchemaFormat::kAvro, text));
  const Status agreed = Agree(*client_, subject, contract_, SchemaFormat::kAvro);
  ASSERT_FALSE(agreed);
  EXPECT_EQ(agreed.error().kind, ErrorKind::kFailedPrecondition);
  EXPECT_NE(agreed.error().message.find("`detection_oid` is int64, required in the contract and string in the schema"), std::string::npos)
      << agreed.error().message;
}

TEST_F(RegistryTest, RecordsAreReadByTheirIds) {
  const std::string subject = Subject("events");
  ASSERT_TRUE(Agree(*client_, subject, contract_, SchemaFormat::kAvro));
  const std::uint32_t id = (*client_->Latest(subject))->id;
  RegistrySource source(*client_, contract_);
  gate::Decoder decoder(contract_, {});
  gate::Decoded decoded;
  const std::string avro = WireValue(id, std::string("\x02\x04\x06\x0cperson\x80\xa0\xf0\x8e\xf9\x62", 16));
  const std::string unknown = WireValue(2'000'000'000U, "x");
  const std::string impossible = WireValue(4'000'000'000U, "x");
  const std::vector<std::string_view> values = {avro, unknown, impossible};
  const Status read = decoder.DecodeWire(values, source, decoded);
  ASSERT_TRUE(read) << read.error().ToString();
  ASSERT_EQ(decoded.rows.rows, 1U) << decoded.rejects.at(0).cause;
  EXPECT_EQ(decoded.rows.columns[2].int64s[0], 3);
  EXPECT_EQ(decoded.rows.columns[3].strings[0], "person");
  ASSERT_EQ(decoded.rejects.size(), 2U);
  for (const gate::Reject& reject : decoded.rejects) EXPECT_EQ(reject.verdict, Verdict::kMalformed);
  EXPECT_NE(decoded.rejects[0].cause.find("2000000000"), std::string::npos) << decoded.rejects[0].cause;
  EXPECT_NE(decoded.rejects[1].cause.find("4000000000"), std::string::npos) << decoded.rejects[1].cause;
}

TEST_F(RegistryTest, WithoutTheRegistryNothingIsJudgedAndLaterEverythingIs) {
  const std::string subject = Subject("later");
  ASSERT_TRUE(Agree(*client_, subject, contract_, SchemaFormat::kJson));
  const std::uint32_t id = (*client_->Latest(subject))->id;
  auto fresh = RegistryClient::Make({.url = RegistryEngine::Get().url(), .timeout = std::chrono::seconds(2), .attempts = 1});
  ASSERT_TRUE(fresh);
  RegistrySource source(**fresh, contract_);
  gate::Decoder decoder(contract_, {});
  gate::Decoded decoded;
  const std::string record =
      WireValue(id, R"({"geographical_location_oid":1,"video_camera_oid":2,"detection_oid":3,"item_name":"a","timestamp_detected":4})");
  const std::vector<std::string_view> values = {record};
  ASSERT_TRUE(client_->ById(id));
  RegistryEngine::Get().Stop();
  const Status refused = decoder.DecodeWire(values, source, decoded);
  EXPECT_TRUE(client_->ById(id)) << "a schema that was read once needs no registry";
  RegistryEngine::Get().Start();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, ErrorKind::kUnavailable) << refused.error().ToString();
  EXPECT_NE(refused.error().message.find(RegistryEngine::Get().url()), std::string::npos) << refused.error().message;
  // It keeps its schemas in memory: after the restart ours is registered again.
  ASSERT_TRUE(Agree(*client_, subject, contract_, SchemaFormat::kJson));
  const std::uint32_t again = (*client_->Latest(subject))->id;
  const std::string anew = WireValue(again, std::string_view(record).substr(5));
  const std::vector<std::string_view> others = {anew};
  const Status read = decoder.DecodeWire(others, source, decoded);
  ASSERT_TRUE(read) << read.error().ToString();
  EXPECT_EQ(decoded.rows.rows, 1U);
}

}  // namespace
}  // namespace sightline::registry
