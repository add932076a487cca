//! S3, and what speaks its protocol, by object_store.
//!
//! Options: bucket, prefix, region (us-east-1), endpoint, path_style (true with an endpoint), access_key, secret_key, session_token,
//! anonymous, checksum (none, sha256, crc64nvme); without keys those of the AWS environment: variables, web identity, container, machine.
//! And those of options.rs.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt};
use object_store::aws::{AmazonS3, AmazonS3Builder, Checksum};
use object_store::list::{PaginatedListOptions, PaginatedListStore};
use object_store::multipart::{MultipartStore, PartId};
use object_store::path::Path;
use object_store::{
    Attribute, Attributes, GetOptions, GetRange, ObjectStore, PutMode, PutMultipartOptions, PutOptions, PutPayload, UpdateVersion,
};

use crate::connector::{Attempts, Connector};
use crate::crypto::OpenSsl;
use crate::error::{Error, Facts, Kind, Result, kind_of_status};
use crate::options::{Options, Patience, client_options};
use crate::store::{Condition, Fetched, HIDDEN, Listing, Meta, Range, Store, Upload, random_id};

/// Names the put that made an object, so that one whose answer was lost can be told from somebody else's.
const PUT_ID: &str = "sightline-put";

#[derive(Clone)]
struct Place {
    s3: Arc<AmazonS3>,
    bucket: String,
    root: String, // "" or "some/prefix/"
}

pub struct S3 {
    place: Place,
    connector: Connector,
}

impl S3 {
    pub fn open(mut options: Options) -> Result<Self> {
        let patience = Patience::take(&mut options)?;
        let bucket = options.text("bucket")?;
        let root = options.take("prefix").map_or(String::new(), |p| format!("{}/", p.trim_end_matches('/')));
        let endpoint = options.take("endpoint").map(|e| e.trim_end_matches('/').to_string());
        let path_style = match options.take("path_style").as_deref() {
            None => endpoint.is_some(),
            Some(text) => text == "true",
        };
        let access_key = options.take("access_key");
        let anonymous = options.flag("anonymous")?;
        let mut builder = if access_key.is_some() || anonymous { AmazonS3Builder::new() } else { AmazonS3Builder::from_env() };
        builder = builder
            .with_bucket_name(&bucket)
            .with_region(options.take("region").unwrap_or_else(|| "us-east-1".to_string()))
            .with_virtual_hosted_style_request(!path_style)
            .with_skip_signature(anonymous)
            .with_retry(patience.retry_config())
            .with_crypto_provider(Arc::new(OpenSsl));
        if let Some(key) = access_key {
            builder = builder.with_access_key_id(key).with_secret_access_key(options.text("secret_key")?);
        }
        if let Some(token) = options.take("session_token") {
            builder = builder.with_token(token);
        }
        match options.take("checksum").as_deref() {
            None | Some("none") => {}
            Some("sha256") => builder = builder.with_checksum_algorithm(Checksum::SHA256),
            Some("crc64nvme") => builder = builder.with_checksum_algorithm(Checksum::CRC64NVME),
            Some(other) => return Err(Error::new(Kind::InvalidArgument, format!("there is no checksum {other}"))),
        }
        let client = client_options(&mut options, &patience, endpoint.as_deref())?;
        if let Some(endpoint) = &endpoint {
            // With the bucket in the host's name the endpoint has to hold it.
            let endpoint = match (path_style, endpoint.split_once("://")) {
                (false, Some((scheme, host))) => format!("{scheme}://{bucket}.{host}"),
                _ => endpoint.clone(),
            };
            builder = builder.with_endpoint(endpoint);
        }
        options.none_left()?;
        let connector = Connector::new();
        let s3 = builder
            .with_client_options(client)
            .with_http_connector(connector.clone())
            .build()
            .map_err(|e| Error::new(Kind::InvalidArgument, e.to_string()))?;
        Ok(Self { place: Place { s3: Arc::new(s3), bucket, root }, connector })
    }
}

impl Place {
    fn path(&self, key: &str) -> Result<Path> {
        Path::parse(format!("{}{key}", self.root)).map_err(|e| Error::new(Kind::InvalidArgument, format!("the key {key}: {e}")))
    }

    fn name(&self, key: &str) -> String {
        format!("s3://{}/{}{key}", self.bucket, self.root)
    }

    fn error(&self, key: &str, error: object_store::Error) -> Error {
        let facts = Facts::of(&error);
        let (kind, message) = self.explain(&facts, &error);
        Error::new(kind, message).within(&self.name(key))
    }

    fn explain(&self, facts: &Facts, error: &object_store::Error) -> (Kind, String) {
        if let Some(error) = facts.of_transport() {
            return (error.kind, error.message);
        }
        let said = if facts.code.is_empty() { facts.message.clone() } else { format!("{}: {}", facts.code, facts.message) };
        match facts.code.as_str() {
            "NoSuchBucket" => {
                let what = format!("there is no bucket {}; make it, or correct drivers.objects.bucket", self.bucket);
                return (Kind::FailedPrecondition, what);
            }
            "InvalidAccessKeyId"
            | "SignatureDoesNotMatch"
            | "InvalidToken"
            | "ExpiredToken"
            | "TokenRefreshRequired"
            | "InvalidClientTokenId" => {
                let what = format!("{said}; correct drivers.objects.access_key, .secret_key and .session_token");
                return (Kind::Unauthenticated, what);
            }
            "RequestTimeTooSkewed" => return (Kind::Unauthenticated, format!("{said}; set this machine's clock")),
            // Of a request for many keys each has an answer of its own, behind an HTTP 200.
            "AccessDenied" => return (Kind::PermissionDenied, format!("{said}; give the key's owner the right, or use another key")),
            "ConditionalRequestConflict" | "OperationAborted" => return (Kind::Unavailable, said),
            "BadDigest" | "XAmzContentSHA256Mismatch" | "InvalidDigest" | "XAmzContentChecksumMismatch" => {
                return (Kind::Corruption, format!("{said}: the bytes did not arrive as they were sent"));
            }
            "NoSuchUpload" => return (Kind::FailedPrecondition, format!("{said}: the upload was completed or aborted")),
            "PermanentRedirect" | "AuthorizationHeaderMalformed" | "IllegalLocationConstraintException" => {
                return (Kind::InvalidArgument, format!("{said}; correct drivers.objects.region and .endpoint"));
            }
            "QuotaExceeded" | "InsufficientCapacity" => return (Kind::ResourceExhausted, said),
            // A gateway over a file system (versitygw): a name is a file or a directory.
            "ObjectParentIsFile" | "ExistingObjectIsDirectory" => return (Kind::FailedPrecondition, said),
            _ => {}
        }
        match error {
            object_store::Error::NotFound { .. } => (Kind::NotFound, "there is no such object".to_string()),
            object_store::Error::AlreadyExists { .. } => (Kind::AlreadyExists, "there is an object already".to_string()),
            object_store::Error::Precondition { .. } => (Kind::FailedPrecondition, "the object has another etag".to_string()),
            object_store::Error::PermissionDenied { .. } => {
                (Kind::PermissionDenied, format!("{said}; give the key's owner the right, or use another key"))
            }
            object_store::Error::Unauthenticated { .. } => (Kind::Unauthenticated, said),
            _ => match facts.status {
                Some(301 | 302 | 307 | 308) => {
                    (Kind::InvalidArgument, "answers with a redirect; correct drivers.objects.region and .endpoint".to_string())
                }
                Some(status) => (kind_of_status(status), format!("{said} (HTTP {status})")),
                None if facts.text.contains("169.254.") || facts.text.contains("credential") => (
                    Kind::Unauthenticated,
                    format!(
                        "no credentials: set drivers.objects.access_key and .secret_key, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY ({})",
                        facts.message
                    ),
                ),
                None if facts.text.contains("BareRedirect") || facts.text.contains("without LOCATION") => {
                    (Kind::InvalidArgument, "answers with a redirect; correct drivers.objects.region".to_string())
                }
                None if facts.text.contains("Wanted range") || facts.text.contains("range") && facts.text.contains("start") => {
                    (Kind::OutOfRange, facts.message.clone())
                }
                None => (Kind::Internal, facts.text.clone()),
            },
        }
    }

    /// A HEAD has no body to say why: whether the object or the bucket is missing tells a GET.
    async fn missing(&self, key: &str, error: Error) -> Error {
        if error.kind != Kind::NotFound {
            return error;
        }
        let Ok(path) = self.path(key) else { return error };
        let one_byte = GetOptions { range: Some(GetRange::Bounded(0..1)), ..Default::default() };
        match self.s3.get_opts(&path, one_byte).await {
            Err(why) => {
                let why = self.error(key, why);
                if why.kind == Kind::FailedPrecondition { why } else { error }
            }
            Ok(_) => error,
        }
    }

    async fn head(&self, key: &str) -> Result<(Meta, Attributes)> {
        let path = self.path(key)?;
        match self.s3.get_opts(&path, GetOptions { head: true, ..Default::default() }).await {
            Ok(found) => Ok((meta(key, &found.meta), found.attributes)),
            Err(error) => Err(self.missing(key, self.error(key, error)).await),
        }
    }

    /// The etag of the object if it is the one that the put with this id made.
    async fn made_by(&self, key: &str, id: &str) -> Option<String> {
        let (meta, attributes) = self.head(key).await.ok()?;
        let made = attributes.get(&Attribute::Metadata(PUT_ID.into())).is_some_and(|value| value.as_ref() == id);
        made.then_some(meta.etag)
    }
}

fn meta(key: &str, found: &object_store::ObjectMeta) -> Meta {
    Meta {
        key: key.to_string(),
        etag: found.e_tag.clone().unwrap_or_default(),
        size: found.size,
        modified_ms: found.last_modified.timestamp_millis(),
    }
}

fn marked(id: &str) -> Attributes {
    let mut attributes = Attributes::new();
    attributes.insert(Attribute::Metadata(PUT_ID.into()), id.to_string().into());
    attributes
}

#[async_trait]
impl Store for S3 {
    async fn put(&self, key: &str, bytes: Bytes, condition: Condition) -> Result<String> {
        let place = &self.place;
        let path = place.path(key)?;
        let attempts = Attempts::default();
        let id = random_id();
        let mut options = PutOptions::default();
        let conditional = !matches!(condition, Condition::Anyhow);
        if conditional {
            options.attributes = marked(&id);
            options.extensions.insert(attempts.clone());
        }
        options.mode = match condition {
            Condition::Anyhow => PutMode::Overwrite,
            Condition::IfAbsent => PutMode::Create,
            Condition::IfMatch(etag) => PutMode::Update(UpdateVersion { e_tag: Some(etag), version: None }),
        };
        let error = match place.s3.put_opts(&path, PutPayload::from_bytes(bytes), options).await {
            Ok(done) => return Ok(done.e_tag.unwrap_or_default()),
            Err(error) => place.error(key, error),
        };
        if conditional && (attempts.count() > 1 || matches!(error.kind, Kind::DeadlineExceeded | Kind::Unavailable)) {
            if let Some(etag) = place.made_by(key, &id).await {
                return Ok(etag);
            }
            if error.kind == Kind::Unavailable {
                return Err(Error::new(Kind::DeadlineExceeded, format!("{}; whether it was done is unknown", error.message)));
            }
        }
        Err(place.missing(key, error).await)
    }

    async fn get(&self, key: &str, range: Option<Range>, if_match: &str) -> Result<Fetched> {
        let place = self.place.clone();
        let path = place.path(key)?;
        let options = GetOptions {
            range: range.map(|r| GetRange::Bounded(r.offset..r.offset.saturating_add(r.length))),
            if_match: (!if_match.is_empty()).then(|| if_match.to_string()),
            ..Default::default()
        };
        let found = place.s3.get_opts(&path, options).await.map_err(|e| place.error(key, e))?;
        let meta = meta(key, &found.meta);
        let length = found.range.end - found.range.start;
        let key = key.to_string();
        let body = found.into_stream().map_err(move |e| place.error(&key, e)).boxed();
        Ok(Fetched { meta, length, body })
    }

    async fn head(&self, key: &str) -> Result<Meta> {
        Ok(self.place.head(key).await?.0)
    }

    async fn delete(&self, keys: Vec<String>) -> Result<()> {
        let place = &self.place;
        let paths: Vec<_> = keys.iter().map(|key| place.path(key)).collect::<Result<_>>()?;
        let stream = futures_util::stream::iter(paths.into_iter().map(Ok)).boxed();
        let mut results = place.s3.delete_stream(stream);
        let mut failed = None;
        while let Some(result) = results.next().await {
            if let Err(error) = result {
                let error = place.error("", error);
                if error.kind != Kind::NotFound {
                    failed.get_or_insert(error);
                }
            }
        }
        failed.map_or(Ok(()), Err)
    }

    async fn copy(&self, from: &str, to: &str) -> Result<()> {
        let place = &self.place;
        let (source, target) = (place.path(from)?, place.path(to)?);
        place.s3.copy_opts(&source, &target, Default::default()).await.map_err(|e| place.error(from, e))
    }

    fn list(&self, prefix: &str, start_after: &str) -> Box<dyn Listing> {
        Box::new(S3Listing {
            place: self.place.clone(),
            prefix: format!("{}{prefix}", self.place.root),
            start_after: (!start_after.is_empty()).then(|| format!("{}{start_after}", self.place.root)),
            token: None,
            ended: false,
        })
    }

    async fn upload(&self, key: &str) -> Result<Box<dyn Upload>> {
        let place = self.place.clone();
        let path = place.path(key)?;
        let id = random_id();
        let options = PutMultipartOptions { attributes: marked(&id), ..Default::default() };
        let upload_id = place.s3.create_multipart_opts(&path, options).await.map_err(|e| place.error(key, e))?;
        Ok(Box::new(S3Upload { place, key: key.to_string(), path, id, upload_id, parts: Mutex::new(BTreeMap::new()) }))
    }

    fn clock_skew_ms(&self) -> Option<i64> {
        self.connector.clock.skew_ms()
    }
}

struct S3Listing {
    place: Place,
    prefix: String,
    start_after: Option<String>,
    token: Option<String>,
    ended: bool,
}

#[async_trait]
impl Listing for S3Listing {
    async fn next(&mut self) -> Result<Vec<Meta>> {
        let hidden = format!("{}{HIDDEN}", self.place.root);
        // A page may hold nothing that is shown.
        while !self.ended {
            let options = PaginatedListOptions { offset: self.start_after.clone(), page_token: self.token.take(), ..Default::default() };
            let prefix = (!self.prefix.is_empty()).then_some(self.prefix.as_str());
            let page = self.place.s3.list_paginated(prefix, options).await.map_err(|e| {
                let error = self.place.error("", e);
                // Nothing that is listed can be missing but the bucket; not every server says its name.
                if error.kind == Kind::NotFound {
                    Error::new(Kind::FailedPrecondition, format!("there is no bucket {}", self.place.bucket))
                } else {
                    error
                }
            })?;
            self.token = page.page_token;
            self.ended = self.token.is_none();
            let mut objects = Vec::with_capacity(page.result.objects.len());
            for found in page.result.objects {
                let path = found.location.as_ref();
                if let Some(key) = path.strip_prefix(&self.place.root).filter(|_| !path.starts_with(&hidden)) {
                    objects.push(meta(key, &found));
                }
            }
            if !objects.is_empty() {
                return Ok(objects);
            }
        }
        Ok(Vec::new())
    }
}

struct S3Upload {
    place: Place,
    key: String,
    path: Path,
    id: String,
    upload_id: String,
    parts: Mutex<BTreeMap<u32, PartId>>,
}

#[async_trait]
impl Upload for S3Upload {
    async fn part(&self, number: u32, bytes: Bytes) -> Result<()> {
        let payload = PutPayload::from_bytes(bytes);
        let part = self
            .place
            .s3
            .put_part(&self.path, &self.upload_id, number as usize - 1, payload)
            .await
            .map_err(|e| self.place.error(&self.key, e).within(&format!("part {number}")))?;
        self.parts.lock().unwrap().insert(number, part);
        Ok(())
    }

    async fn complete(&self) -> Result<String> {
        let parts: Vec<PartId> = self.parts.lock().unwrap().values().cloned().collect();
        match self.place.s3.complete_multipart(&self.path, &self.upload_id, parts).await {
            Ok(done) => Ok(done.e_tag.unwrap_or_default()),
            Err(error) => {
                let error = self.place.error(&self.key, error);
                // The answer to an earlier try may have been lost; the upload is gone then, and the object there.
                self.place.made_by(&self.key, &self.id).await.ok_or(error)
            }
        }
    }

    async fn abort(&self) -> Result<()> {
        match self.place.s3.abort_multipart(&self.path, &self.upload_id).await {
            Ok(()) => Ok(()),
            Err(error) => {
                let error = self.place.error(&self.key, error);
                // Gone already.
                if matches!(error.kind, Kind::NotFound) || error.message.contains("NoSuchUpload") { Ok(()) } else { Err(error) }
            }
        }
    }
}
