#include "connectors/registry/contract_schemas.h"

#include <gtest/gtest.h>

#include "sightline/gate/testing/contracts.h"

namespace sightline::registry {
namespace {

using gate::SchemaFormat;

constexpr SchemaFormat kFormats[] = {SchemaFormat::kJson, SchemaFormat::kProtobuf, SchemaFormat::kAvro};

TEST(ContractSchemas, WhatWeRenderIsWhatTheContractSays) {
  for (const governance::Contract& contract : {gate::CameraEvents(), gate::EveryRule()}) {
    for (const SchemaFormat format : kFormats) {
      const auto compared = CompareSchema(contract, format, RenderSchema(contract, format));
      ASSERT_TRUE(compared) << compared.error().ToString() << RenderSchema(contract, format);
      EXPECT_TRUE(compared->conflicts.empty()) << compared->conflicts[0].field << " " << RenderSchema(contract, format);
      if (format == SchemaFormat::kProtobuf) {
        EXPECT_EQ(compared->messages, (std::vector<std::vector<std::int32_t>>{{0}}));
      }
    }
  }
}

void ExpectConflict(SchemaFormat format, const std::string& from, const std::string& to, const std::string& field,
                    const std::string& theirs) {
  const governance::Contract contract = gate::CameraEvents();
  std::string text = RenderSchema(contract, format);
  const std::size_t at = text.find(from);
  ASSERT_NE(at, std::string::npos) << from << " in " << text;
  text.replace(at, from.size(), to);
  const auto compared = CompareSchema(contract, format, text);
  ASSERT_TRUE(compared) << compared.error().ToString();
  ASSERT_EQ(compared->conflicts.size(), 1U) << text;
  EXPECT_EQ(compared->conflicts[0].field, field);
  EXPECT_EQ(compared->conflicts[0].schema, theirs);
  EXPECT_TRUE(compared->conflicts[0].contract.starts_with("int64, required")) << compared->conflicts[0].contract;
}

TEST(ContractSchemas, ConflictsNameFieldAndBothTypes) {
  ExpectConflict(SchemaFormat::kAvro, R"("name":"detection_oid","type":"long")", R"("name":"detection_oid","type":"string")",
                 "detection_oid", "string");
  ExpectConflict(SchemaFormat::kJson, R"("detection_oid":{"type":"integer")", R"("detection_oid":{"type":["string","null"])",
                 "detection_oid", "string");
  ExpectConflict(SchemaFormat::kProtobuf, "int64 detection_oid = 3", "string detection_oid = 3", "detection_oid", "string");
  ExpectConflict(SchemaFormat::kProtobuf, "int64 detection_oid = 3", "sint64 detection_oid = 3", "detection_oid", "sint64");
  ExpectConflict(SchemaFormat::kProtobuf, "int64 detection_oid = 3", "int64 detection_oid = 30", "detection_oid",
                 "missing in message CameraEvents");
  ExpectConflict(SchemaFormat::kProtobuf, "int64 detection_oid = 3", "repeated int64 detection_oid = 3", "detection_oid", "repeated int64");
}

TEST(ContractSchemas, AMessageIsFoundWhereverItStands) {
  const governance::Contract contract = gate::CameraEvents();
  const std::string ours = RenderSchema(contract, SchemaFormat::kProtobuf);
  const std::string message = ours.substr(ours.find("message "));
  const auto compared = CompareSchema(
      contract, SchemaFormat::kProtobuf,
      "syntax = \"proto3\";\nmessage Other { string a = 1; }\nmessage Outer { message Other { int32 b = 9; } " + message + "}\n");
  ASSERT_TRUE(compared) << compared.error().ToString();
  EXPECT_TRUE(compared->conflicts.empty());
  EXPECT_EQ(compared->messages, (std::vector<std::vector<std::int32_t>>{{1, 1}}));
}

TEST(ContractSchemas, WhatIsNoSchemaIsSaid) {
  const governance::Contract contract = gate::CameraEvents();
  for (const SchemaFormat format : kFormats)
    EXPECT_EQ(CompareSchema(contract, format, "message {").error().kind, ErrorKind::kInvalidArgument);
}

TEST(RegistryClient, ARegistryThatIsDownIsNamed) {
  const auto client = RegistryClient::Make(
      {.url = "http://127.0.0.1:1/apis", .user = "u", .password = "a-secret", .ca = {}, .timeout = std::chrono::seconds(2), .attempts = 2});
  ASSERT_TRUE(client);
  const auto found = (*client)->ById(7);
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().kind, ErrorKind::kUnavailable);
  EXPECT_NE(found.error().message.find("http://127.0.0.1:1/apis"), std::string::npos) << found.error().message;
  EXPECT_EQ(found.error().message.find("a-secret"), std::string::npos);
  EXPECT_EQ(RegistryClient::Make({.url = "registry:8080"}).error().kind, ErrorKind::kInvalidArgument);
}

}  // namespace
}  // namespace sightline::registry
