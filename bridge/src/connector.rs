//! The HTTP client below the stores, with an eye on it: how often a request was sent, and what time it is over there.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use object_store::ClientOptions;
use object_store::client::{HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpService, ReqwestConnector};

use crate::error::about_certificates;

/// Counts how often the request that carries it was sent. After the first time it is open whether an earlier one did its work.
#[derive(Clone, Debug, Default)]
pub struct Attempts(Arc<AtomicU32>);

impl Attempts {
    pub fn count(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }
}

const UNKNOWN: i64 = i64::MIN;

/// The server's clock less ours, by the Date of its answers.
#[derive(Clone, Debug)]
pub struct Clock(Arc<AtomicI64>);

impl Clock {
    fn new() -> Self {
        Self(Arc::new(AtomicI64::new(UNKNOWN)))
    }
    pub fn skew_ms(&self) -> Option<i64> {
        Some(self.0.load(Ordering::Relaxed)).filter(|skew| *skew != UNKNOWN)
    }
    fn note(&self, response: &HttpResponse) {
        let date = response.headers().get(http::header::DATE).and_then(|d| d.to_str().ok());
        let Some(server) = date.and_then(|d| chrono::DateTime::parse_from_rfc2822(d).ok()) else { return };
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis() as i64);
        // A Date is cut to the second: the middle of it is the better guess.
        self.0.store(server.timestamp_millis() + 500 - now, Ordering::Relaxed);
    }
}

#[derive(Clone, Debug)]
pub struct Connector {
    pub clock: Clock,
}

impl Connector {
    pub fn new() -> Self {
        Self { clock: Clock::new() }
    }
}

impl HttpConnector for Connector {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        let inner = ReqwestConnector::default().connect(options)?;
        Ok(HttpClient::new(Observed { inner, clock: self.clock.clone() }))
    }
}

#[derive(Debug)]
struct Observed {
    inner: HttpClient,
    clock: Clock,
}

#[async_trait]
impl HttpService for Observed {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        if let Some(attempts) = request.extensions().get::<Attempts>() {
            attempts.0.fetch_add(1, Ordering::Relaxed);
        }
        match self.inner.execute(request).await {
            Ok(response) => {
                self.clock.note(&response);
                Ok(response)
            }
            // A connection that fails for its certificate would be tried again like any other.
            Err(error) if error.kind() == HttpErrorKind::Connect && chain_about_certificates(&error) => {
                Err(HttpError::new(HttpErrorKind::Unknown, error))
            }
            Err(error) => Err(error),
        }
    }
}

fn chain_about_certificates(error: &dyn std::error::Error) -> bool {
    let mut at = Some(error);
    while let Some(current) = at {
        if about_certificates(&current.to_string()) {
            return true;
        }
        at = current.source();
    }
    false
}
