//! Errors: a kind that says what the caller can do, and a sentence. The kinds are those of sightline/base/result.h.

use std::error::Error as StdError;

use object_store::client::{HttpError, HttpErrorKind};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
#[allow(dead_code)] // the numbers are the C header's; not every kind happens here
pub enum Kind {
    InvalidArgument = 1,
    NotFound,
    AlreadyExists,
    FailedPrecondition,
    OutOfRange,
    PermissionDenied,
    Unauthenticated,
    ResourceExhausted,
    Unavailable,
    DeadlineExceeded,
    Corruption,
    Io,
    Cancelled,
    Internal,
}

#[derive(Clone, Debug)]
pub struct Error {
    pub kind: Kind,
    pub message: String,
}

pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }
    /// Puts "context: " before the message.
    pub fn within(mut self, context: &str) -> Self {
        self.message = format!("{context}: {}", self.message);
        self
    }
    /// Another try may help, and does no harm.
    pub fn transient(&self) -> bool {
        matches!(self.kind, Kind::Unavailable | Kind::ResourceExhausted)
    }
}

/// What an HTTP service said, dug out of a chain of errors.
#[derive(Debug, Default)]
pub struct Facts {
    pub status: Option<u16>,
    /// `<Code>` of an S3 answer.
    pub code: String,
    /// `<Message>` of an S3 answer, or the innermost error.
    pub message: String,
    pub transport: Option<HttpErrorKind>,
    /// Why a certificate was refused ("certificate has expired").
    pub certificate: String,
    /// Everything, for what has no place of its own.
    pub text: String,
}

fn between<'a>(text: &'a str, open: &str, close: &str) -> Option<&'a str> {
    let start = text.find(open)? + open.len();
    let end = text[start..].find(close)?;
    Some(&text[start..start + end])
}

impl Facts {
    pub fn of(error: &(dyn StdError + 'static)) -> Self {
        let mut facts = Facts { text: error.to_string(), ..Default::default() };
        let mut at: Option<&(dyn StdError + 'static)> = Some(error);
        while let Some(current) = at {
            if let Some(http) = current.downcast_ref::<HttpError>() {
                facts.transport = Some(http.kind());
            }
            facts.message = current.to_string();
            if let Some(reason) = certificate_reason(&facts.message) {
                facts.certificate = reason;
            }
            at = current.source();
        }
        facts.status = between(&facts.text, "status code: ", " ").and_then(|s| s.parse().ok());
        let code = between(&facts.text, "<Code>", "</Code>").or_else(|| between(&facts.text, "(code: ", ")"));
        facts.code = code.unwrap_or_default().to_string();
        if let Some(message) = between(&facts.text, "<Message>", "</Message>") {
            facts.message = message.to_string();
        } else if facts.status.is_some() {
            facts.message = "no reason given".to_string();
        }
        facts
    }

    /// The error of a connection that failed; none when there was an answer.
    pub fn of_transport(&self) -> Option<Error> {
        let kind = self.transport?;
        if self.status.is_some() {
            return None;
        }
        Some(transport_error(kind, if self.certificate.is_empty() { &self.message } else { &self.certificate }))
    }
}

/// OpenSSL's verdict, which stands in brackets behind an error that says only that there is one.
fn certificate_reason(text: &str) -> Option<String> {
    let open = text.find("certificate verify failed")?;
    let (start, end) = (text[open..].rfind('(')? + open, text.rfind(')')?);
    (start < end).then(|| format!("the server's certificate was refused: {}", &text[start + 1..end]))
}

/// A certificate is as bad at the next try.
pub fn about_certificates(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    text.contains("certificate") || text.contains("wrong version number") || text.contains("unsupported protocol")
}

pub fn transport_error(kind: HttpErrorKind, message: &str) -> Error {
    if about_certificates(message) {
        return Error::new(
            Kind::FailedPrecondition,
            format!("TLS: {message}; have the server's certificate renewed, or name its authority in drivers.objects.tls_ca"),
        );
    }
    match kind {
        HttpErrorKind::Timeout => Error::new(Kind::DeadlineExceeded, format!("no answer in time ({message})")),
        HttpErrorKind::Connect => Error::new(Kind::Unavailable, format!("cannot be reached ({message})")),
        _ => Error::new(Kind::Unavailable, format!("the connection broke ({message})")),
    }
}

/// The kind that an HTTP status has by itself.
pub fn kind_of_status(status: u16) -> Kind {
    match status {
        400 => Kind::InvalidArgument,
        401 => Kind::Unauthenticated,
        403 => Kind::PermissionDenied,
        404 => Kind::NotFound,
        409 | 408 | 429 => Kind::Unavailable,
        412 | 304 => Kind::FailedPrecondition,
        416 => Kind::OutOfRange,
        413 => Kind::InvalidArgument,
        507 => Kind::ResourceExhausted,
        500..=599 => Kind::Unavailable,
        _ => Kind::Internal,
    }
}
