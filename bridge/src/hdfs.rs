//! HDFS by its own protocol (crate hdfs-native). An object is a file below the base directory.
//!
//! Options: url (hdfs://namenode:8020/base or hdfs://nameservice/base), user, config_dir (core-site.xml and hdfs-site.xml), principal,
//! keytab, request_timeout_ms, retries_max, retry_time_max_ms.
//!
//! A file is written below .sightline/ first and renamed when it is whole and closed, so that nobody sees half of one. An etag is the
//! file's modification time and length. A conditional put holds a lock: a directory that comes into being, with the new contents in it,
//! by one rename. The contents go from there to the object's name by another rename, so that whoever lost the lock meanwhile finds
//! nothing to rename: that is what fences. Plain puts take no lock: do not mix the two on one key.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::StreamExt;
use hdfs_native::client::FileStatus;
use hdfs_native::file::FileWriter;
use hdfs_native::{Client, ClientBuilder, HdfsError, WriteOptions};
use tokio::sync::Mutex;

use crate::error::{Error, Kind, Result};
use crate::options::{Options, Patience};
use crate::store::{Condition, Fetched, HIDDEN, Listing, Meta, Range, Store, Upload, random_id};

/// A lock that is older belongs to somebody who is gone. Breaking one that is not costs its owner another try, and nothing else.
const LOCK_AGE_MAX: Duration = Duration::from_secs(15);
const LEFT_OVER: Duration = Duration::from_secs(24 * 3600);
/// Parts of an upload that came before their turn.
const EARLY_BYTES_MAX: usize = 512 << 20;
const PAGE: usize = 1000;

#[derive(Clone)]
pub struct Hdfs(Arc<Inner>);

struct Inner {
    client: Client,
    url: String,
    base: String, // "" or "/some/where"
    patience: Patience,
}

impl Hdfs {
    pub fn open(mut options: Options, io: tokio::runtime::Handle) -> Result<Self> {
        let patience = Patience::take(&mut options)?;
        let url = options.text("url")?.trim_end_matches('/').to_string();
        let rest = url.strip_prefix("hdfs://").ok_or_else(|| Error::new(Kind::InvalidArgument, format!("{url} does not begin with hdfs://")))?;
        let (authority, base) = match rest.split_once('/') {
            Some((authority, base)) => (authority, format!("/{base}")),
            None => (rest, String::new()),
        };
        let socket_timeout = patience.request.as_millis().to_string();
        let mut builder = ClientBuilder::new()
            .with_url(format!("hdfs://{authority}"))
            .with_io_runtime(io)
            .with_config([("dfs.client.socket-timeout", socket_timeout.as_str())]);
        if let Some(user) = options.take("user") {
            builder = builder.with_user(user);
        }
        if let Some(directory) = options.take("config_dir") {
            builder = builder.with_config_dir(directory);
        }
        if let Some(principal) = options.take("principal") {
            builder = builder.with_kerberos_principal(principal);
        }
        if let Some(keytab) = options.take("keytab") {
            builder = builder.with_kerberos_keytab(keytab);
        }
        options.none_left()?;
        let client = builder.build().map_err(|e| Error::new(Kind::InvalidArgument, format!("{url}: {e}")))?;
        Ok(Self(Arc::new(Inner { client, url, base, patience })))
    }
}

fn explain(error: HdfsError) -> Error {
    let text = error.to_string();
    let kind = match &error {
        HdfsError::IOError(_) => Kind::Unavailable,
        HdfsError::FileNotFound(_) => Kind::NotFound,
        HdfsError::AlreadyExists(_) => Kind::AlreadyExists,
        HdfsError::ChecksumError => Kind::Corruption,
        HdfsError::BlocksNotFound(_) | HdfsError::DataTransferError(_) => Kind::Unavailable,
        HdfsError::InvalidPath(_) | HdfsError::InvalidArgument(_) | HdfsError::UrlParseError(_) => Kind::InvalidArgument,
        HdfsError::SASLError(_) | HdfsError::GSSAPIError(..) | HdfsError::NoSASLMechanism => Kind::Unauthenticated,
        HdfsError::IsADirectoryError(_) => Kind::FailedPrecondition,
        HdfsError::RPCError(class, _) | HdfsError::FatalRPCError(class, _) => match class.rsplit('.').next().unwrap_or_default() {
            "FileNotFoundException" => Kind::NotFound,
            "AccessControlException" | "AuthorizationException" => Kind::PermissionDenied,
            "FileAlreadyExistsException" | "AlreadyBeingCreatedException" => Kind::AlreadyExists,
            "ParentNotDirectoryException" | "PathIsNotDirectoryException" => Kind::FailedPrecondition,
            "InvalidPathException" => Kind::InvalidArgument,
            "DSQuotaExceededException" | "NSQuotaExceededException" | "QuotaExceededException" => Kind::ResourceExhausted,
            "SafeModeException" | "StandbyException" | "RetriableException" | "NotReplicatedYetException" => Kind::Unavailable,
            "InvalidToken" | "SaslException" => Kind::Unauthenticated,
            _ if text.contains("is a directory") || text.contains("must be both") || text.contains("is non-empty") => Kind::FailedPrecondition,
            _ if text.contains("could only be written to 0") => Kind::Unavailable,
            _ => Kind::Internal,
        },
        _ => Kind::Internal,
    };
    // A Java stack trace helps nobody.
    let mut line = text.lines().next().unwrap_or_default().to_string();
    if kind == Kind::PermissionDenied {
        line.push_str("; give the user the right, or set drivers.objects.user");
    }
    Error::new(kind, line)
}

fn etag(status: &FileStatus) -> String {
    format!("{:x}-{:x}", status.modification_time, status.length)
}

/// A name of a fixed length for a key of any.
fn digest(key: &str) -> String {
    let sum = openssl::hash::hash(openssl::hash::MessageDigest::sha256(), key.as_bytes());
    sum.map_or_else(|_| "all".to_string(), |sum| sum.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as u64
}

impl Inner {
    fn path(&self, key: &str) -> Result<String> {
        if key.contains(':') {
            return Err(Error::new(Kind::InvalidArgument, format!("the key {key}: HDFS allows no ':' in a name")));
        }
        Ok(format!("{}/{key}", self.base))
    }

    fn within(&self, key: &str, error: Error) -> Error {
        error.within(&format!("{}/{key}", self.url))
    }

    /// One call of the name node, ended when it takes too long: a paused one never answers.
    async fn within_time<T>(&self, call: impl Future<Output = hdfs_native::Result<T>>) -> Result<T> {
        match tokio::time::timeout(self.patience.request, call).await {
            Ok(result) => result.map_err(explain),
            Err(_) => Err(Error::new(Kind::DeadlineExceeded, format!("no answer within {} ms", self.patience.request.as_millis()))),
        }
    }

    /// A call that does no harm when it is made twice.
    async fn again<T, F, Fut>(&self, mut call: F) -> Result<T>
    where
        F: FnMut() -> Fut,
        Fut: Future<Output = hdfs_native::Result<T>>,
    {
        let start = Instant::now();
        let mut retries = 0;
        loop {
            let error = match self.within_time(call()).await {
                Ok(value) => return Ok(value),
                Err(error) => error,
            };
            let again = error.transient() || error.kind == Kind::DeadlineExceeded;
            if !again || retries >= self.patience.retries_max || start.elapsed() > self.patience.retry_time_max {
                return Err(error);
            }
            retries += 1;
            tokio::time::sleep(self.patience.pause(retries)).await;
        }
    }

    async fn status(&self, path: &str) -> Result<FileStatus> {
        self.again(|| self.client.get_file_info(path)).await
    }

    /// The status of an object; a directory is none.
    async fn object(&self, path: &str) -> Result<FileStatus> {
        let none = || Error::new(Kind::NotFound, "there is no such object");
        match self.status(path).await {
            Ok(status) if status.isdir => Err(none()),
            Err(error) if matches!(error.kind, Kind::NotFound) || error.message.contains("ParentNotDirectory") => Err(none()),
            found => found,
        }
    }

    fn hidden(&self, name: &str) -> String {
        format!("{}/{HIDDEN}{name}", self.base)
    }

    async fn write(&self, path: &str, bytes: &Bytes) -> Result<()> {
        let options = WriteOptions::default().overwrite(true);
        let mut writer = self.within_time(self.client.create(path, options)).await?;
        self.within_time(writer.write_bytes(bytes.clone())).await?;
        self.within_time(writer.close()).await
    }

    /// Writes the file, again in full when that fails for a while.
    async fn stage(&self, path: &str, bytes: &Bytes) -> Result<()> {
        let start = Instant::now();
        let mut retries = 0;
        loop {
            let Err(error) = self.write(path, bytes).await else { return Ok(()) };
            let again = error.transient() || error.kind == Kind::DeadlineExceeded;
            if !again || retries >= self.patience.retries_max || start.elapsed() > self.patience.retry_time_max {
                return Err(error);
            }
            retries += 1;
            tokio::time::sleep(self.patience.pause(retries)).await;
        }
    }

    /// Renames, and makes the directories above where they are missing.
    async fn rename(&self, from: &str, to: &str, overwrite: bool) -> Result<()> {
        let first = self.within_time(self.client.rename(from, to, overwrite)).await;
        let Err(error) = first else { return Ok(()) };
        if error.kind != Kind::NotFound {
            return Err(error);
        }
        let parent = to.rsplit_once('/').map_or("", |(parent, _)| parent);
        if parent.is_empty() {
            return Err(error);
        }
        self.again(|| self.client.mkdirs(parent, 0o755, true)).await?;
        self.within_time(self.client.rename(from, to, overwrite)).await
    }

    async fn put_anyhow(&self, target: &str, bytes: &Bytes) -> Result<String> {
        let staged = self.hidden(&random_id());
        let put = async {
            self.stage(&staged, bytes).await?;
            let status = self.status(&staged).await?;
            match self.rename(&staged, target, true).await {
                Ok(()) => Ok(etag(&status)),
                Err(error) => self.renamed(&staged, target, &etag(&status), error).await,
            }
        };
        let done = put.await;
        if done.is_err() {
            let _ = self.within_time(self.client.delete(&staged, false)).await;
        }
        done
    }

    /// After a rename that failed: it may have been done, and its answer lost.
    async fn renamed(&self, from: &str, to: &str, made: &str, error: Error) -> Result<String> {
        if !matches!(error.kind, Kind::Unavailable | Kind::DeadlineExceeded | Kind::NotFound) {
            return Err(self.directory_in_the_way(to, error).await);
        }
        let gone = matches!(self.status(from).await, Err(e) if e.kind == Kind::NotFound);
        if gone && self.object(to).await.is_ok_and(|status| etag(&status) == made) {
            return Ok(made.to_string());
        }
        if error.kind == Kind::Unavailable {
            return Err(Error::new(Kind::DeadlineExceeded, format!("{}; whether it was done is unknown", error.message)));
        }
        Err(error)
    }

    /// A directory stands where the object is to be, or an object where a directory is.
    async fn directory_in_the_way(&self, target: &str, error: Error) -> Error {
        match self.status(target).await {
            Ok(status) if status.isdir => {
                Error::new(Kind::FailedPrecondition, "objects below this key exist, and on HDFS a name is a file or a directory")
            }
            _ if error.kind == Kind::FailedPrecondition => {
                Error::new(Kind::FailedPrecondition, format!("a part of the key is an object itself, and on HDFS a name is a file or a directory ({})", error.message))
            }
            _ => error,
        }
    }

    async fn put_if(&self, key: &str, target: &str, bytes: &Bytes, expected: Option<&str>) -> Result<String> {
        // What must fail need not be written first.
        self.expect(target, expected).await?;
        let id = random_id();
        let own = self.hidden(&format!("put-{id}"));
        let lock = self.hidden(&format!("lock/{}", digest(key)));
        let put = async {
            self.stage(&format!("{own}/{id}"), bytes).await?;
            self.lock(&own, &lock).await?;
            let held = format!("{lock}/{id}");
            let done = self.commit(&held, target, expected).await;
            if done.is_err() {
                let _ = self.within_time(self.client.delete(&held, false)).await;
            }
            // Not recursive: somebody else may have the lock by now.
            let _ = self.within_time(self.client.delete(&lock, false)).await;
            done
        };
        let done = put.await;
        if done.is_err() {
            let _ = self.within_time(self.client.delete(&own, true)).await;
        }
        done
    }

    async fn expect(&self, target: &str, expected: Option<&str>) -> Result<u64> {
        match (self.object(target).await, expected) {
            (Ok(_), None) => Err(Error::new(Kind::AlreadyExists, "there is an object already")),
            (Ok(status), Some(wanted)) if etag(&status) == wanted => Ok(status.modification_time),
            (Ok(_), Some(_)) => Err(Error::new(Kind::FailedPrecondition, "the object has another etag")),
            (Err(error), Some(_)) if error.kind == Kind::NotFound => {
                Err(Error::new(Kind::FailedPrecondition, "the object is gone, and has no etag to match"))
            }
            (Err(error), None) if error.kind == Kind::NotFound => Ok(0),
            (Err(error), _) => Err(error),
        }
    }

    async fn lock(&self, own: &str, lock: &str) -> Result<()> {
        let start = Instant::now();
        let mut tries = 0;
        loop {
            let error = match self.rename(own, lock, false).await {
                Ok(()) => return Ok(()),
                Err(error) if error.kind == Kind::AlreadyExists => error,
                Err(error) => return Err(error),
            };
            if start.elapsed() > self.patience.retry_time_max.max(LOCK_AGE_MAX) {
                return Err(Error::new(Kind::Unavailable, format!("others write the same key all the time ({})", error.message)));
            }
            if let Ok(status) = self.status(lock).await {
                let entries = self.again(|| self.client.list_status(lock, false)).await.unwrap_or_default();
                let age = now_ms().saturating_sub(status.modification_time);
                if entries.is_empty() {
                    let _ = self.within_time(self.client.delete(lock, false)).await;
                    continue;
                } else if Duration::from_millis(age) > LOCK_AGE_MAX {
                    let _ = self.within_time(self.client.delete(lock, true)).await;
                    continue;
                }
            }
            tries += 1;
            tokio::time::sleep(self.patience.pause(tries.min(3))).await;
        }
    }

    async fn commit(&self, held: &str, target: &str, expected: Option<&str>) -> Result<String> {
        let before = self.expect(target, expected).await?;
        let mut status = self.status(held).await?;
        if status.modification_time <= before {
            // An etag of equal time and length would not tell the two apart.
            self.again(|| self.client.set_times(held, before + 1, before + 1)).await?;
            status.modification_time = before + 1;
        }
        let made = etag(&status);
        match self.rename(held, target, expected.is_some()).await {
            Ok(()) => Ok(made),
            Err(error) if error.kind == Kind::AlreadyExists && expected.is_none() => match self.object(target).await {
                Ok(_) => Err(Error::new(Kind::AlreadyExists, "there is an object already")),
                Err(_) => Err(self.directory_in_the_way(target, error).await),
            },
            Err(error) => match self.renamed(held, target, &made, error).await {
                Err(error) if error.kind == Kind::NotFound => {
                    Err(Error::new(Kind::Unavailable, "it took too long, and somebody else took the key's lock over"))
                }
                result => result,
            },
        }
    }

    /// What crashed or cut-off writers left behind.
    async fn clean(&self) {
        let Ok(entries) = self.within_time(self.client.list_status(&self.hidden(""), false)).await else { return };
        for entry in entries {
            let age = now_ms().saturating_sub(entry.modification_time);
            if !entry.path.ends_with("/lock") && Duration::from_millis(age) > LEFT_OVER {
                let _ = self.within_time(self.client.delete(&entry.path, true)).await;
            }
        }
    }
}

#[async_trait]
impl Store for Hdfs {
    async fn put(&self, key: &str, bytes: Bytes, condition: Condition) -> Result<String> {
        let target = self.0.path(key)?;
        let done = match &condition {
            Condition::Anyhow => self.0.put_anyhow(&target, &bytes).await,
            Condition::IfAbsent => self.0.put_if(key, &target, &bytes, None).await,
            Condition::IfMatch(etag) => self.0.put_if(key, &target, &bytes, Some(etag)).await,
        };
        done.map_err(|e| self.0.within(key, e))
    }

    async fn get(&self, key: &str, range: Option<Range>, if_match: &str) -> Result<Fetched> {
        let inner = &self.0;
        let path = inner.path(key)?;
        let fetch = async {
            let status = inner.object(&path).await?;
            let etag = etag(&status);
            if !if_match.is_empty() && etag != if_match {
                return Err(Error::new(Kind::FailedPrecondition, "the object has another etag"));
            }
            let size = status.length as u64;
            let (offset, length) = match range {
                None => (0, size),
                Some(range) if range.offset >= size => {
                    return Err(Error::new(Kind::OutOfRange, format!("the range begins at {}, and the object has {size} bytes", range.offset)));
                }
                Some(range) => (range.offset, range.length.min(size - range.offset)),
            };
            let reader = inner.again(|| inner.client.read(&path)).await?;
            // Replaced between the two calls: not the file that the etag is of.
            if reader.file_length() as u64 != size {
                return Err(Error::new(Kind::Unavailable, "the object was replaced while it was read"));
            }
            let body = reader.read_range_stream(offset as usize, length as usize).map(|chunk| chunk.map_err(explain)).boxed();
            let meta = Meta { key: key.to_string(), etag, size, modified_ms: status.modification_time as i64 };
            Ok(Fetched { meta, length, body })
        };
        fetch.await.map_err(|e| inner.within(key, e))
    }

    async fn head(&self, key: &str) -> Result<Meta> {
        let path = self.0.path(key)?;
        let status = self.0.object(&path).await.map_err(|e| self.0.within(key, e))?;
        Ok(Meta { key: key.to_string(), etag: etag(&status), size: status.length as u64, modified_ms: status.modification_time as i64 })
    }

    async fn delete(&self, keys: Vec<String>) -> Result<()> {
        for key in keys {
            let path = self.0.path(&key)?;
            match self.0.object(&path).await {
                Ok(_) => {}
                Err(error) if error.kind == Kind::NotFound => continue,
                Err(error) => return Err(self.0.within(&key, error)),
            }
            self.0.again(|| self.0.client.delete(&path, false)).await.map_err(|e| self.0.within(&key, e))?;
        }
        Ok(())
    }

    async fn copy(&self, from: &str, to: &str) -> Result<()> {
        let inner = &self.0;
        let target = inner.path(to)?;
        let fetched = self.get(from, None, "").await?;
        let staged = inner.hidden(&random_id());
        let copy = async {
            let mut writer = inner.within_time(inner.client.create(&staged, WriteOptions::default())).await?;
            let mut body = fetched.body;
            while let Some(chunk) = body.next().await {
                inner.within_time(writer.write_bytes(chunk?)).await?;
            }
            inner.within_time(writer.close()).await?;
            let made = etag(&inner.status(&staged).await?);
            match inner.rename(&staged, &target, true).await {
                Ok(()) => Ok(()),
                Err(error) => inner.renamed(&staged, &target, &made, error).await.map(|_| ()),
            }
        };
        let done = copy.await;
        if done.is_err() {
            let _ = inner.within_time(inner.client.delete(&staged, false)).await;
        }
        done.map_err(|e| inner.within(to, e))
    }

    fn list(&self, prefix: &str, start_after: &str) -> Box<dyn Listing> {
        // The directory that every such key lies in.
        let directory = prefix.rsplit_once('/').map_or(String::new(), |(directory, _)| format!("{directory}/"));
        Box::new(HdfsListing {
            hdfs: self.clone(),
            prefix: prefix.to_string(),
            start_after: start_after.to_string(),
            todo: BTreeSet::from([Entry { key: directory, meta: None }]),
        })
    }

    async fn upload(&self, key: &str) -> Result<Box<dyn Upload>> {
        let inner = Arc::clone(&self.0);
        let target = inner.path(key)?;
        inner.clean().await;
        let staged = inner.hidden(&random_id());
        let writer = inner.within_time(inner.client.create(&staged, WriteOptions::default())).await.map_err(|e| inner.within(key, e))?;
        Ok(Box::new(HdfsUpload {
            inner,
            key: key.to_string(),
            target,
            staged,
            state: Mutex::new(UploadState { writer: Some(writer), next: 1, early: BTreeMap::new(), early_bytes: 0, broken: None }),
        }))
    }
}

/// An object, or a directory (whose key ends with '/') that is still to be looked into. In the order of keys.
struct Entry {
    key: String,
    meta: Option<Meta>,
}
impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}
impl Eq for Entry {}
impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Entry {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.key.as_bytes().cmp(other.key.as_bytes())
    }
}

struct HdfsListing {
    hdfs: Hdfs,
    prefix: String,
    start_after: String,
    todo: BTreeSet<Entry>,
}

impl HdfsListing {
    async fn look_into(&mut self, directory: &str) -> Result<()> {
        let inner = &self.hdfs.0;
        let path = format!("{}/{directory}", inner.base);
        let path = if path == "/" { "/" } else { path.trim_end_matches('/') };
        let entries = match inner.again(|| inner.client.list_status(path, false)).await {
            Ok(entries) => entries,
            // Not there, or gone meanwhile.
            Err(error) if error.kind == Kind::NotFound => return Ok(()),
            Err(error) => return Err(inner.within(directory, error)),
        };
        for status in entries {
            if status.path == path {
                continue; // a file was listed, not a directory
            }
            let name = status.path.rsplit('/').next().unwrap_or_default();
            let mut key = format!("{directory}{name}");
            if status.isdir {
                key.push('/');
                let may_match = key.starts_with(&self.prefix) || self.prefix.starts_with(&key);
                // All keys below begin so: they are past `start_after` unless it is greater and does not begin so itself.
                let passed = key.as_bytes() < self.start_after.as_bytes() && !self.start_after.starts_with(&key);
                if may_match && !passed && key != HIDDEN {
                    self.todo.insert(Entry { key, meta: None });
                }
            } else if key.starts_with(&self.prefix) && key.as_bytes() > self.start_after.as_bytes() {
                let meta = Meta { key: key.clone(), etag: etag(&status), size: status.length as u64, modified_ms: status.modification_time as i64 };
                self.todo.insert(Entry { key, meta: Some(meta) });
            }
        }
        Ok(())
    }
}

#[async_trait]
impl Listing for HdfsListing {
    async fn next(&mut self) -> Result<Vec<Meta>> {
        let mut objects = Vec::new();
        while objects.len() < PAGE {
            match self.todo.pop_first() {
                None => break,
                Some(Entry { meta: Some(meta), .. }) => objects.push(meta),
                Some(Entry { key, meta: None }) => self.look_into(&key).await?,
            }
        }
        Ok(objects)
    }
}

/// HDFS takes a file in order: a part that comes before its turn waits in memory.
struct HdfsUpload {
    inner: Arc<Inner>,
    key: String,
    target: String,
    staged: String,
    state: Mutex<UploadState>,
}

struct UploadState {
    writer: Option<FileWriter>,
    next: u32,
    early: BTreeMap<u32, Bytes>,
    early_bytes: usize,
    broken: Option<Error>,
}

impl HdfsUpload {
    fn ended(&self) -> Error {
        self.inner.within(&self.key, Error::new(Kind::FailedPrecondition, "the upload was completed or aborted"))
    }
}

#[async_trait]
impl Upload for HdfsUpload {
    async fn part(&self, number: u32, bytes: Bytes) -> Result<()> {
        let mut guard = self.state.lock().await;
        let state = &mut *guard;
        if let Some(error) = &state.broken {
            return Err(error.clone());
        }
        let Some(writer) = state.writer.as_mut() else { return Err(self.ended()) };
        if number < state.next {
            return Err(Error::new(Kind::InvalidArgument, format!("part {number} was put already")));
        }
        if number > state.next && state.early_bytes + bytes.len() > EARLY_BYTES_MAX {
            return Err(Error::new(Kind::ResourceExhausted, format!("part {number} comes too early: put part {} first", state.next)));
        }
        state.early_bytes += bytes.len();
        state.early.insert(number, bytes);
        while let Some(bytes) = state.early.remove(&state.next) {
            state.early_bytes -= bytes.len();
            if let Err(error) = self.inner.within_time(writer.write_bytes(bytes)).await {
                let error = self.inner.within(&self.key, error).within(&format!("part {}", state.next));
                state.broken = Some(error.clone());
                return Err(error);
            }
            state.next += 1;
        }
        Ok(())
    }

    async fn complete(&self) -> Result<String> {
        let mut state = self.state.lock().await;
        if let Some(error) = &state.broken {
            return Err(error.clone());
        }
        if let Some((number, _)) = state.early.first_key_value() {
            return Err(Error::new(Kind::FailedPrecondition, format!("part {number} is there and part {} is not", state.next)));
        }
        let Some(mut writer) = state.writer.take() else { return Err(self.ended()) };
        let inner = &self.inner;
        let complete = async {
            inner.within_time(writer.close()).await?;
            let made = etag(&inner.status(&self.staged).await?);
            match inner.rename(&self.staged, &self.target, true).await {
                Ok(()) => Ok(made),
                Err(error) => inner.renamed(&self.staged, &self.target, &made, error).await,
            }
        };
        complete.await.map_err(|e| inner.within(&self.key, e))
    }

    async fn abort(&self) -> Result<()> {
        let mut state = self.state.lock().await;
        drop(state.writer.take());
        state.early.clear();
        let inner = &self.inner;
        inner.again(|| inner.client.delete(&self.staged, false)).await.map(|_| ()).map_err(|e| inner.within(&self.key, e))
    }
}
