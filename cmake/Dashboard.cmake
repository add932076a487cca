# The target sightline_dashboard: the built dashboard (web/) as bytes in the program, behind <sightline/dashboard/files.h>, which is written
# here. The dashboard is built once for all build folders, in build/web.

set(dashboard_dir "${CMAKE_BINARY_DIR}/generated/sightline/dashboard")
file(CONFIGURE OUTPUT "${dashboard_dir}/files.h" @ONLY CONTENT [=[
#pragma once

#include <cstddef>
#include <span>
#include <string_view>

namespace sightline::dashboard {

// A file of the dashboard, as the server hands it out. Everything lives as long as the program.
struct File {
  std::string_view path;        // absolute, as in a URL: "/index.html", "/assets/index-4f1c.js"
  std::string_view media_type;  // for Content-Type
  std::string_view etag;        // with its quotes; changes with the content
  std::string_view bytes;
  std::string_view gzip;  // the same, compressed; empty where that gains nothing
};

// Ordered by path.
std::span<const File> Files();

}  // namespace sightline::dashboard
]=])

file(GLOB_RECURSE web_sources CONFIGURE_DEPENDS "${CMAKE_SOURCE_DIR}/web/src/*" "${CMAKE_SOURCE_DIR}/web/public/*")
add_custom_command(
  OUTPUT "${dashboard_dir}/files.cc"
  COMMAND "${CMAKE_SOURCE_DIR}/tools/build-web" "${CMAKE_SOURCE_DIR}/build/web" "${SIGHTLINE_DEPS_PREFIX}/node/bin"
  COMMAND "${CMAKE_SOURCE_DIR}/tools/embed-folder" "${CMAKE_SOURCE_DIR}/build/web/dist" "${dashboard_dir}/files.cc"
  DEPENDS ${web_sources} "${CMAKE_SOURCE_DIR}/web/package.json" "${CMAKE_SOURCE_DIR}/web/package-lock.json"
    "${CMAKE_SOURCE_DIR}/web/index.html" "${CMAKE_SOURCE_DIR}/web/vite.config.ts" "${CMAKE_SOURCE_DIR}/web/tsconfig.json"
    "${CMAKE_SOURCE_DIR}/tools/build-web" "${CMAKE_SOURCE_DIR}/tools/embed-folder"
  COMMENT "Building and embedding the dashboard"
  VERBATIM)
add_library(sightline_dashboard STATIC EXCLUDE_FROM_ALL "${dashboard_dir}/files.cc")
target_link_libraries(sightline_dashboard PUBLIC sightline_flags)
