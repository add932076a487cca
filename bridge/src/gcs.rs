//! Google Cloud Storage by its JSON API; where the credentials come from is object_store's part.
//!
//! object_store itself speaks the XML API for objects. The JSON API has preconditions on every call and puts objects together on the
//! server, and it is what the emulator that the tests run on knows.
//!
//! Options: bucket, prefix, endpoint, service_account (the JSON of a key), anonymous; without a key the application's default
//! credentials: GOOGLE_APPLICATION_CREDENTIALS, gcloud's file, the machine's account. And those of options.rs.
//!
//! An etag is the object's generation.

mod bucket;
mod upload;

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt};
use http::Method;
use http_body_util::BodyExt;
use object_store::client::HttpConnector;
use object_store::gcp::GoogleCloudStorageBuilder;
use serde::Deserialize;
use serde_json::json;

use crate::connector::Connector;
use crate::crypto::OpenSsl;
use crate::error::{Error, Kind, Result, transport_error};
use crate::options::{Options, Patience, client_options};
use crate::store::{Condition, Fetched, HIDDEN, Listing, Meta, Range, Store, Upload};
use bucket::{Bucket, Call, encoded};

const ENDPOINT: &str = "https://storage.googleapis.com";
/// Names the put or upload that made an object, so that one whose answer was lost can be told from somebody else's.
const PUT_ID: &str = "sightline-put";

pub struct Gcs {
    bucket: Arc<Bucket>,
    connector: Connector,
}

impl Gcs {
    pub fn open(mut options: Options) -> Result<Self> {
        let patience = Patience::take(&mut options)?;
        let name = options.text("bucket")?;
        let root = options.take("prefix").map_or(String::new(), |p| format!("{}/", p.trim_end_matches('/')));
        let endpoint = options.take("endpoint").map(|e| e.trim_end_matches('/').to_string());
        let anonymous = options.flag("anonymous")?;
        let service_account = options.take("service_account");
        let client = client_options(&mut options, &patience, endpoint.as_deref())?;
        options.none_left()?;
        let connector = Connector::new();
        let credentials = if anonymous {
            None
        } else {
            let mut builder = GoogleCloudStorageBuilder::new()
                .with_bucket_name(&name)
                .with_retry(patience.retry_config())
                .with_client_options(client.clone())
                .with_crypto_provider(Arc::new(OpenSsl))
                .with_http_connector(connector.clone());
            if let Some(key) = service_account {
                builder = builder.with_service_account_key(key);
            } else if let Ok(path) = std::env::var("GOOGLE_APPLICATION_CREDENTIALS") {
                builder = builder.with_application_credentials(path);
            }
            let store = builder.build().map_err(|e| Error::new(Kind::Unauthenticated, format!("Google credentials: {e}")))?;
            Some(Arc::clone(store.credentials()))
        };
        let http = connector.connect(&client).map_err(|e| Error::new(Kind::InvalidArgument, e.to_string()))?;
        let endpoint = endpoint.unwrap_or_else(|| ENDPOINT.to_string());
        Ok(Self { bucket: Arc::new(Bucket { http, credentials, endpoint, name, root, patience }), connector })
    }
}

#[async_trait]
impl Store for Gcs {
    async fn put(&self, key: &str, bytes: Bytes, condition: Condition) -> Result<String> {
        let bucket = &self.bucket;
        let name = format!("{}{key}", bucket.root);
        bucket.insert(&name, bytes, &condition).await.map_err(|e| bucket.within(key, e))
    }

    async fn get(&self, key: &str, range: Option<Range>, if_match: &str) -> Result<Fetched> {
        let bucket = &self.bucket;
        let name = format!("{}{key}", bucket.root);
        // The condition goes along for servers that know it, and is checked here for those that do not.
        let condition = if if_match.is_empty() { String::new() } else { format!("?ifGenerationMatch={}", encoded(if_match)) };
        let mut call = Call::new(Method::GET, format!("/download{}{condition}", bucket.object(&name)));
        if condition.is_empty() {
            call.path.push_str("?alt=media");
        } else {
            call.path.push_str("&alt=media");
        }
        if let Some(range) = range {
            let last = range.offset.saturating_add(range.length).saturating_sub(1);
            call.headers.push(("range", format!("bytes={}-{last}", range.offset)));
        }
        let response = match bucket.send(&call).await.0 {
            Ok(response) => response,
            Err(error) => {
                let error = bucket.missing(error).await;
                let error = if error.kind == Kind::OutOfRange {
                    Error::new(Kind::OutOfRange, "the range begins past the object's end")
                } else {
                    error
                };
                return Err(bucket.within(key, error));
            }
        };
        let header = |name: &str| response.headers().get(name).and_then(|v| v.to_str().ok()).unwrap_or_default().to_string();
        let length: u64 = header("content-length").parse().unwrap_or(0);
        let etag = header("x-goog-generation");
        if !if_match.is_empty() && etag != if_match {
            return Err(bucket.within(key, Error::new(Kind::FailedPrecondition, "the object has another etag")));
        }
        let size = header("content-range").rsplit('/').next().and_then(|s| s.parse().ok()).unwrap_or(length);
        let modified_ms = chrono::DateTime::parse_from_rfc2822(&header("last-modified")).map_or(0, |t| t.timestamp_millis());
        let body = response.into_body().into_data_stream().map_err(|e| transport_error(e.kind(), &e.to_string())).boxed();
        Ok(Fetched { meta: Meta { key: key.to_string(), etag, size, modified_ms }, length, body })
    }

    async fn head(&self, key: &str) -> Result<Meta> {
        let bucket = &self.bucket;
        let found = bucket.resource(&format!("{}{key}", bucket.root)).await.map_err(|e| bucket.within(key, e))?;
        Ok(bucket.meta(&found))
    }

    async fn delete(&self, keys: Vec<String>) -> Result<()> {
        let bucket = &self.bucket;
        let names = keys.iter().map(|key| format!("{}{key}", bucket.root)).collect();
        bucket.remove_all(names).await.map_err(|e| bucket.within("", e))
    }

    async fn copy(&self, from: &str, to: &str) -> Result<()> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Progress {
            done: bool,
            #[serde(default)]
            rewrite_token: String,
        }
        let bucket = &self.bucket;
        let path = format!(
            "{}/rewriteTo/b/{}/o/{}",
            bucket.object(&format!("{}{from}", bucket.root)),
            encoded(&bucket.name),
            encoded(&format!("{}{to}", bucket.root))
        );
        let mut token = String::new();
        loop {
            let path = if token.is_empty() { path.clone() } else { format!("{path}?rewriteToken={}", encoded(&token)) };
            let call = Call::new(Method::POST, path).json(&json!({})).idempotent(true);
            let progress: Progress = match bucket.json(&call).await {
                Ok(progress) => progress,
                Err(error) => return Err(bucket.within(from, bucket.missing(error).await)),
            };
            if progress.done {
                return Ok(());
            }
            token = progress.rewrite_token;
        }
    }

    fn list(&self, prefix: &str, start_after: &str) -> Box<dyn Listing> {
        let root = &self.bucket.root;
        Box::new(GcsListing {
            bucket: Arc::clone(&self.bucket),
            prefix: format!("{root}{prefix}"),
            start_after: (!start_after.is_empty()).then(|| format!("{root}{start_after}")),
            token: None,
            ended: false,
        })
    }

    async fn upload(&self, key: &str) -> Result<Box<dyn Upload>> {
        tokio::spawn(Arc::clone(&self.bucket).clean());
        Ok(Box::new(upload::GcsUpload::new(Arc::clone(&self.bucket), key)))
    }

    fn clock_skew_ms(&self) -> Option<i64> {
        self.connector.clock.skew_ms()
    }
}

struct GcsListing {
    bucket: Arc<Bucket>,
    prefix: String,
    start_after: Option<String>,
    token: Option<String>,
    ended: bool,
}

#[async_trait]
impl Listing for GcsListing {
    async fn next(&mut self) -> Result<Vec<Meta>> {
        let hidden = format!("{}{HIDDEN}", self.bucket.root);
        while !self.ended {
            let page = self.bucket.page(&self.prefix, self.start_after.as_deref(), self.token.take()).await;
            let (items, token) = page.map_err(|e| self.bucket.within("", e))?;
            self.token = token;
            self.ended = self.token.is_none();
            // The offset is included there, and excluded here.
            let shown = items
                .iter()
                .filter(|r| !r.name.starts_with(&hidden) && self.start_after.as_ref().is_none_or(|after| r.name > *after))
                .map(|r| self.bucket.meta(r));
            let objects: Vec<Meta> = shown.collect();
            if !objects.is_empty() {
                return Ok(objects);
            }
        }
        Ok(Vec::new())
    }
}
