//! An object in parts.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use hdfs_native::file::FileWriter;
use tokio::sync::Mutex;

use super::{Inner, etag};
use crate::error::{Error, Kind, Result};
use crate::store::Upload;

/// Parts of an upload that came before their turn.
const EARLY_BYTES_MAX: usize = 512 << 20;

/// HDFS takes a file in order: a part that comes before its turn waits in memory.
pub(super) struct HdfsUpload {
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
    pub(super) fn new(inner: Arc<Inner>, key: &str, target: String, staged: String, writer: FileWriter) -> Self {
        let state = UploadState { writer: Some(writer), next: 1, early: BTreeMap::new(), early_bytes: 0, broken: None };
        Self { inner, key: key.to_string(), target, staged, state: Mutex::new(state) }
    }

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
