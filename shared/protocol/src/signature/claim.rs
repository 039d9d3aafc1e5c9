//! What a request says of its signature: in the header `Authorization`, or in the query of a presigned URL.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use percent_encoding::percent_decode_str;

use super::{ALGORITHM, Expected, SignatureError, SignedRequest, TERMINATOR, moment};

/// Longest life of a presigned URL: seven days, as at AWS.
const EXPIRES_S_MAX: i64 = 604_800;
/// Headers with the prefix `x-amz-` that SDKs add to presigned requests after signing.
const ADDED_TO_PRESIGNED: [&str; 2] = ["x-amz-user-agent", "x-amz-checksum-mode"];

/// A request's own account of who signed it, when, and what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    access_key_id: String,
    pub(super) scope_date: String,
    pub(super) region: String,
    pub(super) service: String,
    /// As sent: in lower case, ascending, joined by semicolons.
    pub(super) signed_headers_text: String,
    signature: [u8; 32],
    signed_at: Timestamp,
    source: Source,
}

/// Where the claim was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    /// `dated` is the header with the date.
    Header { dated: &'static str },
    /// How long a presigned URL lives.
    Query { expires: Option<SignedDuration> },
}

/// The id of the key that a request names, however incomplete the rest of its claim is.
pub fn named_key(request: &SignedRequest<'_>) -> Option<String> {
    let credential = match request.header("authorization") {
        Some(header) => std::str::from_utf8(header).ok()?.split_once("Credential=")?.1.to_owned(),
        None => {
            parameters(request.query).find(|(name, _)| *name == "X-Amz-Credential").map(|(_, value)| decoded(value))?
        }
    };
    credential.split('/').next().map(str::to_owned)
}

impl Claim {
    /// The claim of `request`, all its parts there and well-formed; `None` if it makes none.
    ///
    /// # Errors
    /// [`SignatureError::Incomplete`].
    pub fn read(request: &SignedRequest<'_>) -> Result<Option<Self>, SignatureError> {
        let mut authorizations = request.headers.iter().filter(|(name, _)| *name == "authorization");
        let header = authorizations.next().map(|(_, value)| *value);
        let is_presigned = parameters(request.query).any(|(name, _)| name == "X-Amz-Algorithm");
        match (header, is_presigned) {
            (None, false) => Ok(None),
            (Some(_), true) => {
                incomplete("Found both 'X-Amz-Algorithm' as a query-string param and 'Authorization' as HTTP header.")
            }
            (Some(_), false) if authorizations.next().is_some() => incomplete("Found 'Authorization' more than once."),
            (Some(header), false) => Self::from_header(request, header).map(Some),
            (None, true) => Self::from_query(request).map(Some),
        }
    }

    /// Id of the key that is claimed to have signed.
    pub fn access_key_id(&self) -> &str {
        &self.access_key_id
    }

    /// The signature itself.
    pub fn signature(&self) -> &[u8; 32] {
        &self.signature
    }

    /// When it was made.
    pub fn signed_at(&self) -> Timestamp {
        self.signed_at
    }

    /// Whether it is in the query.
    pub fn is_presigned(&self) -> bool {
        matches!(self.source, Source::Query { .. })
    }

    pub(super) fn expires(&self) -> Option<SignedDuration> {
        match self.source {
            Source::Query { expires } => expires,
            Source::Header { .. } => None,
        }
    }

    pub(super) fn signed_headers(&self) -> impl Iterator<Item = &str> {
        self.signed_headers_text.split(';')
    }

    pub(super) fn session_token(&self, request: &SignedRequest<'_>) -> Option<String> {
        match self.source {
            Source::Header { .. } => {
                request.header("x-amz-security-token").map(|token| String::from_utf8_lossy(token).into_owned())
            }
            Source::Query { .. } => parameter(request, "X-Amz-Security-Token"),
        }
    }

    /// What a presigned URL claims as the body's digest.
    pub(super) fn presigned_digest(&self, request: &SignedRequest<'_>) -> Option<String> {
        if self.is_presigned() { parameter(request, "X-Amz-Content-Sha256") } else { None }
    }

    pub(super) fn check_scope(&self, expected: &Expected<'_>) -> Result<(), SignatureError> {
        let date = moment::compact(self.signed_at);
        let day = &date[..8];
        if self.scope_date != day {
            return Err(SignatureError::Scope(format!(
                "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: \
                 '{}' != '{day}', from '{date}'.",
                self.scope_date
            )));
        }
        if self.region != expected.region {
            let text = format!("Credential should be scoped to a valid region, not '{}'.", self.region);
            return Err(SignatureError::Scope(text));
        }
        if !expected.services.contains(&self.service.as_str()) {
            let service = expected.services.first().copied().unwrap_or_default();
            return Err(SignatureError::Scope(format!("Credential should be scoped to correct service: '{service}'.")));
        }
        Ok(())
    }

    /// Every signed header has to be there, and whatever decides about the request has to be signed. `content-type` is
    /// none of that: what a body is, path and target say, and the SDKs for PHP and JavaScript (v2) never sign it.
    pub(super) fn check_signed_headers(&self, request: &SignedRequest<'_>) -> Result<(), SignatureError> {
        let is_signed = |name: &str| self.signed_headers().any(|signed| signed == name);
        if !is_signed("host") {
            let text = "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.";
            return Err(SignatureError::Scope(text.to_owned()));
        }
        if self.signed_headers().any(|name| request.header(name).is_none()) {
            return Err(SignatureError::Mismatch);
        }
        let must_be = |name: &str| match self.source {
            Source::Header { dated } => name.starts_with("x-amz-") || name == dated,
            Source::Query { .. } => name.starts_with("x-amz-") && !ADDED_TO_PRESIGNED.contains(&name),
        };
        let unsigned = request.headers.iter().filter(|(name, _)| must_be(name) && !is_signed(name));
        let mut unsigned: Vec<String> = unsigned.map(|(name, _)| (*name).to_owned()).collect();
        unsigned.sort_unstable();
        unsigned.dedup();
        if unsigned.is_empty() { Ok(()) } else { Err(SignatureError::UnsignedHeaders(unsigned)) }
    }

    /// `AWS4-HMAC-SHA256 Credential=<scope>, SignedHeaders=<names>, Signature=<hex>`
    fn from_header(request: &SignedRequest<'_>, header: &[u8]) -> Result<Self, SignatureError> {
        let text = std::str::from_utf8(header).unwrap_or_default();
        let Some((ALGORITHM, rest)) = text.split_once(' ') else {
            return incomplete(format!("Authorization header must begin with '{ALGORITHM}'."));
        };
        let mut parts = BTreeMap::new();
        for part in rest.split(',') {
            let Some((name, value)) = part.trim().split_once('=') else {
                return incomplete("A part of the Authorization header is no key=value pair (missing equal-sign).");
            };
            if parts.insert(name, value).is_some() {
                return incomplete(format!("Authorization header has '{name}' more than once."));
            }
        }
        let dated = if request.header("x-amz-date").is_some() { "x-amz-date" } else { "date" };
        let date = request.header(dated).map(|date| std::str::from_utf8(date).unwrap_or_default().trim());
        let missing = ["Credential", "Signature", "SignedHeaders"]
            .into_iter()
            .filter(|name| !parts.contains_key(name))
            .map(|name| format!("Authorization header requires '{name}' parameter."))
            .chain(date.is_none().then(|| {
                "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header.".to_owned()
            }));
        let missing: Vec<String> = missing.collect();
        let (Some(credential), Some(signature), Some(names), Some(date)) =
            (parts.get("Credential"), parts.get("Signature"), parts.get("SignedHeaders"), date)
        else {
            return incomplete(missing.join(" "));
        };
        let signed_at = moment::parse_compact(date).or_else(|| moment::parse_http(date));
        Self::new(credential, signature, names, signed_at, Source::Header { dated })
    }

    /// `X-Amz-Algorithm=...&X-Amz-Credential=<scope>&X-Amz-Date=...&X-Amz-SignedHeaders=<names>&X-Amz-Signature=<hex>`
    fn from_query(request: &SignedRequest<'_>) -> Result<Self, SignatureError> {
        let mut parts = BTreeMap::new();
        for (name, value) in parameters(request.query).filter(|(name, _)| name.starts_with("X-Amz-")) {
            if parts.insert(name, decoded(value)).is_some() {
                return incomplete(format!("AWS query-string parameter '{name}' is there more than once."));
            }
        }
        let required = |name: &str| match parts.get(name) {
            Some(value) if !value.is_empty() => Ok(value.as_str()),
            _ => incomplete(format!("AWS query-string parameters must include '{name}'.")),
        };
        if required("X-Amz-Algorithm")? != ALGORITHM {
            return incomplete(format!("Unsupported 'X-Amz-Algorithm': it must be '{ALGORITHM}'."));
        }
        let expires = match parts.get("X-Amz-Expires").map(|text| text.parse::<i64>()) {
            None => None,
            Some(Ok(seconds)) if (0..=EXPIRES_S_MAX).contains(&seconds) => Some(SignedDuration::from_secs(seconds)),
            Some(_) => {
                return incomplete(format!("X-Amz-Expires must be a number of seconds of at most {EXPIRES_S_MAX}."));
            }
        };
        let signed_at = moment::parse_compact(required("X-Amz-Date")?);
        let (credential, names) = (required("X-Amz-Credential")?, required("X-Amz-SignedHeaders")?);
        Self::new(credential, required("X-Amz-Signature")?, names, signed_at, Source::Query { expires })
    }

    fn new(
        credential: &str,
        signature: &str,
        names: &str,
        signed_at: Option<Timestamp>,
        source: Source,
    ) -> Result<Self, SignatureError> {
        let parts: Vec<&str> = credential.split('/').collect();
        let [access_key_id, scope_date, region, service, terminator] = parts[..] else {
            return incomplete(
                "Credential must have exactly 5 slash-delimited elements: keyid/date/region/service/aws4_request.",
            );
        };
        if terminator != TERMINATOR {
            return incomplete(format!("Credential should be scoped with a valid terminator: '{TERMINATOR}'."));
        }
        let Some(signed_at) = signed_at else {
            return incomplete("Date must be in ISO-8601 'basic format': YYYYMMDD'T'HHMMSS'Z'.");
        };
        let listed: Vec<&str> = names.split(';').collect();
        let is_ordered = listed.windows(2).all(|pair| pair[0] < pair[1]);
        if !is_ordered || names.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return incomplete("SignedHeaders must be names in lower case, ascending, separated by ';'.");
        }
        // One spelling only, so that a signature can be recognised by its bytes.
        let mut bytes = [0; 32];
        let is_hex = !signature.bytes().any(|byte| byte.is_ascii_uppercase());
        if !is_hex || hex::decode_to_slice(signature, &mut bytes).is_err() {
            return incomplete("Signature must be 64 hexadecimal digits in lower case.");
        }
        Ok(Self {
            access_key_id: access_key_id.to_owned(),
            scope_date: scope_date.to_owned(),
            region: region.to_owned(),
            service: service.to_owned(),
            signed_headers_text: names.to_owned(),
            signature: bytes,
            signed_at,
            source,
        })
    }
}

/// The parameters of a query, as they are on the wire.
pub(super) fn parameters(query: &str) -> impl Iterator<Item = (&str, &str)> {
    query.split('&').filter(|pair| !pair.is_empty()).map(|pair| pair.split_once('=').unwrap_or((pair, "")))
}

fn parameter(request: &SignedRequest<'_>, name: &str) -> Option<String> {
    parameters(request.query).find(|(found, _)| *found == name).map(|(_, value)| decoded(value))
}

fn decoded(value: &str) -> String {
    percent_decode_str(value).decode_utf8_lossy().into_owned()
}

fn incomplete<T>(text: impl Into<String>) -> Result<T, SignatureError> {
    Err(SignatureError::Incomplete(text.into()))
}
