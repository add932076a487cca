#include <nlohmann/json.hpp>

#include "sightline/serve/api/api_internal.h"
#include "sightline/serve/json_writer.h"

namespace sightline::serve::internal {
namespace {

constexpr std::uint64_t kSignInBodyMax = 4 << 10;

std::string SessionJson(const security::Principal& principal) {
  std::string out;
  JsonWriter json(out);
  json.BeginObject().Field("principal", principal.name).Name("permissions").BeginArray();
  for (const auto name : principal.permissions.Names()) json.Value(name);
  json.EndArray().EndObject();
  return out;
}

std::string Cookie(std::string_view value, std::chrono::milliseconds lifetime, bool tls) {
  std::string cookie(kSessionCookie);
  cookie += '=';
  cookie += value;
  cookie += "; Path=/; HttpOnly; SameSite=Strict; Max-Age=";
  cookie += std::to_string(std::chrono::duration_cast<std::chrono::seconds>(lifetime).count());
  if (tls) cookie += "; Secure";
  return cookie;
}

Result<Response> SignIn(const ApiContext& context, const Request& request) {
  // A page of another site must not sign somebody's browser in as someone else.
  const std::string_view origin = request.headers.Find("Origin");
  if (!origin.empty() && !security::IsSameOrigin(origin, request.headers.Find("Host"), request.tls)) {
    return Fail(ErrorKind::kPermissionDenied, "signing in is possible from this server's own pages only");
  }
  const auto body = nlohmann::json::parse(request.body.view(), nullptr, false);
  if (!body.is_object() || !body.contains("token") || !body["token"].is_string()) {
    return Fail(ErrorKind::kInvalidArgument, R"(send {"token":"..."}; the admin token is in admin.token in the data directory)");
  }
  SL_ASSIGN_OR_RETURN(const security::Principal principal, context.access->FromToken(body["token"].get<std::string>(), request.remote));
  SL_ASSIGN_OR_RETURN(const std::string session, context.access->OpenSession(principal));
  Response response = JsonResponse(200, SessionJson(principal));
  response.Set("Set-Cookie", Cookie(session, context.access->session_lifetime(), request.tls));
  return response;
}

// It is a person who follows the link: what is wrong with it is said by the dashboard's sign-in page.
Result<Response> SignInByCode(const ApiContext& context, const Request& request) {
  Response response;
  response.status = 303;
  const auto principal = context.access->FromCode(request.Query("code").value_or(""), request.remote);
  if (!principal) {
    response.Set("Location", principal.error().kind == ErrorKind::kUnauthenticated ? "/?sign-in=expired" : "/?sign-in=refused");
    return response;
  }
  SL_ASSIGN_OR_RETURN(const std::string session, context.access->OpenSession(*principal));
  response.Set("Location", "/");
  response.Set("Set-Cookie", Cookie(session, context.access->session_lifetime(), request.tls));
  return response;
}

Result<Response> SignOut(const ApiContext& context, const Request& request) {
  context.access->CloseSession(security::FindCookie(request.headers.Find("Cookie"), kSessionCookie));
  Response response;
  response.status = 204;
  response.Set("Set-Cookie", Cookie("", std::chrono::milliseconds(0), request.tls));
  return response;
}

}  // namespace

void AddSessionRoutes(RouteTable& table, const Context& context) {
  table.AddSchema("Session", R"({"type":"object","required":["principal","permissions"],"properties":{"principal":{"type":"string"},
    "permissions":{"type":"array","items":{"type":"string"}}}})");
  const std::string session = R"({"$ref":"#/components/schemas/Session"})";

  Route who;
  who.pattern = "/v1/session";
  who.guard = Guard::SignedIn();
  who.tag = "session";
  who.summary = "Who is signed in, and what they may do";
  who.answers = {{200, "The principal", kJsonOnly, session}};
  who.handler = Answering([](const Request& request) -> Result<Response> { return JsonResponse(200, SessionJson(request.principal)); });
  table.Add(std::move(who));

  Route in;
  in.method = Method::kPost;
  in.pattern = "/v1/session";
  in.tag = "session";
  in.summary = "Signs in with a token: sets the session's cookie";
  in.request_types = kJsonOnly;
  in.request_schema = R"({"type":"object","required":["token"],"properties":{"token":{"type":"string"}}})";
  in.answers = {{200, "Signed in; Set-Cookie holds the session", kJsonOnly, session},
                {401, "The token is not known", kJsonOnly, R"({"$ref":"#/components/schemas/Error"})"}};
  in.body_bytes_max = kSignInBodyMax;
  in.handler = Answering([context](const Request& request) { return SignIn(*context, request); });
  table.Add(std::move(in));

  Route out;
  out.method = Method::kDelete;
  out.pattern = "/v1/session";
  out.guard = Guard::SignedIn();
  out.tag = "session";
  out.summary = "Signs out";
  out.answers = {{204, "Signed out", {}, ""}};
  out.handler = Answering([context](const Request& request) { return SignOut(*context, request); });
  table.Add(std::move(out));

  Route link;
  link.pattern = "/sign-in";
  link.tag = "session";
  link.summary = "Signs in with the one-time code of a sign-in link, and goes on to the dashboard";
  link.parameters = {{RouteParameter::In::kQuery, "code", "Valid once, within five minutes", R"({"type":"string"})", true}};
  link.answers = {
      {303, "Signed in, and Set-Cookie holds the session; or on to the sign-in page, which says what is wrong with the link", {}, ""}};
  link.handler = Answering([context](const Request& request) { return SignInByCode(*context, request); });
  table.Add(std::move(link));

  // For the command line and the demo, which print a sign-in link.
  Route code;
  code.method = Method::kPost;
  code.pattern = "/v1/session/code";
  code.guard = Guard::Needs(security::Permission::kAdmin);
  code.tag = "session";
  code.summary = "Makes a one-time code for a sign-in link";
  code.answers = {{200, "The code and the path it goes with", kJsonOnly,
                   R"({"type":"object","properties":{"code":{"type":"string"},"path":{"type":"string"}}})"}};
  code.handler = Answering([context](const Request&) -> Result<Response> {
    SL_ASSIGN_OR_RETURN(const std::string made, context->access->MakeCode());
    std::string json;
    JsonWriter(json).BeginObject().Field("code", made).Field("path", "/sign-in?code=" + made).EndObject();
    return JsonResponse(200, std::move(json));
  });
  table.Add(std::move(code));
}

}  // namespace sightline::serve::internal
