//! A listing in the order of keys, over a tree of directories.

use std::collections::BTreeSet;

use async_trait::async_trait;

use super::{Hdfs, etag};
use crate::error::{Kind, Result};
use crate::store::{HIDDEN, Listing, Meta};

const PAGE: usize = 1000;

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

pub(super) struct HdfsListing {
    hdfs: Hdfs,
    prefix: String,
    start_after: String,
    todo: BTreeSet<Entry>,
}

impl HdfsListing {
    pub(super) fn new(hdfs: Hdfs, prefix: &str, start_after: &str) -> Self {
        // The directory that every such key lies in.
        let directory = prefix.rsplit_once('/').map_or(String::new(), |(directory, _)| format!("{directory}/"));
        let todo = BTreeSet::from([Entry { key: directory, meta: None }]);
        Self { hdfs, prefix: prefix.to_string(), start_after: start_after.to_string(), todo }
    }

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
                let meta = Meta {
                    key: key.clone(),
                    etag: etag(&status),
                    size: status.length as u64,
                    modified_ms: status.modification_time as i64,
                };
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
