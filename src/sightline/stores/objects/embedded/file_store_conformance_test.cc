// The port's conformance suite on local files, real and simulated.
#include <unistd.h>

#include <cstdlib>
#include <filesystem>

#include "sightline/runtime/clock.h"
#include "sightline/runtime/posix_file_system.h"
#include "sightline/runtime/simulated/simulated_clock.h"
#include "sightline/runtime/simulated/simulated_file_system.h"
#include "sightline/stores/objects/embedded/file_store.h"
#include "sightline/stores/objects/testing/conformance.h"

namespace sightline::stores::testing {
namespace {

std::unique_ptr<FileObjectStore> MustOpen(const runtime::Runtime& runtime, const std::string& directory) {
  auto store = FileObjectStore::Open(runtime, directory, FileObjectStore::Access::kOwn);
  if (!store) ADD_FAILURE() << store.error().ToString();
  return store ? std::move(*store) : nullptr;
}

class FilesHarness final : public ObjectsHarness {
 public:
  FilesHarness() {
    std::string pattern = (std::filesystem::temp_directory_path() / "sightline-objects-XXXXXX").string();
    EXPECT_NE(::mkdtemp(pattern.data()), nullptr);
    directory_ = pattern;
    store_ = MustOpen(runtime_, directory_ + "/objects");
  }
  FilesHarness(const FilesHarness&) = delete;
  FilesHarness& operator=(const FilesHarness&) = delete;
  ~FilesHarness() override {
    store_.reset();
    std::filesystem::remove_all(directory_);
  }
  ObjectStore& store() override { return *store_; }

 private:
  runtime::SystemClock clock_;
  runtime::PosixFileSystem files_;
  runtime::Failpoints failpoints_;
  runtime::Runtime runtime_{clock_, files_, failpoints_};
  std::string directory_;
  std::unique_ptr<FileObjectStore> store_;
};

class SimulatedHarness final : public ObjectsHarness {
 public:
  SimulatedHarness() : files_(7), store_(MustOpen(runtime_, "/data/objects")) {}
  ObjectStore& store() override { return *store_; }

 private:
  runtime::SimulatedClock clock_;
  runtime::SimulatedFileSystem files_;
  runtime::Failpoints failpoints_;
  runtime::Runtime runtime_{clock_, files_, failpoints_};
  std::unique_ptr<FileObjectStore> store_;
};

INSTANTIATE_TEST_SUITE_P(Files, ObjectsConformance,
                         ::testing::Values(ObjectsCase{"Disk", [] { return std::make_unique<FilesHarness>(); }},
                                           ObjectsCase{"Simulated", [] { return std::make_unique<SimulatedHarness>(); }}),
                         ObjectsCaseName);

}  // namespace
}  // namespace sightline::stores::testing
