#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "sightline/base/text.h"
#include "sightline/security/access.h"
#include "sightline/security/secret.h"
#include "sightline/serve/content_decoder.h"
#include "sightline/serve/http_text.h"
#include "sightline/serve/live/live_request.h"
#include "sightline/serve/url.h"

// Everything that we take apart ourselves of what strangers send: targets, cookies, tokens, origins, encoded bodies. The first
// byte chooses.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace sightline;
  if (size == 0) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  switch (data[0] % 5) {
    case 0:
      if (const auto target = serve::ParseTarget(serve::OriginForm(text))) {
        if (target->path.empty() || target->path.front() != '/' || !IsUtf8(target->path)) std::abort();
        for (const auto segment : Split(target->path, '/')) {
          if (segment == "..") std::abort();
        }
      }
      break;
    case 1: {
      const auto value = security::FindCookie(text, "sightline_session");
      if (value.find(';') != std::string_view::npos) std::abort();
      static_cast<void>(security::IsSameOrigin(text, "127.0.0.1:8080", false));
      static_cast<void>(serve::MediaType(text));
      static_cast<void>(serve::AcceptNames(text, "text/csv"));
      break;
    }
    case 2:
      if (const auto token = serve::LiveToken::Parse(text)) {
        const auto again = serve::LiveToken::Parse(token->ToString());
        if (!again || again->version != token->version || again->epoch != token->epoch) std::abort();
      }
      break;
    default: {
      serve::ByteBuffer out;
      const auto decoder =
          serve::ContentDecoder::Make(data[0] % 5 == 3 ? "gzip" : "zstd", {.decoded_bytes_max = 1 << 16, .ratio_max = 100});
      if (!decoder) std::abort();
      const auto first = (*decoder)->Write(text.substr(0, text.size() / 2), out);
      if (first && (*decoder)->Write(text.substr(text.size() / 2), out)) static_cast<void>((*decoder)->Finish());
      if (out.size() > (1 << 16)) std::abort();
    }
  }
  return 0;
}
