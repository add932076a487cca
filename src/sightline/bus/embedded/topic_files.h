#pragma once

#include <string>
#include <string_view>

#include "sightline/bus/port.h"
#include "sightline/runtime/file_system.h"

namespace sightline::bus {

// A topic's settings, in the file `topic` of its directory.
inline constexpr const char* kTopicFile = "topic";
Status SaveTopicSpec(runtime::FileSystem& files, const std::string& directory, const TopicSpec& spec);
// kNotFound when the directory is not (yet) a topic's.
Result<TopicSpec> LoadTopicSpec(runtime::FileSystem& files, const std::string& directory);

}  // namespace sightline::bus
