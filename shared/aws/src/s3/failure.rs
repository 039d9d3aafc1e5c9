//! What an SDK error means to the caller.

use aws_sdk_s3::{
    config::http::HttpResponse,
    error::{ProvideErrorMetadata, SdkError},
};
use engine::ports::objects::{Missing, ObjectAt, ObjectsError};

/// What was asked, as far as an answer's meaning depends on it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked<'a> {
    operation: &'static str,
    /// The object read, or for writes the one written.
    at: &'a ObjectAt,
    /// The object written by a copy.
    to: Option<&'a ObjectAt>,
    /// Whether a certain version was asked for.
    version: bool,
    reads: bool,
}

impl<'a> Asked<'a> {
    pub(super) fn read(operation: &'static str, at: &'a ObjectAt) -> Self {
        Self { operation, at, to: None, version: false, reads: true }
    }

    pub(super) fn head(at: &'a ObjectAt, version: bool) -> Self {
        Self { version, ..Self::read("HeadObject", at) }
    }

    pub(super) fn write(operation: &'static str, at: &'a ObjectAt) -> Self {
        Self { reads: false, ..Self::read(operation, at) }
    }

    pub(super) fn copy(operation: &'static str, from: &'a ObjectAt, to: &'a ObjectAt) -> Self {
        Self { to: Some(to), ..Self::read(operation, from) }
    }

    pub(super) fn unavailable(&self, reason: impl Into<String>) -> ObjectsError {
        ObjectsError::Unavailable { operation: self.operation, at: self.at.clone(), reason: reason.into() }
    }
}

/// Whether S3 says nothing but 400. An answer to HEAD has no body, and 400 is a key that is disabled as well as a token that
/// has expired.
pub(super) fn is_bare<E>(error: &SdkError<E, HttpResponse>) -> bool
where
    E: ProvideErrorMetadata,
{
    let SdkError::ServiceError(service) = error else { return false };
    let says_region = service.raw().headers().get("x-amz-bucket-region").is_some();
    service.raw().status().as_u16() == 400 && service.err().code().is_none() && !says_region
}

/// Translates an SDK error. S3's messages name keys, roles and key ids, never content.
pub(super) fn failure<E>(asked: &Asked<'_>, error: SdkError<E, HttpResponse>) -> ObjectsError
where
    E: ProvideErrorMetadata,
{
    match &error {
        SdkError::TimeoutError(_) => asked.unavailable("no answer in time"),
        SdkError::DispatchFailure(_) => asked.unavailable("no connection"),
        SdkError::ResponseError(_) => asked.unavailable("the answer was cut off"),
        SdkError::ServiceError(service) => {
            let status = service.raw().status().as_u16();
            let region = service.raw().headers().get("x-amz-bucket-region");
            // The codes differ, and an answer to HEAD has none.
            if let Some(region) = region.filter(|_| matches!(status, 301 | 307 | 400)) {
                let reason = format!("the bucket is in region {region}, and was asked for in another");
                let at = asked.to.unwrap_or(asked.at).clone();
                return ObjectsError::Other { operation: asked.operation, at, reason };
            }
            let answer = Answer {
                status,
                code: service.err().code().unwrap_or_default(),
                message: service.err().message().unwrap_or_default(),
                is_delete_marker: service.raw().headers().get("x-amz-delete-marker") == Some("true"),
            };
            answer.failure(asked)
        }
        _ => ObjectsError::Other {
            operation: asked.operation,
            at: asked.at.clone(),
            reason: "the request could not be built; check endpoint, region and names".to_owned(),
        },
    }
}

struct Answer<'a> {
    status: u16,
    code: &'a str,
    message: &'a str,
    is_delete_marker: bool,
}

impl Answer<'_> {
    fn failure(&self, asked: &Asked<'_>) -> ObjectsError {
        let (operation, at) = (asked.operation, asked.at.clone());
        if let Some(missing) = self.missing(asked) {
            // A missing bucket may be either end of a copy; the code does not say which.
            let at = asked.to.filter(|to| missing == Missing::Bucket && to.bucket != at.bucket).cloned().unwrap_or(at);
            return ObjectsError::NotFound(missing, at);
        }
        match (self.status, self.code) {
            (429, _)
            | (
                _,
                "SlowDown" | "Throttling" | "ThrottlingException" | "KMS.ThrottlingException" | "RequestLimitExceeded",
            ) => ObjectsError::Throttled { operation, at },
            (412, _) if asked.reads => ObjectsError::Changed(at),
            (412, _) => ObjectsError::AlreadyExists(at),
            // Someone else writes the same key at this moment; or an earlier try of ours completed the upload, and
            // doing all of it again finds out.
            (409, "ConditionalRequestConflict" | "OperationAborted") | (404, "NoSuchUpload") | (500.., _) => {
                asked.unavailable(self.reason())
            }
            // The keys are renewed by whoever provides them. S3 says so with 400.
            (_, "ExpiredToken") => asked.unavailable(self.reason()),
            (403, "SignatureDoesNotMatch" | "InvalidAccessKeyId" | "RequestTimeTooSkewed") => {
                ObjectsError::Other { operation, at, reason: self.reason() }
            }
            // S3 passes on what KMS answered: a code of its own, or that the caller may not use the key.
            (_, code) if code.starts_with("KMS.") || self.message.contains(" kms:") => ObjectsError::Key {
                operation,
                at: asked.to.cloned().unwrap_or(at),
                is_denied: self.status == 403 || code == "KMS.AccessDeniedException",
                reason: self.reason(),
            },
            (403, _) | (_, "AccessControlListNotSupported") => {
                ObjectsError::AccessDenied { operation, at: asked.to.cloned().unwrap_or(at) }
            }
            _ => ObjectsError::Other { operation, at, reason: self.reason() },
        }
    }

    fn missing(&self, asked: &Asked<'_>) -> Option<Missing> {
        match (self.status, self.code) {
            (404 | 405, _) if self.is_delete_marker => Some(Missing::Deleted),
            (_, "NoSuchBucket") => Some(Missing::Bucket),
            (_, "NoSuchVersion") => Some(Missing::Version),
            (_, "NoSuchKey") => Some(Missing::Object),
            (404, "NoSuchUpload") => None,
            // HEAD has no body and so no code. A malformed version id is answered with 400.
            (404 | 400, "" | "NotFound" | "BadRequest" | "InvalidArgument") if asked.version => Some(Missing::Version),
            (404, _) if asked.reads => Some(Missing::Object),
            _ => None,
        }
    }

    fn reason(&self) -> String {
        match (self.code, self.message) {
            ("", _) => format!("HTTP status {}", self.status),
            (code, "") => code.to_owned(),
            (code, message) => format!("{code}: {message}"),
        }
    }
}
