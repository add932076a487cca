//! The C side of the bridge: include/sightline_bridge.h says what is promised.

mod connector;
mod crypto;
mod error;
mod gcs;
mod hdfs;
mod options;
mod s3;
mod store;

use std::collections::HashMap;
use std::ffi::{c_char, c_void};
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use futures_util::StreamExt;
use tokio::runtime::Runtime;

use error::{Error, Kind, Result};
use options::Options;
use store::{Condition, Listing, Meta, Range, Store, Upload};

/// Runs connections and what waits on them. Calls themselves run on the threads that make them.
static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    let threads = std::thread::available_parallelism().map_or(2, |n| n.get()).clamp(2, 8);
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads)
        .thread_name("sl-bridge")
        .enable_all()
        .build()
        .expect("threads for the bridge")
});

#[repr(C)]
#[derive(Clone, Copy)]
pub struct Text {
    data: *const c_char,
    size: usize,
}

#[repr(C)]
pub struct SlError {
    kind: i32,
    message: *mut c_char,
    size: usize,
}

#[repr(C)]
pub struct SlOption {
    name: Text,
    value: Text,
}

#[repr(C)]
pub struct SlObject {
    key: Text,
    etag: Text,
    size: u64,
    modified_ms: i64,
}

type Sink = extern "C" fn(*mut c_void, *const SlObject);
type Room = extern "C" fn(*mut c_void, u64) -> *mut c_char;

pub struct SlObjects(Box<dyn Store>);
pub struct SlListing(Box<dyn Listing>);
pub struct SlUpload(Box<dyn Upload>);

impl Text {
    fn of(text: &str) -> Self {
        Self { data: text.as_ptr().cast(), size: text.len() }
    }
    /// # Safety
    /// The text lives until the call that it was passed to returns.
    unsafe fn bytes<'a>(self) -> &'a [u8] {
        if self.size == 0 { &[] } else { unsafe { std::slice::from_raw_parts(self.data.cast(), self.size) } }
    }
    /// # Safety
    /// As for `bytes`.
    unsafe fn text(self) -> Result<String> {
        let bytes = unsafe { self.bytes() };
        String::from_utf8(bytes.to_vec()).map_err(|_| Error::new(Kind::InvalidArgument, "a text that is not UTF-8"))
    }
}

fn show(sink: Sink, context: *mut c_void, meta: &Meta) {
    let object = SlObject { key: Text::of(&meta.key), etag: Text::of(&meta.etag), size: meta.size, modified_ms: meta.modified_ms };
    sink(context, &object);
}

/// # Safety
/// `error` points to an error that holds no message.
unsafe fn report(error: *mut SlError, what: Error) {
    let message = what.message.into_bytes().into_boxed_slice();
    let size = message.len();
    let message = Box::into_raw(message).cast();
    unsafe { *error = SlError { kind: what.kind as i32, message, size } };
}

/// Runs the body of a function of the C interface; no panic leaves it.
///
/// # Safety
/// As for `report`.
unsafe fn guarded<T>(error: *mut SlError, body: impl FnOnce() -> Result<T>) -> Option<T> {
    let what = match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(value)) => return Some(value),
        Ok(Err(what)) => what,
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string)).unwrap_or_default();
            Error::new(Kind::Internal, format!("a defect in the bridge: {text}"))
        }
    };
    unsafe { report(error, what) };
    None
}

fn wait<T>(future: impl Future<Output = Result<T>>) -> Result<T> {
    RUNTIME.block_on(future)
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn sl_error_clear(error: *mut SlError) {
    unsafe {
        if !(*error).message.is_null() {
            drop(Box::from_raw(std::ptr::slice_from_raw_parts_mut((*error).message.cast::<u8>(), (*error).size)));
        }
        *error = SlError { kind: 0, message: std::ptr::null_mut(), size: 0 };
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn sl_objects_open(given: *const SlOption, count: usize, error: *mut SlError) -> *mut SlObjects {
    let opened = unsafe {
        guarded(error, || {
            let given = if count == 0 { &[] } else { std::slice::from_raw_parts(given, count) };
            let mut values = HashMap::new();
            for option in given {
                values.insert(option.name.text()?, option.value.text()?);
            }
            let mut options = Options::new(values);
            let _context = RUNTIME.enter();
            let store: Box<dyn Store> = match options.text("type")?.as_str() {
                "s3" => Box::new(s3::S3::open(options)?),
                "gcs" => Box::new(gcs::Gcs::open(options)?),
                "hdfs" => Box::new(hdfs::Hdfs::open(options, RUNTIME.handle().clone())?),
                other => return Err(Error::new(Kind::InvalidArgument, format!("there is no object store of type {other}"))),
            };
            Ok(Box::new(SlObjects(store)))
        })
    };
    opened.map_or(std::ptr::null_mut(), Box::into_raw)
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn sl_objects_close(store: *mut SlObjects) {
    if !store.is_null() {
        let _context = RUNTIME.enter();
        drop(unsafe { Box::from_raw(store) });
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn sl_objects_put(
    store: *const SlObjects,
    key: Text,
    bytes: Text,
    condition: i32,
    etag: Text,
    sink: Sink,
    context: *mut c_void,
    error: *mut SlError,
) -> bool {
    let done = unsafe {
        guarded(error, || {
            let key = key.text()?;
            let condition = match condition {
                0 => Condition::Anyhow,
                1 => Condition::IfAbsent,
                2 => Condition::IfMatch(etag.text()?),
                other => return Err(Error::new(Kind::InvalidArgument, format!("there is no condition {other}"))),
            };
            // A copy: after a time-out the connection may hold the bytes longer than the caller does.
            let content = Bytes::copy_from_slice(bytes.bytes());
            let size = content.len() as u64;
            let etag = wait((*store).0.put(&key, content, condition))?;
            show(sink, context, &Meta { key, etag, size, modified_ms: 0 });
            Ok(())
        })
    };
    done.is_some()
}

/// How often a body that breaks off is taken up again where it broke.
const RESUMES_MAX: u32 = 5;

/// # Safety
/// What `room` gives is as large as was asked for.
unsafe fn fetch(store: &dyn Store, key: &str, range: Option<Range>, etag: &str, room: Room, context: *mut c_void) -> Result<Meta> {
    wait(async {
        let mut fetched = store.get(key, range, etag).await?;
        let (meta, length) = (fetched.meta.clone(), fetched.length);
        let to = room(context, length);
        if to.is_null() {
            return Err(Error::new(Kind::ResourceExhausted, format!("{key}: no memory for {length} bytes")));
        }
        let start = range.map_or(0, |r| r.offset);
        let (mut done, mut resumes) = (0_u64, 0);
        while done < length {
            let broken = match fetched.body.next().await {
                Some(Ok(chunk)) => {
                    let size = (chunk.len() as u64).min(length - done);
                    unsafe { std::ptr::copy_nonoverlapping(chunk.as_ptr(), to.cast::<u8>().add(done as usize), size as usize) };
                    done += size;
                    continue;
                }
                Some(Err(error)) => error,
                None => Error::new(Kind::Unavailable, format!("{key}: the answer ended after {done} of {length} bytes")),
            };
            resumes += 1;
            if resumes > RESUMES_MAX || !matches!(broken.kind, Kind::Unavailable | Kind::DeadlineExceeded) {
                return Err(broken);
            }
            let rest = Range { offset: start + done, length: length - done };
            fetched = store.get(key, Some(rest), &meta.etag).await?;
        }
        Ok(meta)
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn sl_objects_get(
    store: *const SlObjects,
    key: Text,
    offset: u64,
    length: u64,
    etag: Text,
    room: Room,
    sink: Sink,
    context: *mut c_void,
    error: *mut SlError,
) -> bool {
    let done = unsafe {
        guarded(error, || {
            let key = key.text()?;
            let range = (offset != 0 || length != u64::MAX).then_some(Range { offset, length });
            let meta = fetch(&*(*store).0, &key, range, &etag.text()?, room, context)?;
            show(sink, context, &meta);
            Ok(())
        })
    };
    done.is_some()
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn sl_objects_head(
    store: *const SlObjects,
    key: Text,
    sink: Sink,
    context: *mut c_void,
    error: *mut SlError,
) -> bool {
    let done = unsafe {
        guarded(error, || {
            let meta = wait((*store).0.head(&key.text()?))?;
            show(sink, context, &meta);
            Ok(())
        })
    };
    done.is_some()
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn sl_objects_delete(store: *const SlObjects, keys: *const Text, count: usize, error: *mut SlError) -> bool {
    let done = unsafe {
        guarded(error, || {
            let keys = if count == 0 { &[] } else { std::slice::from_raw_parts(keys, count) };
            let keys = keys.iter().map(|key| key.text()).collect::<Result<Vec<_>>>()?;
            wait((*store).0.delete(keys))
        })
    };
    done.is_some()
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn sl_objects_copy(
    store: *const SlObjects,
    from: Text,
    to: Text,
    sink: Sink,
    context: *mut c_void,
    error: *mut SlError,
) -> bool {
    let done = unsafe {
        guarded(error, || {
            let (from, to) = (from.text()?, to.text()?);
            let store = &*(*store).0;
            let meta = wait(async {
                store.copy(&from, &to).await?;
                store.head(&to).await
            })?;
            show(sink, context, &meta);
            Ok(())
        })
    };
    done.is_some()
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn sl_objects_list(store: *const SlObjects, prefix: Text, start_after: Text, error: *mut SlError) -> *mut SlListing {
    let listing = unsafe { guarded(error, || Ok(Box::new(SlListing((*store).0.list(&prefix.text()?, &start_after.text()?))))) };
    listing.map_or(std::ptr::null_mut(), Box::into_raw)
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn sl_listing_next(listing: *mut SlListing, sink: Sink, context: *mut c_void, error: *mut SlError) -> bool {
    let done = unsafe {
        guarded(error, || {
            for meta in wait((*listing).0.next())? {
                show(sink, context, &meta);
            }
            Ok(())
        })
    };
    done.is_some()
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn sl_listing_close(listing: *mut SlListing) {
    if !listing.is_null() {
        drop(unsafe { Box::from_raw(listing) });
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn sl_objects_upload(store: *const SlObjects, key: Text, error: *mut SlError) -> *mut SlUpload {
    let upload = unsafe { guarded(error, || Ok(Box::new(SlUpload(wait((*store).0.upload(&key.text()?))?)))) };
    upload.map_or(std::ptr::null_mut(), Box::into_raw)
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn sl_upload_part(upload: *const SlUpload, number: u32, bytes: Text, error: *mut SlError) -> bool {
    let done = unsafe {
        guarded(error, || {
            if number == 0 {
                return Err(Error::new(Kind::InvalidArgument, "parts are numbered from 1"));
            }
            wait((*upload).0.part(number, Bytes::copy_from_slice(bytes.bytes())))
        })
    };
    done.is_some()
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn sl_upload_complete(upload: *const SlUpload, sink: Sink, context: *mut c_void, error: *mut SlError) -> bool {
    let done = unsafe {
        guarded(error, || {
            let etag = wait((*upload).0.complete())?;
            show(sink, context, &Meta { etag, ..Default::default() });
            Ok(())
        })
    };
    done.is_some()
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn sl_upload_abort(upload: *const SlUpload, error: *mut SlError) -> bool {
    unsafe { guarded(error, || wait((*upload).0.abort())) }.is_some()
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn sl_upload_close(upload: *mut SlUpload) {
    if !upload.is_null() {
        let _context = RUNTIME.enter();
        drop(unsafe { Box::from_raw(upload) });
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn sl_objects_clock_skew(store: *const SlObjects, skew_ms: *mut i64) -> bool {
    let found = catch_unwind(AssertUnwindSafe(|| unsafe { (*store).0.clock_skew_ms() })).unwrap_or(None);
    if let Some(skew) = found {
        unsafe { *skew_ms = skew };
    }
    found.is_some()
}

#[allow(dead_code)]
fn assert_thread_safe() {
    fn check<T: Send + Sync>() {}
    check::<Arc<dyn Store>>();
    check::<Box<dyn Upload>>();
}
