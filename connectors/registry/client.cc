#include "connectors/registry/client.h"

#include <curl/curl.h>

#include <nlohmann/json.hpp>
#include <thread>

namespace sightline::registry {
namespace {

using nlohmann::json;
using std::chrono::milliseconds;

constexpr std::size_t kAnswerBytesMax = 16ULL << 20;
constexpr milliseconds kBackoff{200};
constexpr int kSchemaNotFound = 40403;
constexpr std::size_t kKnownMax = 100'000;

std::string_view FormatName(gate::SchemaFormat format) {
  switch (format) {
    case gate::SchemaFormat::kJson: return "JSON";
    case gate::SchemaFormat::kProtobuf: return "PROTOBUF";
    case gate::SchemaFormat::kAvro: return "AVRO";
  }
  return "AVRO";
}

std::size_t Append(char* bytes, std::size_t size, std::size_t count, void* to) {
  auto* body = static_cast<std::string*>(to);
  if (body->size() + size * count > kAnswerBytesMax) return 0;
  body->append(bytes, size * count);
  return size * count;
}

struct FreeHeaders {
  void operator()(curl_slist* list) const { curl_slist_free_all(list); }
};

Result<RegisteredSchema> SchemaOf(const json& answer) {
  RegisteredSchema schema;
  if (!answer.is_object() || !answer.contains("schema") || !answer["schema"].is_string()) {
    return Fail(ErrorKind::kUnavailable, "the registry's answer holds no schema");
  }
  schema.text = answer["schema"].get<std::string>();
  const std::string type = answer.value("schemaType", "AVRO");  // left out for Avro
  if (type == "JSON") {
    schema.format = gate::SchemaFormat::kJson;
  } else if (type == "PROTOBUF") {
    schema.format = gate::SchemaFormat::kProtobuf;
  } else if (type != "AVRO") {
    return Fail(ErrorKind::kInvalidArgument, "the registry has a schema of the language " + type + "; AVRO, JSON and PROTOBUF are read");
  }
  schema.id = answer.value("id", 0U);
  schema.version = answer.value("version", 0);
  schema.has_references = answer.contains("references") && answer["references"].is_array() && !answer["references"].empty();
  return schema;
}

}  // namespace

struct RegistryClient::Answer {
  long status = 0;
  json body;
};

struct RegistryClient::Connection {
  CURL* curl = curl_easy_init();
  Connection() = default;
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;
  ~Connection() { curl_easy_cleanup(curl); }
  std::string Escaped(const std::string& text) const {
    char* escaped = curl_easy_escape(curl, text.data(), static_cast<int>(text.size()));
    std::string out(escaped == nullptr ? "" : escaped);
    curl_free(escaped);
    return out;
  }
};

RegistryClient::RegistryClient(RegistryOptions options) : options_(std::move(options)), connection_(std::make_unique<Connection>()) {}
RegistryClient::~RegistryClient() = default;

Result<std::unique_ptr<RegistryClient>> RegistryClient::Make(RegistryOptions options) {
  static const CURLcode ready = curl_global_init(CURL_GLOBAL_DEFAULT);
  if (ready != CURLE_OK) return Fail(ErrorKind::kInternal, "libcurl cannot be used");
  while (options.url.ends_with('/')) options.url.pop_back();
  if (!options.url.starts_with("http://") && !options.url.starts_with("https://")) {
    return Fail(ErrorKind::kInvalidArgument, "\"" + options.url + "\" is no address of a schema registry; write https://host/path");
  }
  std::unique_ptr<RegistryClient> client(new RegistryClient(std::move(options)));
  if (client->connection_->curl == nullptr) return Fail(ErrorKind::kResourceExhausted, "no HTTP client can be made");
  return client;
}

// With mutex_.
Result<RegistryClient::Answer> RegistryClient::CallOnce(const std::string& path, const std::string* body) {
  CURL* const curl = connection_->curl;
  curl_easy_reset(curl);
  const std::string url = options_.url + path;
  std::string received;
  char text[CURL_ERROR_SIZE] = "";
  curl_easy_setopt(curl, CURLOPT_URL, url.c_str());
  curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);  // credentials go where they were meant to go
  curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl, CURLOPT_NOPROXY, "*");
  curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, static_cast<long>(options_.timeout.count()));
  curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, text);
  curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, &Append);
  curl_easy_setopt(curl, CURLOPT_WRITEDATA, &received);
  if (!options_.ca.empty()) curl_easy_setopt(curl, CURLOPT_CAINFO, options_.ca.c_str());
  if (!options_.user.empty()) {
    curl_easy_setopt(curl, CURLOPT_HTTPAUTH, CURLAUTH_BASIC);
    curl_easy_setopt(curl, CURLOPT_USERNAME, options_.user.c_str());
    curl_easy_setopt(curl, CURLOPT_PASSWORD, options_.password.c_str());
  }
  std::unique_ptr<curl_slist, FreeHeaders> headers(
      curl_slist_append(nullptr, "Accept: application/vnd.schemaregistry.v1+json, application/json"));
  if (body != nullptr) {
    headers.reset(curl_slist_append(headers.release(), "Content-Type: application/vnd.schemaregistry.v1+json"));
    curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(body->size()));
    curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body->c_str());
  }
  curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers.get());
  const CURLcode code = curl_easy_perform(curl);
  if (code != CURLE_OK) {
    const std::string why = "schema registry at " + options_.url + ": " + (text[0] != '\0' ? text : curl_easy_strerror(code));
    switch (code) {
      case CURLE_PEER_FAILED_VERIFICATION:
        return Fail(ErrorKind::kUnauthenticated, why + "; check registry.ca and the certificate's names and dates");
      case CURLE_SSL_CACERT_BADFILE: return Fail(ErrorKind::kInvalidArgument, why + "; check registry.ca");
      case CURLE_OPERATION_TIMEDOUT: return Fail(ErrorKind::kUnavailable, why + "; check that it runs, or raise registry.timeout");
      default: return Fail(ErrorKind::kUnavailable, why + "; check that it runs, its address, and the network between");
    }
  }
  Answer answer;
  curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &answer.status);
  answer.body = json::parse(received, nullptr, false);
  return answer;
}

Result<RegistryClient::Answer> RegistryClient::Call(const std::string& path, const std::string* body) {
  milliseconds wait = kBackoff;
  for (int attempt = 1;; ++attempt, wait *= 2) {
    Result<Answer> answer = CallOnce(path, body);
    const bool again = answer ? answer->status >= 500 || answer->status == 429 : answer.error().kind == ErrorKind::kUnavailable;
    if (!again) return answer;
    if (attempt >= options_.attempts) {
      if (answer) return std::unexpected(Refused(*answer, "asking for " + path));
      return answer;
    }
    std::this_thread::sleep_for(wait);
  }
}

Error RegistryClient::Refused(const Answer& answer, const std::string& what) const {
  ErrorKind kind = ErrorKind::kInvalidArgument;
  std::string remedy;
  if (answer.status == 401) {
    kind = ErrorKind::kUnauthenticated;
    remedy = "; check registry.user and registry.password";
  } else if (answer.status == 403) {
    kind = ErrorKind::kPermissionDenied;
    remedy = "; grant this user the right";
  } else if (answer.status == 404) {
    kind = ErrorKind::kNotFound;
    remedy = "; check the base path in registry.url";
  } else if (answer.status == 409) {
    kind = ErrorKind::kFailedPrecondition;
    remedy = "; its compatibility rules forbid this schema for the subject";
  } else if (answer.status >= 500 || answer.status == 429 || (answer.status >= 300 && answer.status < 400)) {
    kind = ErrorKind::kUnavailable;
  }
  const std::string message = answer.body.is_object() ? answer.body.value("message", std::string()) : std::string();
  return {.kind = kind,
          .message = "schema registry at " + options_.url + ", " + what + ": HTTP " + std::to_string(answer.status) +
                     (message.empty() ? "" : ", " + message) + remedy};
}

Result<std::vector<std::string>> RegistryClient::Subjects() {
  const std::lock_guard lock(mutex_);
  SL_ASSIGN_OR_RETURN(const Answer answer, Call("/subjects", nullptr));
  if (answer.status != 200 || !answer.body.is_array()) return std::unexpected(Refused(answer, "asking for its subjects"));
  std::vector<std::string> subjects;
  for (const json& subject : answer.body) {
    if (subject.is_string()) subjects.push_back(subject.get<std::string>());
  }
  return subjects;
}

Result<RegisteredSchema> RegistryClient::ById(std::uint32_t id) {
  const std::lock_guard lock(mutex_);
  if (const auto known = known_.find(id); known != known_.end()) return known->second;
  const auto no_such = [&] {
    return Fail(ErrorKind::kNotFound, "schema registry at " + options_.url + " has no schema with the id " + std::to_string(id));
  };
  // Ids are positive and have 31 bits: of others the registry says that it does not understand, not that it has none.
  if (id == 0 || id > INT32_MAX) return no_such();
  const auto now = std::chrono::steady_clock::now();
  if (const auto unknown = unknown_.find(id); unknown != unknown_.end() && now - unknown->second < options_.unknown_kept) return no_such();
  SL_ASSIGN_OR_RETURN(const Answer answer, Call("/schemas/ids/" + std::to_string(id), nullptr));
  // A 404 that is not the registry's own word may be a wrong path: that is no reason to give records up.
  if (answer.status == 404 && answer.body.is_object() && answer.body.value("error_code", 0) == kSchemaNotFound) {
    if (unknown_.size() > kKnownMax) unknown_.clear();  // ids of hostile records must not fill the memory
    unknown_[id] = now;
    return no_such();
  }
  if (answer.status != 200) {
    Error error = Refused(answer, "asking for schema " + std::to_string(id));
    if (error.kind == ErrorKind::kNotFound) error.kind = ErrorKind::kUnavailable;
    return std::unexpected(std::move(error));
  }
  SL_ASSIGN_OR_RETURN(RegisteredSchema schema, SchemaOf(answer.body));
  schema.id = id;
  unknown_.erase(id);
  known_[id] = schema;
  return schema;
}

Result<std::optional<RegisteredSchema>> RegistryClient::Latest(const std::string& subject) {
  const std::lock_guard lock(mutex_);
  SL_ASSIGN_OR_RETURN(const Answer answer, Call("/subjects/" + connection_->Escaped(subject) + "/versions/latest", nullptr));
  if (answer.status == 404 && answer.body.is_object() && answer.body.contains("error_code")) return std::nullopt;
  if (answer.status != 200) return std::unexpected(Refused(answer, "asking for subject " + subject));
  SL_ASSIGN_OR_RETURN(RegisteredSchema schema, SchemaOf(answer.body));
  return schema;
}

Result<std::uint32_t> RegistryClient::Register(const std::string& subject, gate::SchemaFormat format, const std::string& text) {
  const std::lock_guard lock(mutex_);
  json body = {{"schema", text}};
  if (format != gate::SchemaFormat::kAvro) body["schemaType"] = FormatName(format);
  const std::string bytes = body.dump();
  SL_ASSIGN_OR_RETURN(const Answer answer, Call("/subjects/" + connection_->Escaped(subject) + "/versions", &bytes));
  if (answer.status != 200 || !answer.body.is_object() || !answer.body.contains("id")) {
    return std::unexpected(Refused(answer, "registering a schema for " + subject));
  }
  return answer.body["id"].get<std::uint32_t>();
}

}  // namespace sightline::registry
