//! Calls of the JSON API: what is sent, how often, and what the answers mean.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt};
use http::{Method, Request as HttpRequest, StatusCode};
use object_store::PutPayload;
use object_store::client::{HttpClient, HttpErrorKind, HttpResponse};
use object_store::gcp::GcpCredentialProvider;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde_json::{Value, json};

use super::PUT_ID;
use crate::error::{Error, Facts, Kind, Result, kind_of_status, transport_error};
use crate::options::Patience;
use crate::store::{Condition, HIDDEN, Meta, random_id};

const DELETES_AT_ONCE: usize = 16;
/// Parts of an upload that nobody has touched for so long are left over.
const LEFT_OVER: Duration = Duration::from_secs(24 * 3600);
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

pub(super) struct Bucket {
    pub(super) http: HttpClient,
    pub(super) credentials: Option<GcpCredentialProvider>,
    pub(super) endpoint: String,
    pub(super) name: String,
    pub(super) root: String,
    pub(super) patience: Patience,
}

#[derive(Deserialize)]
pub(super) struct Resource {
    pub(super) name: String,
    #[serde(default)]
    pub(super) size: String,
    #[serde(default)]
    pub(super) generation: String,
    #[serde(default)]
    pub(super) updated: String,
    #[serde(default)]
    pub(super) metadata: BTreeMap<String, String>,
}

pub(super) fn encoded(text: &str) -> String {
    utf8_percent_encode(text, UNRESERVED).to_string()
}

pub(super) fn millis(time: &str) -> i64 {
    chrono::DateTime::parse_from_rfc3339(time).map_or(0, |t| t.timestamp_millis())
}

/// One call, to be sent as often as it takes.
pub(super) struct Call {
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: PutPayload,
    /// It does no harm to do it twice.
    pub(super) idempotent: bool,
}

impl Call {
    pub(super) fn new(method: Method, path: String) -> Self {
        let idempotent = method != Method::POST;
        Self { method, path, headers: Vec::new(), body: PutPayload::new(), idempotent }
    }
    pub(super) fn json(mut self, body: &Value) -> Self {
        self.headers.push(("content-type", "application/json".to_string()));
        self.body = PutPayload::from(body.to_string());
        self
    }
    pub(super) fn idempotent(mut self, idempotent: bool) -> Self {
        self.idempotent = idempotent;
        self
    }
}

impl Bucket {
    /// The path of an object's resource. `name` is whole, the root included.
    pub(super) fn object(&self, name: &str) -> String {
        format!("/storage/v1/b/{}/o/{}", encoded(&self.name), encoded(name))
    }

    pub(super) async fn bearer(&self) -> Result<Option<String>> {
        let Some(credentials) = &self.credentials else { return Ok(None) };
        let credential = credentials.get_credential().await.map_err(|e| {
            let facts = Facts::of(&e);
            let why = if facts.message.is_empty() { facts.text } else { facts.message };
            Error::new(
                Kind::Unauthenticated,
                format!("no Google credentials: set drivers.objects.service_account or GOOGLE_APPLICATION_CREDENTIALS ({why})"),
            )
        })?;
        Ok(Some(credential.bearer.clone()))
    }

    /// Sends the call until it is answered, and reads errors out of answers. Also says whether it was sent more than once.
    pub(super) async fn send(&self, call: &Call) -> (Result<HttpResponse>, bool) {
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

    pub(super) async fn send_once(&self, call: &Call) -> Result<HttpResponse> {
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
            let error = facts.of_transport().unwrap_or_else(|| transport_error(e.kind(), &facts.message));
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

    pub(super) fn refused(&self, status: StatusCode, body: &[u8]) -> Error {
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

    pub(super) fn no_bucket(&self) -> Error {
        let what = format!("there is no bucket {}; make it, or correct drivers.objects.bucket", self.name);
        Error::new(Kind::FailedPrecondition, what)
    }

    pub(super) fn within(&self, key: &str, error: Error) -> Error {
        error.within(&format!("gs://{}/{}{key}", self.name, self.root))
    }

    /// "Not found" may be the object or the bucket.
    pub(super) async fn missing(&self, error: Error) -> Error {
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

    pub(super) async fn json<T: serde::de::DeserializeOwned>(&self, call: &Call) -> Result<T> {
        let response = self.send(call).await.0?;
        read_json(response).await
    }

    pub(super) async fn resource(&self, name: &str) -> Result<Resource> {
        let call = Call::new(Method::GET, format!("{}?fields=name,size,generation,updated,metadata", self.object(name)));
        match self.json(&call).await {
            Err(error) => Err(self.missing(error).await),
            found => found,
        }
    }

    pub(super) fn meta(&self, found: &Resource) -> Meta {
        Meta {
            key: found.name.strip_prefix(&self.root).unwrap_or(&found.name).to_string(),
            etag: found.generation.clone(),
            size: found.size.parse().unwrap_or(0),
            modified_ms: millis(&found.updated),
        }
    }

    pub(super) async fn insert(&self, name: &str, bytes: Bytes, condition: &Condition) -> Result<String> {
        if let Condition::IfMatch(etag) = condition
            && (etag.is_empty() || !etag.bytes().all(|b| b.is_ascii_digit()))
        {
            return Err(Error::new(Kind::FailedPrecondition, "the object has another etag")); // no generation looks so
        }
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
            // Twice does no harm: the second one of a condition fails, and the id says whose the first was.
            idempotent: true,
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

    pub(super) async fn remove(&self, name: &str) -> Result<()> {
        match self.send(&Call::new(Method::DELETE, self.object(name))).await.0 {
            Ok(_) => Ok(()),
            Err(error) if error.kind == Kind::NotFound => {
                let error = self.missing(error).await;
                if error.kind == Kind::NotFound { Ok(()) } else { Err(error) }
            }
            Err(error) => Err(error),
        }
    }

    pub(super) async fn compose(&self, sources: &[String], target: &str, id: &str) -> Result<String> {
        let sources: Vec<Value> = sources.iter().map(|name| json!({"name": name})).collect();
        let about = json!({
            "sourceObjects": sources,
            "destination": {"contentType": "application/octet-stream", "metadata": {PUT_ID: id}},
        });
        // Once more gives the same object.
        let call = Call::new(Method::POST, format!("{}/compose", self.object(target))).json(&about).idempotent(true);
        Ok(self.json::<Resource>(&call).await?.generation)
    }

    pub(super) async fn remove_all(self: &Arc<Self>, names: Vec<String>) -> Result<()> {
        futures_util::stream::iter(names)
            .map(|name| {
                let bucket = Arc::clone(self);
                async move { bucket.remove(&name).await }
            })
            .buffer_unordered(DELETES_AT_ONCE)
            .try_collect()
            .await
    }

    pub(super) async fn page(&self, prefix: &str, start: Option<&str>, token: Option<String>) -> Result<(Vec<Resource>, Option<String>)> {
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
    pub(super) async fn clean(self: Arc<Self>) {
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

pub(super) async fn read_json<T: serde::de::DeserializeOwned>(response: HttpResponse) -> Result<T> {
    let body = response.into_body().bytes().await.map_err(|e| transport_error(e.kind(), &e.to_string()))?;
    serde_json::from_slice(&body).map_err(|e| Error::new(Kind::Internal, format!("an answer that is not what the API promises: {e}")))
}
