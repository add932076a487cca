#ifndef SIGHTLINE_BRIDGE_H_
#define SIGHTLINE_BRIDGE_H_

// The program's Rust half, as C: object stores (S3, Google Cloud Storage, HDFS). Who may call what:
//
//   - Every function may be called from any thread, and blocks until it has its answer. A store and an upload may be used by several
//     threads at once, a listing by one at a time.
//   - Texts and bytes that are passed in are only read during the call. What a callback is shown lives until the callback returns.
//   - Nothing of Rust unwinds out of here: a defect there is the error SL_INTERNAL.
//   - What `sl_..._open`, `_list` and `_upload` return is given back with the function that says so, after the last call that uses it.
//
// A function that can fail returns false, or null, and fills in `error`; the caller releases its message with sl_error_clear.

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

// Kinds of errors: those of sightline/base/result.h, in its order, from 1.
enum {
  SL_OK = 0,
  SL_INVALID_ARGUMENT,
  SL_NOT_FOUND,
  SL_ALREADY_EXISTS,
  SL_FAILED_PRECONDITION,
  SL_OUT_OF_RANGE,
  SL_PERMISSION_DENIED,
  SL_UNAUTHENTICATED,
  SL_RESOURCE_EXHAUSTED,
  SL_UNAVAILABLE,
  SL_DEADLINE_EXCEEDED,
  SL_CORRUPTION,
  SL_IO,
  SL_CANCELLED,
  SL_INTERNAL,
};

typedef struct {
  const char* data;  // not terminated; may be null when size is 0
  size_t size;
} sl_text;

typedef struct {
  int32_t kind;     // SL_OK: no error
  char* message;    // owned by the bridge, not terminated
  size_t size;
} sl_error;
void sl_error_clear(sl_error* error);

// --- object stores ---

typedef struct sl_objects sl_objects;
typedef struct sl_listing sl_listing;
typedef struct sl_upload sl_upload;

typedef struct {
  sl_text name;
  sl_text value;
} sl_option;

typedef struct {
  sl_text key;
  sl_text etag;
  uint64_t size;        // bytes of the whole object; of a put: of what was put
  int64_t modified_ms;  // since 1970, by the server's clock; 0 when unknown
} sl_object;
typedef void (*sl_object_sink)(void* context, const sl_object* object);
// Makes room for `size` bytes, once a get, before any is written. Null: there is none, and the get fails with SL_RESOURCE_EXHAUSTED.
typedef char* (*sl_room)(void* context, uint64_t size);

enum { SL_PUT_ANYHOW = 0, SL_PUT_IF_ABSENT = 1, SL_PUT_IF_MATCH = 2 };

// The options of each type stand in bridge/src/{s3,gcs,hdfs}.rs; an unknown one is SL_INVALID_ARGUMENT. Does not talk to the server.
sl_objects* sl_objects_open(const sl_option* options, size_t count, sl_error* error);
void sl_objects_close(sl_objects* store);

bool sl_objects_put(const sl_objects* store, sl_text key, sl_text bytes, int32_t condition, sl_text etag, sl_object_sink sink,
                    void* context, sl_error* error);
// `length` UINT64_MAX: from `offset` to the end. `etag` empty: whatever is there.
bool sl_objects_get(const sl_objects* store, sl_text key, uint64_t offset, uint64_t length, sl_text etag, sl_room room, sl_object_sink sink,
                    void* context, sl_error* error);
bool sl_objects_head(const sl_objects* store, sl_text key, sl_object_sink sink, void* context, sl_error* error);
bool sl_objects_delete(const sl_objects* store, const sl_text* keys, size_t count, sl_error* error);
bool sl_objects_copy(const sl_objects* store, sl_text from, sl_text to, sl_object_sink sink, void* context, sl_error* error);

// Does not talk to the server yet.
sl_listing* sl_objects_list(const sl_objects* store, sl_text prefix, sl_text start_after, sl_error* error);
// Shows the next page to the sink; no object: the end.
bool sl_listing_next(sl_listing* listing, sl_object_sink sink, void* context, sl_error* error);
void sl_listing_close(sl_listing* listing);

sl_upload* sl_objects_upload(const sl_objects* store, sl_text key, sl_error* error);
// Parts are numbered from 1.
bool sl_upload_part(const sl_upload* upload, uint32_t number, sl_text bytes, sl_error* error);
bool sl_upload_complete(const sl_upload* upload, sl_object_sink sink, void* context, sl_error* error);
bool sl_upload_abort(const sl_upload* upload, sl_error* error);
// Does not abort.
void sl_upload_close(sl_upload* upload);

// The server's clock less ours when it last answered, in milliseconds, to the second; false before it did, and where it does not tell.
bool sl_objects_clock_skew(const sl_objects* store, int64_t* skew_ms);

#ifdef __cplusplus
}
#endif

#endif  // SIGHTLINE_BRIDGE_H_
