// Puts and gets objects through the S3 connector: objects_s3 endpoint=URL bucket=B objects=N size=BYTES in_flight=T
// The keys are in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY. Prints {"put_s","get_s","objects","bytes"}. What is got must be what was
// put, or it fails.
#include <atomic>
#include <cstdio>
#include <exception>

#include "bench/stages/objects_load.h"
#include "connectors/s3/s3_store.h"

namespace sightline::bench {
namespace {

int Run(int argc, char** argv) {
  const ObjectsLoad load = ObjectsLoad::Parse(argc, argv);
  auto opened = s3::Open({.bucket = load.bucket, .prefix = "", .region = "us-east-1", .endpoint = load.endpoint});
  if (!opened) throw std::runtime_error(opened.error().ToString());
  bridge::ObjectStore& store = **opened;
  const auto put = [&](std::size_t i) {
    const auto done = store.Put(load.KeyOf(i), load.BytesOf(i));
    if (!done) throw std::runtime_error(done.error().ToString());
  };
  const auto get = [&](std::size_t i) {
    const auto object = store.Get(load.KeyOf(i));
    if (!object) throw std::runtime_error(object.error().ToString());
    if (object->bytes != load.BytesOf(i)) throw std::runtime_error(load.KeyOf(i) + " came back with other bytes");
  };
  // Connections before the clock runs, as for the peers.
  load.Measure(put, get);
  return 0;
}

}  // namespace
}  // namespace sightline::bench

int main(int argc, char** argv) {
  try {
    return sightline::bench::Run(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "objects_s3: %s\n", error.what());
    return 1;
  }
}
