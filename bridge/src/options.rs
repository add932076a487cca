//! Options of a store, and what the HTTP stores make of those that they share.

use std::collections::HashMap;
use std::time::Duration;

use object_store::{BackoffConfig, Certificate, ClientOptions, RetryConfig};

use crate::error::{Error, Kind, Result};

#[derive(Default)]
pub struct Options {
    values: HashMap<String, String>,
}

impl Options {
    pub fn new(values: HashMap<String, String>) -> Self {
        Self { values }
    }
    /// Takes an option out; what is left at the end is unknown.
    pub fn take(&mut self, name: &str) -> Option<String> {
        self.values.remove(name).filter(|value| !value.is_empty())
    }
    pub fn text(&mut self, name: &str) -> Result<String> {
        self.take(name).ok_or_else(|| Error::new(Kind::InvalidArgument, format!("the option {name} is missing")))
    }
    pub fn flag(&mut self, name: &str) -> Result<bool> {
        match self.take(name).as_deref() {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(other) => Err(Error::new(Kind::InvalidArgument, format!("the option {name} is true or false, not {other}"))),
        }
    }
    pub fn number(&mut self, name: &str, otherwise: u64) -> Result<u64> {
        match self.take(name) {
            None => Ok(otherwise),
            Some(text) => text.parse().map_err(|_| Error::new(Kind::InvalidArgument, format!("the option {name} is a number, not {text}"))),
        }
    }
    pub fn none_left(&self) -> Result<()> {
        match self.values.keys().min() {
            None => Ok(()),
            Some(name) => Err(Error::new(Kind::InvalidArgument, format!("there is no option {name}"))),
        }
    }
}

/// When to try again, and when to give up.
#[derive(Clone, Debug)]
pub struct Patience {
    pub connect: Duration,
    pub request: Duration,
    pub retries_max: u32,
    pub retry_time_max: Duration,
}

impl Patience {
    pub fn take(options: &mut Options) -> Result<Self> {
        Ok(Self {
            connect: Duration::from_millis(options.number("connect_timeout_ms", 5_000)?),
            request: Duration::from_millis(options.number("request_timeout_ms", 30_000)?),
            retries_max: options.number("retries_max", 8)? as u32,
            retry_time_max: Duration::from_millis(options.number("retry_time_max_ms", 60_000)?),
        })
    }
    pub fn retry_config(&self) -> RetryConfig {
        RetryConfig {
            backoff: BackoffConfig { init_backoff: Duration::from_millis(100), max_backoff: Duration::from_secs(10), base: 2.0 },
            max_retries: self.retries_max as usize,
            retry_timeout: self.retry_time_max,
        }
    }
    /// How long to wait before the n-th retry (from 1): doubled each time, between half of it and all of it by chance.
    pub fn pause(&self, retry: u32) -> Duration {
        let full = 0.1 * f64::from(2_u32.saturating_pow(retry.min(7)));
        Duration::from_secs_f64(full.min(10.0) * (0.5 + 0.5 * rand::random::<f64>()))
    }
}

/// TLS, time-outs, plain HTTP where the endpoint asks for it.
pub fn client_options(options: &mut Options, patience: &Patience, endpoint: Option<&str>) -> Result<ClientOptions> {
    let mut client = ClientOptions::new()
        .with_user_agent(http::HeaderValue::from_static(concat!("sightline/", env!("CARGO_PKG_VERSION"))))
        .with_connect_timeout(patience.connect)
        .with_timeout(patience.request)
        .with_pool_max_idle_per_host(64)
        .with_allow_http(endpoint.is_some_and(|e| e.starts_with("http://")));
    if let Some(pem) = options.take("ca_pem") {
        let certificates = Certificate::from_pem_bundle(pem.as_bytes())
            .map_err(|e| Error::new(Kind::InvalidArgument, format!("drivers.objects.tls_ca: {e}")))?;
        if certificates.is_empty() {
            return Err(Error::new(Kind::InvalidArgument, "drivers.objects.tls_ca holds no certificate"));
        }
        for certificate in certificates {
            client = client.with_root_certificate(certificate);
        }
    }
    Ok(client)
}
