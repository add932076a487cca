#include "sightline/stores/objects/testing/engine.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <utility>

#include "sightline/runtime/random.h"

namespace sightline::stores::testing {

Engine::Engine(std::string name, std::map<std::string, std::string> environment)
    : name_(std::move(name)), environment_(std::move(environment)) {}

Engine::~Engine() {
  Run("stop");
  Run("wipe");
}

std::string Engine::Line(const std::string& command) const {
  std::string line;
  for (const auto& [name, value] : environment_) line += name + "='" + value + "' ";
  return line + "tools/engines/engines " + name_ + " " + command + " 2>&1";
}

std::string Engine::Output(const std::string& command) {
  std::string output;
  FILE* pipe = ::popen(Line(command).c_str(), "r");
  if (pipe == nullptr) return "";
  std::array<char, 4096> buffer{};
  while (const std::size_t got = std::fread(buffer.data(), 1, buffer.size(), pipe)) output.append(buffer.data(), got);
  if (::pclose(pipe) != 0) ADD_FAILURE() << Line(command) << "\n" << output;
  return output;
}

bool Engine::Run(const std::string& command) {
  const bool failed_before = ::testing::Test::HasFailure();
  Output(command);
  return failed_before || !::testing::Test::HasFailure();
}

std::uint16_t FreePort(int more) {
  runtime::Random random(runtime::SystemEntropy());
  const auto is_free = [](std::uint16_t port) {
    const int socket = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const bool bound = ::bind(socket, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
    ::close(socket);
    return bound;
  };
  for (int tries = 0; tries < 1000; ++tries) {
    // Below the range that the system hands out by itself.
    const auto port = static_cast<std::uint16_t>(20'000 + random.Below(12'000));
    bool all = true;
    for (int i = 0; i <= more; ++i) all = all && is_free(static_cast<std::uint16_t>(port + i));
    if (all) return port;
  }
  ADD_FAILURE() << "no free port";
  return 0;
}

namespace {

using Key = std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)>;
using Certificate = std::unique_ptr<X509, decltype(&X509_free)>;

void AddExtension(X509* certificate, X509* issuer, int kind, const char* value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, kind, value);
  EXPECT_NE(extension, nullptr) << value;
  X509_add_ext(certificate, extension, -1);
  X509_EXTENSION_free(extension);
}

Certificate MakeCertificate(EVP_PKEY* key, const char* name, X509* issuer, EVP_PKEY* issuer_key, long from_s, long to_s) {
  Certificate certificate(X509_new(), &X509_free);
  X509_set_version(certificate.get(), 2);
  ASN1_INTEGER_set_uint64(X509_get_serialNumber(certificate.get()), runtime::SystemEntropy() >> 1);
  X509_gmtime_adj(X509_getm_notBefore(certificate.get()), from_s);
  X509_gmtime_adj(X509_getm_notAfter(certificate.get()), to_s);
  X509_set_pubkey(certificate.get(), key);
  X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate.get()), "CN", MBSTRING_ASC, reinterpret_cast<const unsigned char*>(name), -1,
                             -1, 0);
  X509* signer = issuer == nullptr ? certificate.get() : issuer;
  X509_set_issuer_name(certificate.get(), X509_get_subject_name(signer));
  if (issuer == nullptr) {
    AddExtension(certificate.get(), signer, NID_basic_constraints, "critical,CA:TRUE");
    AddExtension(certificate.get(), signer, NID_key_usage, "critical,keyCertSign");
  } else {
    AddExtension(certificate.get(), signer, NID_subject_alt_name, "IP:127.0.0.1,DNS:localhost");
  }
  EXPECT_GT(X509_sign(certificate.get(), issuer_key, EVP_sha256()), 0);
  return certificate;
}

template <typename Write>
void WritePem(const std::string& path, const Write& write) {
  FILE* file = std::fopen(path.c_str(), "w");
  ASSERT_NE(file, nullptr) << path;
  EXPECT_EQ(write(file), 1);
  std::fclose(file);
}

}  // namespace

void MakeCertificates(const std::string& directory, Validity validity) {
  constexpr long kHour = 3600;
  const Key ca_key(EVP_EC_gen("P-256"), &EVP_PKEY_free);
  const Key key(EVP_EC_gen("P-256"), &EVP_PKEY_free);
  const Certificate ca = MakeCertificate(ca_key.get(), "sightline test authority", nullptr, ca_key.get(), -48 * kHour, 48 * kHour);
  const Certificate server =
      MakeCertificate(key.get(), "localhost", ca.get(), ca_key.get(), -24 * kHour, validity == Validity::kNow ? 24 * kHour : -kHour);
  WritePem(directory + "/ca.pem", [&](FILE* file) { return PEM_write_X509(file, ca.get()); });
  WritePem(directory + "/server.pem", [&](FILE* file) { return PEM_write_X509(file, server.get()); });
  WritePem(directory + "/server.key",
           [&](FILE* file) { return PEM_write_PrivateKey(file, key.get(), nullptr, nullptr, 0, nullptr, nullptr); });
}

ScratchDirectory::ScratchDirectory() {
  std::string pattern = (std::filesystem::temp_directory_path() / "sightline-test-XXXXXX").string();
  EXPECT_NE(::mkdtemp(pattern.data()), nullptr);
  path_ = pattern;
}

ScratchDirectory::~ScratchDirectory() { std::filesystem::remove_all(path_); }

}  // namespace sightline::stores::testing
