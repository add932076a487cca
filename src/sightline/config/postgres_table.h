#pragma once

#include "sightline/config/property.h"

// The parts of the table that are about Postgres.
namespace sightline::config {

namespace internal {

inline constexpr std::string_view kPostgresTlsModes[] = {"disable", "prefer", "require", "verify-ca", "verify-full"};

inline constexpr Property kPostgresTlsProperties[] = {
    {.name = "mode",
     .type = ValueType::kChoice,
     .help = "How much of the server's certificate is asked for. Left out: what the URL says (`sslmode`), else `verify-full`, and `prefer` "
             "for an address of this machine.",
     .choices = kPostgresTlsModes,
     .access = Bind<&PostgresTlsConfig::mode, ValueType::kChoice>()},
    {.name = "ca",
     .type = ValueType::kPath,
     .help = "PEM file of the authority that signs the server's certificate. Left out: the system's list.",
     .example = "tls/ca.pem",
     .access = Bind<&PostgresTlsConfig::ca, ValueType::kPath>()},
    {.name = "certificate",
     .type = ValueType::kPath,
     .help = "PEM file of a certificate that shows who we are.",
     .access = Bind<&PostgresTlsConfig::certificate, ValueType::kPath>()},
    {.name = "key",
     .type = ValueType::kPath,
     .help = "PEM file of its private key; readable by this user alone.",
     .access = Bind<&PostgresTlsConfig::key, ValueType::kPath>()},
};
inline constexpr Section kPostgresTls{"tls", "TLS to the Postgres server.", kPostgresTlsProperties};

inline constexpr Property kPostgresReferenceProperties[] = {
    {.name = "url",
     .type = ValueType::kSecret,
     .help = "The connection, `postgresql://USER:PASSWORD@HOST:PORT/DATABASE`; a role with REPLICATION.",
     .example = "{env: PG_URL}",
     .required = true,
     .access = Bind<&PostgresReferenceConfig::url, ValueType::kSecret>()},
    {.name = "tls",
     .type = ValueType::kSection,
     .help = kPostgresTls.help,
     .access = BindSection<&PostgresReferenceConfig::tls>(),
     .section = &kPostgresTls},
    {.name = "table",
     .type = ValueType::kText,
     .help = "The table, as `NAME` or `SCHEMA.NAME`. It needs a replica identity: a primary key, or REPLICA IDENTITY FULL.",
     .example = "public.locations",
     .required = true,
     .access = Bind<&PostgresReferenceConfig::table, ValueType::kText>()},
    {.name = "slot",
     .type = ValueType::kName,
     .help = "The replication slot, made when it is missing. Left out: `sightline_` and the reference's name.",
     .access = Bind<&PostgresReferenceConfig::slot, ValueType::kName>()},
    {.name = "publication",
     .type = ValueType::kName,
     .help = "The publication of the table, made when it is missing. Left out: `sightline_` and the reference's name.",
     .access = Bind<&PostgresReferenceConfig::publication, ValueType::kName>()},
    {.name = "lag_max",
     .type = ValueType::kBytes,
     .default_text = "1GiB",
     .help = "An alarm (log and metric) when the server keeps more of its log for this slot.",
     .min = 1 << 20,
     .max = std::int64_t{1} << 50,
     .access = Bind<&PostgresReferenceConfig::lag_max, ValueType::kBytes>()},
    {.name = "heartbeat",
     .type = ValueType::kDuration,
     .default_text = "10s",
     .help = "How often the position is confirmed while the table rests, so that the server can remove its log.",
     .min = 100,
     .max = 600'000,
     .access = Bind<&PostgresReferenceConfig::heartbeat, ValueType::kDuration>()},
    {.name = "connect_timeout",
     .type = ValueType::kDuration,
     .default_text = "10s",
     .help = "How long a connection may take to come about.",
     .min = 100,
     .max = 600'000,
     .access = Bind<&PostgresReferenceConfig::connect_timeout, ValueType::kDuration>()},
    {.name = "statement_timeout",
     .type = ValueType::kDuration,
     .default_text = "30s",
     .help = "How long a statement may take; reading the table is one.",
     .min = 100,
     .max = 3'600'000,
     .access = Bind<&PostgresReferenceConfig::statement_timeout, ValueType::kDuration>()},
};
inline constexpr Section kPostgresReference{
    "postgres", "A table of a Postgres database, followed by logical replication. Either this or `from`.", kPostgresReferenceProperties};

}  // namespace internal

constexpr const Section& PostgresTlsSection() { return internal::kPostgresTls; }
constexpr const Section& PostgresReferenceSection() { return internal::kPostgresReference; }

}  // namespace sightline::config
