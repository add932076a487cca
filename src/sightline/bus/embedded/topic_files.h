#pragma once

#include <string>
#include <string_view>

#include "sightline/bus/port.h"
#include "sightline/runtime/file_system.h"

namespace sightline::bus {

// Topics and groups are named with [a-z0-9_.-], 1 to 200 of them, so that a name is a file's name everywhere. `what` is
// for the message.
Status CheckName(std::string_view what, std::string_view name);
// kInvalidArgument for a spec that nobody can mean.
Status CheckSpec(const TopicSpec& spec);

// A topic's settings, in the file `topic` of its directory.
inline constexpr const char* kTopicFile = "topic";
Status SaveTopicSpec(runtime::FileSystem& files, const std::string& directory, const TopicSpec& spec);
// kNotFound when the directory is not (yet) a topic's.
Result<TopicSpec> LoadTopicSpec(runtime::FileSystem& files, const std::string& directory);

}  // namespace sightline::bus
