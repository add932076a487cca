#pragma once

#include <string>
#include <string_view>

#include "sightline/model/time.h"

namespace sightline::serve {

// The small parts of HTTP/1.1 that we read and write ourselves.

// Appends an IMF-fixdate: "Sun, 06 Nov 1994 08:49:37 GMT".
void AppendHttpDate(std::string& out, WallTime time);
// Appends a field's value; bytes that would end the line or mean nothing there become blanks.
void AppendHeaderValue(std::string& out, std::string_view value);
// The path and query of a request target, also of one in absolute form ("http://host/path").
std::string_view OriginForm(std::string_view target);
// "chunked" and nothing else, in any case.
bool IsChunked(std::string_view transfer_encoding);
// "100-continue" in any case.
bool IsContinue(std::string_view expect);
// Whether a Host field may be one: a name or address with or without a port, or nothing at all. Whatever else is in it (such as
// the blank that a folded line leaves) could mean another host to somebody else.
bool IsHost(std::string_view text);
// 1 to 19 digits.
bool IsDecimal(std::string_view text);
// An id that a client may give its request: 1 to 64 of letters, digits, '.', '_', '-'.
bool IsRequestId(std::string_view text);

}  // namespace sightline::serve
