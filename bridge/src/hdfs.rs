//! HDFS by its own protocol (crate hdfs-native). An object is a file below the base directory.
//!
//! Options: url (hdfs://namenode:8020/base or hdfs://nameservice/base), user, config_dir (core-site.xml and hdfs-site.xml), principal,
//! keytab, request_timeout_ms, retries_max, retry_time_max_ms.
//!
//! A file is written below .sightline/ first and renamed when it is whole and closed, so that nobody sees half of one. An etag is the
//! file's modification time and length. A conditional put holds a lock: a directory that comes into being, with the new contents in it,
//! by one rename. The contents go from there to the object's name by another rename, so that whoever lost the lock meanwhile finds
//! nothing to rename: that is what fences. Plain puts take no lock: do not mix the two on one key.

mod conditional;
mod listing;
mod upload;

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::StreamExt;
use hdfs_native::client::FileStatus;
use hdfs_native::{Client, ClientBuilder, HdfsError, WriteOptions};

use crate::error::{Error, Kind, Result};
use crate::options::{Options, Patience};
use crate::store::{Condition, Fetched, HIDDEN, Listing, Meta, Range, Store, Upload, random_id};

const LEFT_OVER: Duration = Duration::from_secs(24 * 3600);

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
        let rest =
            url.strip_prefix("hdfs://").ok_or_else(|| Error::new(Kind::InvalidArgument, format!("{url} does not begin with hdfs://")))?;
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
            _ if text.contains("is a directory") || text.contains("must be both") || text.contains("is non-empty") => {
                Kind::FailedPrecondition
            }
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

    pub(super) fn within(&self, key: &str, error: Error) -> Error {
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

    pub(super) async fn status(&self, path: &str) -> Result<FileStatus> {
        self.again(|| self.client.get_file_info(path)).await
    }

    /// The status of an object; a directory is none.
    pub(super) async fn object(&self, path: &str) -> Result<FileStatus> {
        let none = || Error::new(Kind::NotFound, "there is no such object");
        match self.status(path).await {
            Ok(status) if status.isdir => Err(none()),
            Err(error) if matches!(error.kind, Kind::NotFound) || error.message.contains("ParentNotDirectory") => Err(none()),
            found => found,
        }
    }

    pub(super) fn hidden(&self, name: &str) -> String {
        format!("{}/{HIDDEN}{name}", self.base)
    }

    async fn write(&self, path: &str, bytes: &Bytes) -> Result<()> {
        let options = WriteOptions::default().overwrite(true);
        let mut writer = self.within_time(self.client.create(path, options)).await?;
        self.within_time(writer.write_bytes(bytes.clone())).await?;
        self.within_time(writer.close()).await
    }

    /// Writes the file, again in full when that fails for a while.
    pub(super) async fn stage(&self, path: &str, bytes: &Bytes) -> Result<()> {
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
    pub(super) async fn rename(&self, from: &str, to: &str, overwrite: bool) -> Result<()> {
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

    /// Removes the directories above a deleted object that hold nothing any more, so that their names are free. One that is not empty, or
    /// that a put makes anew meanwhile, stays: HDFS compares that itself.
    async fn prune(&self, path: &str) {
        let mut at = path;
        while let Some((parent, _)) = at.rsplit_once('/') {
            if parent.len() <= self.base.len() || !matches!(self.within_time(self.client.delete(parent, false)).await, Ok(true)) {
                return;
            }
            at = parent;
        }
    }

    /// After a rename that failed: it may have been done, and its answer lost.
    pub(super) async fn renamed(&self, from: &str, to: &str, made: &str, error: Error) -> Result<String> {
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
    pub(super) async fn directory_in_the_way(&self, target: &str, error: Error) -> Error {
        match self.status(target).await {
            Ok(status) if status.isdir => {
                Error::new(Kind::FailedPrecondition, "objects below this key exist, and on HDFS a name is a file or a directory")
            }
            _ if error.kind == Kind::FailedPrecondition => Error::new(
                Kind::FailedPrecondition,
                format!("a part of the key is an object itself, and on HDFS a name is a file or a directory ({})", error.message),
            ),
            _ => error,
        }
    }

    /// What crashed or cut-off writers left behind.
    pub(super) async fn clean(&self) {
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
                    return Err(Error::new(
                        Kind::OutOfRange,
                        format!("the range begins at {}, and the object has {size} bytes", range.offset),
                    ));
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
            self.0.prune(&path).await;
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
        Box::new(listing::HdfsListing::new(self.clone(), prefix, start_after))
    }

    async fn upload(&self, key: &str) -> Result<Box<dyn Upload>> {
        let inner = Arc::clone(&self.0);
        let target = inner.path(key)?;
        inner.clean().await;
        let staged = inner.hidden(&random_id());
        let writer = inner.within_time(inner.client.create(&staged, WriteOptions::default())).await.map_err(|e| inner.within(key, e))?;
        Ok(Box::new(upload::HdfsUpload::new(inner, key, target, staged, writer)))
    }
}
