//! What every object store does here. Keys are checked by the caller; prefixes are plain text.

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;

use crate::error::Result;

/// Where our own unfinished objects are kept, below the store's root. No key of a caller begins so.
pub const HIDDEN: &str = ".sightline/";

#[derive(Clone, Debug, Default)]
pub struct Meta {
    pub key: String,
    pub etag: String,
    pub size: u64,
    pub modified_ms: i64,
}

#[derive(Clone, Debug)]
pub enum Condition {
    Anyhow,
    IfAbsent,
    IfMatch(String),
}

pub struct Fetched {
    pub meta: Meta,
    /// Bytes that `body` gives.
    pub length: u64,
    pub body: BoxStream<'static, Result<Bytes>>,
}

/// The first byte, and how many at most.
#[derive(Clone, Copy, Debug)]
pub struct Range {
    pub offset: u64,
    pub length: u64,
}

#[async_trait]
pub trait Store: Send + Sync {
    /// Gives the new etag.
    async fn put(&self, key: &str, bytes: Bytes, condition: Condition) -> Result<String>;
    async fn get(&self, key: &str, range: Option<Range>, if_match: &str) -> Result<Fetched>;
    async fn head(&self, key: &str) -> Result<Meta>;
    async fn delete(&self, keys: Vec<String>) -> Result<()>;
    async fn copy(&self, from: &str, to: &str) -> Result<()>;
    fn list(&self, prefix: &str, start_after: &str) -> Box<dyn Listing>;
    async fn upload(&self, key: &str) -> Result<Box<dyn Upload>>;
    /// The server's clock less ours, in milliseconds.
    fn clock_skew_ms(&self) -> Option<i64> {
        None
    }
}

#[async_trait]
pub trait Listing: Send {
    /// Objects in the order of their keys' bytes; none: the end.
    async fn next(&mut self) -> Result<Vec<Meta>>;
}

#[async_trait]
pub trait Upload: Send + Sync {
    async fn part(&self, number: u32, bytes: Bytes) -> Result<()>;
    /// Gives the etag.
    async fn complete(&self) -> Result<String>;
    async fn abort(&self) -> Result<()>;
}

/// 128 random bits in hexadecimal.
pub fn random_id() -> String {
    format!("{:032x}", rand::random::<u128>())
}
