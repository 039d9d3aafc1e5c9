//! What `x-amz-content-sha256` claims, compared with the body as it passes: a signature covers the claim, not the body.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use axum::{
    body::{Body, HttpBody as _},
    extract::Request,
};
use bytes::Bytes;
use futures::{Stream, StreamExt, stream};
use http::{HeaderValue, StatusCode};
use s3s::{
    S3Error, S3ErrorCode,
    crypto::{Checksum as _, Sha256},
};

/// Whether a body that has been read was another than claimed.
#[derive(Clone, Default)]
pub(crate) struct Verdict(Arc<AtomicBool>);

impl Verdict {
    /// The refusal, if it was.
    pub(crate) fn refusal(&self) -> Option<S3Error> {
        self.0.load(Ordering::Acquire).then(mismatch)
    }
}

/// The request with a body that breaks off at its end if it is another than `claim` says, so that nothing is stored.
///
/// # Errors
/// `InvalidArgument` for a claim that is no digest.
pub(crate) fn compared(request: Request, claim: &HeaderValue) -> Result<(Request, Verdict), S3Error> {
    let mut claimed = [0; 32];
    hex::decode_to_slice(claim.as_bytes(), &mut claimed).map_err(|_| {
        let message = "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, STREAMING-AWS4-HMAC-SHA256-PAYLOAD or a valid sha256 value.";
        S3Error::with_message(S3ErrorCode::InvalidArgument, message)
    })?;
    let verdict = Verdict::default();
    // Nothing to read, as with most requests: the claim can be judged at once.
    if request.body().size_hint().exact() == Some(0) {
        return if Sha256::checksum(b"") == claimed { Ok((request, verdict)) } else { Err(mismatch()) };
    }
    let (parts, body) = request.into_parts();
    let body = Body::from_stream(measured(body.into_data_stream(), claimed, verdict.clone()));
    Ok((Request::from_parts(parts, body), verdict))
}

fn mismatch() -> S3Error {
    let mut error = S3Error::with_message(
        S3ErrorCode::Custom("XAmzContentSHA256Mismatch".into()),
        "The provided 'x-amz-content-sha256' header does not match what was computed.",
    );
    error.set_status_code(StatusCode::BAD_REQUEST);
    error
}

fn measured<S, E>(body: S, claimed: [u8; 32], verdict: Verdict) -> impl Stream<Item = io::Result<Bytes>> + Send
where
    S: Stream<Item = Result<Bytes, E>> + Send + Unpin,
    E: std::error::Error + Send + Sync + 'static,
{
    stream::try_unfold((body, Sha256::new()), move |(mut body, mut digest)| {
        let verdict = verdict.clone();
        async move {
            match body.next().await {
                Some(bytes) => {
                    let bytes = bytes.map_err(io::Error::other)?;
                    digest.update(&bytes);
                    Ok(Some((bytes, (body, digest))))
                }
                None if digest.finalize() == claimed => Ok(None),
                None => {
                    verdict.0.store(true, Ordering::Release);
                    Err(io::Error::other("the body is another than x-amz-content-sha256 says"))
                }
            }
        }
    })
}
