//! An object in parts.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;

use super::PUT_ID;
use super::bucket::Bucket;
use crate::error::Result;
use crate::store::{Condition, HIDDEN, Upload, random_id};

/// The most objects that one call puts together.
const COMPOSE_MAX: usize = 32;

/// Parts are hidden objects, which the server puts together.
pub(super) struct GcsUpload {
    bucket: Arc<Bucket>,
    key: String,
    id: String,
    parts: Mutex<BTreeMap<u32, String>>,
}

impl GcsUpload {
    pub(super) fn new(bucket: Arc<Bucket>, key: &str) -> Self {
        Self { bucket, key: key.to_string(), id: random_id(), parts: Mutex::new(BTreeMap::new()) }
    }
    fn hidden(&self, name: &str) -> String {
        format!("{}{HIDDEN}{}/{name}", self.bucket.root, self.id)
    }
    async fn clean(&self, mut more: Vec<String>) {
        more.extend(self.parts.lock().unwrap().values().cloned());
        // What remains is removed as left over, a day later.
        let _ = self.bucket.remove_all(more).await;
    }
}

#[async_trait]
impl Upload for GcsUpload {
    async fn part(&self, number: u32, bytes: Bytes) -> Result<()> {
        let name = self.hidden(&format!("{number:05}"));
        self.bucket
            .insert(&name, bytes, &Condition::Anyhow)
            .await
            .map_err(|e| self.bucket.within(&self.key, e).within(&format!("part {number}")))?;
        self.parts.lock().unwrap().insert(number, name);
        Ok(())
    }

    async fn complete(&self) -> Result<String> {
        let mut sources: Vec<String> = self.parts.lock().unwrap().values().cloned().collect();
        let mut between = Vec::new();
        let target = format!("{}{}", self.bucket.root, self.key);
        let compose = async {
            while sources.len() > COMPOSE_MAX {
                let mut next = Vec::new();
                for group in sources.chunks(COMPOSE_MAX) {
                    let name = self.hidden(&format!("joined-{:05}", between.len()));
                    self.bucket.compose(group, &name, &self.id).await?;
                    between.push(name.clone());
                    next.push(name);
                }
                sources = next;
            }
            self.bucket.compose(&sources, &target, &self.id).await
        };
        let done = compose.await;
        let etag = match done {
            Ok(etag) => etag,
            Err(error) => {
                // The answer to an earlier try may have been lost.
                match self.bucket.resource(&target).await {
                    Ok(found) if found.metadata.get(PUT_ID) == Some(&self.id) => found.generation,
                    _ => return Err(self.bucket.within(&self.key, error)),
                }
            }
        };
        self.clean(between).await;
        Ok(etag)
    }

    async fn abort(&self) -> Result<()> {
        self.clean(Vec::new()).await;
        Ok(())
    }
}
