#include "sightline/runtime/file_system.h"

namespace sightline::runtime {
namespace {

std::string ParentOf(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

}  // namespace

Result<std::string> ReadFile(FileSystem& files, const std::string& path, std::uint64_t size_max) {
  SL_ASSIGN_OR_RETURN(const auto file, files.Open(path, OpenMode::kRead));
  SL_ASSIGN_OR_RETURN(const std::uint64_t size, file->Size());
  if (size > size_max) {
    return Fail(ErrorKind::kResourceExhausted,
                path + " has " + std::to_string(size) + " bytes; at most " + std::to_string(size_max) + " are read");
  }
  std::string contents(size, '\0');
  SL_ASSIGN_OR_RETURN(const std::size_t got, file->ReadAt(0, contents.data(), contents.size()));
  contents.resize(got);
  return contents;
}

Status CreateDirectoriesDurably(FileSystem& files, const std::string& directory, int levels) {
  SL_TRY(files.CreateDirectories(directory));
  std::string parent = ParentOf(directory);
  for (int level = 0; level < levels; ++level) {
    SL_TRY(files.SyncDirectory(parent));
    if (parent == "." || parent == "/") break;
    parent = ParentOf(parent);
  }
  return {};
}

Status WriteFileAtomically(FileSystem& files, const std::string& path, std::string_view contents) {
  const std::string temporary = path + ".tmp";
  SL_TRY(files.Remove(temporary));
  {
    SL_ASSIGN_OR_RETURN(const auto file, files.Open(temporary, OpenMode::kCreateExclusive));
    SL_TRY(file->WriteAt(0, contents));
    SL_TRY(file->Sync());
  }
  SL_TRY(files.Rename(temporary, path));
  return files.SyncDirectory(ParentOf(path));
}

}  // namespace sightline::runtime
