//! Google Cloud Storage by its JSON API; where the credentials come from is object_store's part.
//!
//! object_store itself speaks the XML API for objects. The JSON API has preconditions on every call and puts objects together on the
//! server, and it is what the emulator that the tests run on knows.
//!
//! Options: bucket, prefix, endpoint, service_account (the JSON of a key), anonymous; without a key the application's default
//! credentials: GOOGLE_APPLICATION_CREDENTIALS, gcloud's file, the machine's account. And those of options.rs.
//!
//! An etag is the object's generation.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt};
use http::{Method, Request as HttpRequest, StatusCode};
use http_body_util::BodyExt;
use object_store::client::{HttpClient, HttpConnector, HttpErrorKind, HttpResponse};
use object_store::gcp::{GcpCredentialProvider, GoogleCloudStorageBuilder};
use object_store::PutPayload;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::connector::Connector;
use crate::crypto::OpenSsl;
use crate::error::{Error, Facts, Kind, Result, kind_of_status, transport_error};
use crate::options::{Options, Patience, client_options};
use crate::store::{Condition, Fetched, HIDDEN, Listing, Meta, Range, Store, Upload, random_id};

const ENDPOINT: &str = "https://storage.googleapis.com";
const PUT_ID: &str = "sightline-put";
/// The most objects that one call puts together.
const COMPOSE_MAX: usize = 32;
const DELETES_AT_ONCE: usize = 16;
/// Parts of an upload that nobody has touched for so long are left over.
const LEFT_OVER: Duration = Duration::from_secs(24 * 3600);
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

pub struct Gcs {
    bucket: Arc<Bucket>,
    connector: Connector,
}

struct Bucket {
    http: HttpClient,
    credentials: Option<GcpCredentialProvider>,
    endpoint: String,
    name: String,
    root: String,
    patience: Patience,
}

#[derive(Deserialize)]
struct Resource {
    name: String,
    #[serde(default)]
    size: String,
    #[serde(default)]
    generation: String,
    #[serde(default)]
    updated: String,
    #[serde(default)]
    metadata: BTreeMap<String, String>,
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

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, UNRESERVED).to_string()
}

fn millis(time: &str) -> i64 {
    chrono::DateTime::parse_from_rfc3339(time).map_or(0, |t| t.timestamp_millis())
}

/// One call, to be sent as often as it takes.
struct Call {
    method: Method,
    path: String,
    headers: Vec<(&'static str, String)>,
    body: PutPayload,
    /// It does no harm to do it twice.
    idempotent: bool,
}

impl Call {
    fn new(method: Method, path: String) -> Self {
        let idempotent = method != Method::POST;
        Self { method, path, headers: Vec::new(), body: PutPayload::new(), idempotent }
    }
    fn json(mut self, body: &Value) -> Self {
        self.headers.push(("content-type", "application/json".to_string()));
        self.body = PutPayload::from(body.to_string());
        self
    }
    fn idempotent(mut self, idempotent: bool) -> Self {
        self.idempotent = idempotent;
        self
    }
}

impl Bucket {
    /// The path of an object's resource. `name` is whole, the root included.
    fn object(&self, name: &str) -> String {
        format!("/storage/v1/b/{}/o/{}", encoded(&self.name), encoded(name))
    }

    async fn bearer(&self) -> Result<Option<String>> {
        let Some(credentials) = &self.credentials else { return Ok(None) };
        let credential = credentials.get_credential().await.map_err(|e| {
            let facts = Facts::of(&e);
            let why = if facts.message.is_empty() { facts.text } else { facts.message };
            Error::new(Kind::Unauthenticated, format!("no Google credentials: set drivers.objects.service_account or GOOGLE_APPLICATION_CREDENTIALS ({why})"))
        })?;
        Ok(Some(credential.bearer.clone()))
    }

    /// Sends the call until it is answered, and reads errors out of answers. Also says whether it was sent more than once.
    async fn send(&self, call: &Call) -> (Result<HttpResponse>, bool) {
        let start = Instant::now();
        let mut retries = 0;
        loop {
            let error = match self.send_once(call).await {
                Ok(response) => return (Ok(response), retries > 0),
                Err(error) => error,
            };
            let again = error.transient() || (call.idempotent && error.kind == Kind::DeadlineExceeded);
            if !again || retries >= self.patience.retries_max || start.elapsed() > self.patience.retry_time_max {
                return (Err(error), retries > 0);
            }
            retries += 1;
            tokio::time::sleep(self.patience.pause(retries)).await;
        }
    }

    async fn send_once(&self, call: &Call) -> Result<HttpResponse> {
        let mut request = HttpRequest::builder().method(&call.method).uri(format!("{}{}", self.endpoint, call.path));
        if let Some(bearer) = self.bearer().await? {
            request = request.header("authorization", format!("Bearer {bearer}"));
        }
        for (name, value) in &call.headers {
            request = request.header(*name, value);
        }
        request = request.header("content-length", call.body.content_length());
        let request =
            request.body(call.body.clone().into()).map_err(|e| Error::new(Kind::InvalidArgument, format!("{}: {e}", self.endpoint)))?;
        let response = self.http.execute(request).await.map_err(|e| {
            let facts = Facts::of(&e);
            let error = transport_error(e.kind(), &facts.message);
            // What was sent whole and not answered may have been done.
            let unsure = matches!(e.kind(), HttpErrorKind::Interrupted | HttpErrorKind::Request) && !call.idempotent;
            if unsure { Error::new(Kind::DeadlineExceeded, error.message) } else { error }
        })?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let body = response.into_body().bytes().await.unwrap_or_default();
        Err(self.refused(status, &body))
    }

    fn refused(&self, status: StatusCode, body: &[u8]) -> Error {
        let text = String::from_utf8_lossy(body);
        let said = serde_json::from_str::<Value>(&text)
            .ok()
            .and_then(|v| v["error"]["message"].as_str().map(str::to_string))
            .unwrap_or_else(|| text.chars().take(200).collect::<String>().trim().to_string());
        if status == StatusCode::NOT_FOUND && said.contains("bucket does not exist") {
            return self.no_bucket();
        }
        let kind = kind_of_status(status.as_u16());
        let remedy = match kind {
            Kind::Unauthenticated => "; correct drivers.objects.service_account",
            Kind::PermissionDenied => "; give the service account the role Storage Object Admin on the bucket",
            _ => "",
        };
        Error::new(kind, format!("{said} (HTTP {}){remedy}", status.as_u16()))
    }

    fn no_bucket(&self) -> Error {
        let what = format!("there is no bucket {}; make it, or correct drivers.objects.bucket", self.name);
        Error::new(Kind::FailedPrecondition, what)
    }

    fn within(&self, key: &str, error: Error) -> Error {
        error.within(&format!("gs://{}/{}{key}", self.name, self.root))
    }

    /// "Not found" may be the object or the bucket.
    async fn missing(&self, error: Error) -> Error {
        if error.kind != Kind::NotFound {
            return error;
        }
        if !error.message.contains("No such object") {
            let call = Call::new(Method::GET, format!("/storage/v1/b/{}?fields=name", encoded(&self.name)));
            if let Err(bucket) = self.send(&call).await.0
                && matches!(bucket.kind, Kind::NotFound | Kind::FailedPrecondition)
            {
                return self.no_bucket();
            }
        }
        Error::new(Kind::NotFound, "there is no such object")
    }

    async fn json<T: serde::de::DeserializeOwned>(&self, call: &Call) -> Result<T> {
        let response = self.send(call).await.0?;
        read_json(response).await
    }

    async fn resource(&self, name: &str) -> Result<Resource> {
        let call = Call::new(Method::GET, format!("{}?fields=name,size,generation,updated,metadata", self.object(name)));
        match self.json(&call).await {
            Err(error) => Err(self.missing(error).await),
            found => found,
        }
    }

    fn meta(&self, found: &Resource) -> Meta {
        Meta {
            key: found.name.strip_prefix(&self.root).unwrap_or(&found.name).to_string(),
            etag: found.generation.clone(),
            size: found.size.parse().unwrap_or(0),
            modified_ms: millis(&found.updated),
        }
    }

    async fn insert(&self, name: &str, bytes: Bytes, condition: &Condition) -> Result<String> {
        let id = random_id();
        let crc = crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32Iscsi, &bytes) as u32;
        let about = json!({
            "name": name,
            "crc32c": openssl::base64::encode_block(&crc.to_be_bytes()),  // the server compares
            "contentType": "application/octet-stream",
            "metadata": {PUT_ID: id},
        });
        let mut path = format!("/upload/storage/v1/b/{}/o?uploadType=multipart&name={}", encoded(&self.name), encoded(name));
        match condition {
            Condition::Anyhow => {}
            Condition::IfAbsent => path.push_str("&ifGenerationMatch=0"),
            Condition::IfMatch(etag) => path.push_str(&format!("&ifGenerationMatch={}", encoded(etag))),
        }
        let head = format!(
            "--{id}\r\nContent-Type: application/json; charset=UTF-8\r\n\r\n{about}\r\n--{id}\r\nContent-Type: application/octet-stream\r\n\r\n"
        );
        let conditional = !matches!(condition, Condition::Anyhow);
        let call = Call {
            method: Method::POST,
            path,
            headers: vec![("content-type", format!("multipart/related; boundary={id}"))],
            body: PutPayload::from_iter([Bytes::from(head), bytes, Bytes::from(format!("\r\n--{id}--\r\n"))]),
            idempotent: !conditional,
        };
        let (answer, repeated) = self.send(&call).await;
        let error = match answer {
            Ok(response) => return Ok(read_json::<Resource>(response).await?.generation),
            Err(error) => error,
        };
        if conditional && (repeated || error.kind == Kind::DeadlineExceeded) {
            // An earlier try may have done it, and its answer was lost.
            if let Ok(found) = self.resource(name).await
                && found.metadata.get(PUT_ID) == Some(&id)
            {
                return Ok(found.generation);
            }
        }
        Err(match (error.kind, condition) {
            (Kind::FailedPrecondition, Condition::IfAbsent) if !error.message.contains("no bucket") => {
                Error::new(Kind::AlreadyExists, "there is an object already")
            }
            (Kind::FailedPrecondition, Condition::IfMatch(_)) if !error.message.contains("no bucket") => {
                Error::new(Kind::FailedPrecondition, "the object has another etag")
            }
            (Kind::NotFound, _) => self.no_bucket(),
            _ => error,
        })
    }

    async fn remove(&self, name: &str) -> Result<()> {
        match self.send(&Call::new(Method::DELETE, self.object(name))).await.0 {
            Ok(_) => Ok(()),
            Err(error) if error.kind == Kind::NotFound => {
                let error = self.missing(error).await;
                if error.kind == Kind::NotFound { Ok(()) } else { Err(error) }
            }
            Err(error) => Err(error),
        }
    }

    async fn compose(&self, sources: &[String], target: &str, id: &str) -> Result<String> {
        let sources: Vec<Value> = sources.iter().map(|name| json!({"name": name})).collect();
        let about = json!({
            "sourceObjects": sources,
            "destination": {"contentType": "application/octet-stream", "metadata": {PUT_ID: id}},
        });
        // Once more gives the same object.
        let call = Call::new(Method::POST, format!("{}/compose", self.object(target))).json(&about).idempotent(true);
        Ok(self.json::<Resource>(&call).await?.generation)
    }

    async fn remove_all(self: &Arc<Self>, names: Vec<String>) -> Result<()> {
        futures_util::stream::iter(names)
            .map(|name| {
                let bucket = Arc::clone(self);
                async move { bucket.remove(&name).await }
            })
            .buffer_unordered(DELETES_AT_ONCE)
            .try_collect()
            .await
    }

    async fn page(&self, prefix: &str, start: Option<&str>, token: Option<String>) -> Result<(Vec<Resource>, Option<String>)> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Page {
            #[serde(default)]
            items: Vec<Resource>,
            #[serde(default)]
            next_page_token: Option<String>,
        }
        let mut path = format!(
            "/storage/v1/b/{}/o?maxResults=1000&fields=items(name,size,generation,updated),nextPageToken&prefix={}",
            encoded(&self.name),
            encoded(prefix)
        );
        if let Some(start) = start {
            path.push_str(&format!("&startOffset={}", encoded(start)));
        }
        if let Some(token) = token {
            path.push_str(&format!("&pageToken={}", encoded(&token)));
        }
        match self.json::<Page>(&Call::new(Method::GET, path)).await {
            Ok(page) => Ok((page.items, page.next_page_token.filter(|t| !t.is_empty()))),
            // What is listed cannot be missing; the bucket can.
            Err(error) if error.kind == Kind::NotFound => Err(self.no_bucket()),
            Err(error) => Err(error),
        }
    }

    /// Parts of uploads that were neither completed nor aborted.
    async fn clean(self: Arc<Self>) {
        let prefix = format!("{}{HIDDEN}", self.root);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as i64;
        let mut token = None;
        loop {
            let Ok((items, next)) = self.page(&prefix, None, token).await else { return };
            let old = items.into_iter().filter(|r| millis(&r.updated) + (LEFT_OVER.as_millis() as i64) < now).map(|r| r.name).collect();
            let _ = self.remove_all(old).await;
            token = next;
            if token.is_none() {
                return;
            }
        }
    }
}

async fn read_json<T: serde::de::DeserializeOwned>(response: HttpResponse) -> Result<T> {
    let body = response.into_body().bytes().await.map_err(|e| transport_error(e.kind(), &e.to_string()))?;
    serde_json::from_slice(&body).map_err(|e| Error::new(Kind::Internal, format!("an answer that is not what the API promises: {e}")))
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
                let error = if error.kind == Kind::OutOfRange { Error::new(Kind::OutOfRange, "the range begins past the object's end") } else { error };
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
        Ok(Box::new(GcsUpload {
            bucket: Arc::clone(&self.bucket),
            key: key.to_string(),
            id: random_id(),
            parts: Mutex::new(BTreeMap::new()),
        }))
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

/// Parts are hidden objects, which the server puts together.
struct GcsUpload {
    bucket: Arc<Bucket>,
    key: String,
    id: String,
    parts: Mutex<BTreeMap<u32, String>>,
}

impl GcsUpload {
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
