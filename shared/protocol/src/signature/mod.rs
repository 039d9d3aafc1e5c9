//! AWS Signature Version 4, from the side that checks it: whether a request comes from who it says, unchanged (spec 0.3).
//!
//! Bytes in, verdict out. Whose key it is, and what time, the caller says.

mod canonical;
mod claim;
mod error;
mod moment;

use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use sha2::{Digest, Sha256};

pub use claim::{Claim, named_key};
pub use error::SignatureError;
pub use moment::SKEW;

/// The terminator of every credential scope.
const TERMINATOR: &str = "aws4_request";
/// The only algorithm served: symmetric keys.
const ALGORITHM: &str = "AWS4-HMAC-SHA256";
/// Where clients say what they signed as the body's digest.
const CONTENT_SHA256: &str = "x-amz-content-sha256";

/// A request as it arrived, for checking its signature. Nothing in it may have been decoded or rewritten.
#[derive(Clone, Copy)]
pub struct SignedRequest<'a> {
    /// In upper case.
    pub method: &'a str,
    /// Without the query, as on the wire.
    pub path: &'a str,
    /// Without its question mark, as on the wire; empty if there is none.
    pub query: &'a str,
    /// In the order of arrival; names in lower case.
    pub headers: &'a [(&'a str, &'a [u8])],
}

/// What the signature must cover as the body's digest.
#[derive(Clone, Copy)]
pub enum Payload<'a> {
    /// These bytes, whatever `x-amz-content-sha256` claims.
    Body(&'a [u8]),
    /// S3's way: what `x-amz-content-sha256` claims, so that a body need not be held. Whoever reads the body compares it
    /// with a claimed digest; `UNSIGNED-PAYLOAD` and `STREAMING-...` claim none.
    Claimed,
}

/// A key, and what its signature may be used for.
#[derive(Clone, Copy)]
pub struct Expected<'a> {
    /// The key's secret.
    pub secret: &'a str,
    /// The session's token, for a key that is worth nothing without.
    pub session_token: Option<&'a str>,
    /// The region a signature must be for.
    pub region: &'a str,
    /// The services a signature may be for; the first is named in refusals.
    pub services: &'a [&'a str],
}

impl Claim {
    /// Checks that `request` is what the holder of the key signed, for one of the expected services, and not too far
    /// from `now`.
    ///
    /// A repeat of a signed request is as good as the first for as long as its date is: the signature cannot tell them apart.
    ///
    /// # Errors
    /// What is wrong, in AWS's words.
    pub fn verify(
        &self,
        request: &SignedRequest<'_>,
        payload: Payload<'_>,
        expected: &Expected<'_>,
        now: Timestamp,
    ) -> Result<(), SignatureError> {
        self.check_scope(expected)?;
        moment::check(self, now)?;
        self.check_signed_headers(request)?;
        if !same_token(self.session_token(request), expected.session_token) {
            return Err(SignatureError::WrongToken);
        }
        let digest = self.payload_digest(request, payload)?;
        let canonical = canonical::request(self, request, &digest);
        let to_sign = format!(
            "{ALGORITHM}\n{}\n{}/{}/{}/{TERMINATOR}\n{}",
            moment::compact(self.signed_at()),
            self.scope_date,
            self.region,
            self.service,
            hex::encode(Sha256::digest(canonical)),
        );
        let key = self.signing_key(expected.secret);
        mac(&key, to_sign.as_bytes()).verify_slice(self.signature()).map_err(|_| SignatureError::Mismatch)
    }

    fn signing_key(&self, secret: &str) -> Vec<u8> {
        let first = format!("AWS4{secret}").into_bytes();
        [&*self.scope_date, &*self.region, &*self.service, TERMINATOR]
            .into_iter()
            .fold(first, |key, part| mac(&key, part.as_bytes()).finalize().into_bytes().to_vec())
    }

    fn payload_digest(&self, request: &SignedRequest<'_>, payload: Payload<'_>) -> Result<String, SignatureError> {
        let claimed = request.header(CONTENT_SHA256).map(|value| String::from_utf8_lossy(value).into_owned());
        match payload {
            Payload::Body(body) => {
                let digest = hex::encode(Sha256::digest(body));
                if claimed.is_some_and(|claimed| claimed != digest) {
                    return Err(SignatureError::Mismatch);
                }
                Ok(digest)
            }
            Payload::Claimed => match claimed.or_else(|| self.presigned_digest(request)) {
                Some(claimed) => Ok(claimed),
                None if self.is_presigned() => Ok("UNSIGNED-PAYLOAD".to_owned()),
                None => Err(SignatureError::Incomplete(format!(
                    "Missing required header for this request: {CONTENT_SHA256}"
                ))),
            },
        }
    }
}

impl<'a> SignedRequest<'a> {
    /// The first header called `name`.
    fn header(&self, name: &str) -> Option<&'a [u8]> {
        self.headers.iter().find(|(header, _)| *header == name).map(|(_, value)| *value)
    }
}

/// In constant time: a token is as secret as a key.
fn same_token(sent: Option<String>, expected: Option<&str>) -> bool {
    match (sent, expected) {
        (None, None) => true,
        (Some(sent), Some(expected)) => {
            let digest = mac(b"token", sent.as_bytes()).finalize().into_bytes();
            mac(b"token", expected.as_bytes()).verify_slice(&digest).is_ok()
        }
        _ => false,
    }
}

fn mac(key: &[u8], message: &[u8]) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(message);
    mac
}
