//! The HTTP front: takes off signatures, which are checked before, and transfer codings, then hands over to `s3s`.

use std::sync::Arc;

use axum::{
    body::Body,
    extract::{Request, State},
    response::Response,
};
use engine::ports::Entropy;
use http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use s3s::{S3Error, S3ErrorCode, service::S3Service};

use crate::{
    chunked,
    claimed::{self, Verdict},
    events::{ACCOUNT, REGION},
    store::{Store, buckets::Document},
};

const CONTENT_SHA256: &str = "x-amz-content-sha256";
const UNSIGNED: &str = "UNSIGNED-PAYLOAD";
const DECODED_LENGTH: &str = "x-amz-decoded-content-length";
const EXPECTED_OWNER: &str = "x-amz-expected-bucket-owner";
const REQUEST_ID: &str = "x-amz-request-id";

/// The id of a request, known to everything that handles it.
#[derive(Debug, Clone)]
pub(crate) struct RequestId(pub(crate) String);

/// Set on a request, the region that it is signed for: a bucket is then made there, and those of other regions are not
/// reached. Without it there is one region.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedRegion(pub String);

/// What the front hands requests to.
#[derive(Clone)]
pub(crate) struct Front {
    pub(crate) store: Arc<Store>,
    pub(crate) service: S3Service,
    pub(crate) entropy: Arc<dyn Entropy>,
}

/// Answers one request.
pub(crate) async fn serve(State(front): State<Front>, request: Request) -> Response {
    let id = front.request_id();
    let elsewhere = front.other_region(asked_of(&request)).await;
    let mut response = match prepare(request, &id) {
        _ if elsewhere.is_some() => from_error(wrong_region(elsewhere.as_deref())),
        Ok((request, verdict)) => {
            let response = front.call(request).await;
            verdict.refusal().map_or(response, from_error)
        }
        Err(error) => from_error(error),
    };
    if response.status() == StatusCode::NOT_MODIFIED {
        *response.body_mut() = Body::empty();
    }
    if let Some(Ok(region)) = elsewhere.as_deref().map(HeaderValue::from_str) {
        response.headers_mut().insert("x-amz-bucket-region", region);
    }
    if let Ok(id) = HeaderValue::from_str(&id) {
        response.headers_mut().insert("x-amz-id-2", id.clone());
        response.headers_mut().insert(REQUEST_ID, id);
    }
    response
}

/// The region that a request is signed for, and the bucket it is about. Everybody may ask where a bucket is.
fn asked_of(request: &Request) -> Option<(String, String)> {
    let SignedRegion(region) = request.extensions().get()?;
    let bucket = request.uri().path().trim_start_matches('/').split('/').next().filter(|bucket| !bucket.is_empty())?;
    (request.uri().query() != Some("location")).then(|| (region.clone(), bucket.to_owned()))
}

fn wrong_region(expected: Option<&str>) -> S3Error {
    let message = format!(
        "The authorization header is malformed; the region is wrong; expecting '{}'",
        expected.unwrap_or(REGION)
    );
    S3Error::with_message(S3ErrorCode::AuthorizationHeaderMalformed, message)
}

impl Front {
    /// The region of the bucket that a request is about, where it is signed for another. `asked` is what it is signed for,
    /// and the bucket.
    async fn other_region(&self, asked: Option<(String, String)>) -> Option<String> {
        let (asked, bucket) = asked?;
        // A bucket that is not there is in no region.
        let found = self.store.run(move |change| change.document_text(&bucket, Document::Region)).await.ok()?;
        let region = found.unwrap_or_else(|| REGION.to_owned());
        (region != asked).then_some(region)
    }

    fn request_id(&self) -> String {
        let mut bytes = [0; 8];
        self.entropy.fill(&mut bytes);
        hex::encode_upper(bytes)
    }

    async fn call(&self, request: Request) -> Response {
        let mut service = self.service.clone();
        match tower::Service::call(&mut service, request).await {
            Ok(response) => response.map(Body::new),
            Err(error) => {
                tracing::error!(?error, "s3 protocol layer failed");
                from_error(S3Error::new(S3ErrorCode::InternalError))
            }
        }
    }
}

/// Who signed is no matter here, so the request goes on as if it were unsigned.
fn prepare(mut request: Request, id: &str) -> Result<(Request, Verdict), S3Error> {
    let owner = request.headers_mut().remove(EXPECTED_OWNER);
    if owner.is_some_and(|owner| owner != ACCOUNT) {
        return Err(S3Error::with_message(
            S3ErrorCode::AccessDenied,
            format!("Access Denied: every bucket here belongs to account {ACCOUNT}"),
        ));
    }
    request.headers_mut().remove(header::AUTHORIZATION);
    if let Some(uri) = without_presigning(request.uri()) {
        *request.uri_mut() = uri;
    }
    request.extensions_mut().insert(RequestId(id.to_owned()));
    match request.headers_mut().remove(CONTENT_SHA256) {
        Some(claim) if claim.as_bytes().starts_with(b"STREAMING-") => Ok((unchunked(request)?, Verdict::default())),
        Some(claim) if claim != UNSIGNED => claimed::compared(request, &claim),
        _ => Ok((request, Verdict::default())),
    }
}

/// The same address without the query parameters of presigned URLs; `None` if it has none.
fn without_presigning(uri: &Uri) -> Option<Uri> {
    let signing = |pair: &&str| {
        let name = pair.split('=').next().unwrap_or_default();
        const V4: [&str; 7] = [
            "X-Amz-Algorithm",
            "X-Amz-Credential",
            "X-Amz-Date",
            "X-Amz-Expires",
            "X-Amz-SignedHeaders",
            "X-Amz-Signature",
            "X-Amz-Security-Token",
        ];
        V4.iter().any(|known| name.eq_ignore_ascii_case(known))
            || ["Signature", "AWSAccessKeyId", "Expires"].contains(&name)
    };
    let query = uri.query()?;
    if !query.split('&').any(|pair| signing(&pair)) {
        return None;
    }
    let kept: Vec<&str> = query.split('&').filter(|pair| !signing(pair)).collect();
    let target = match kept.is_empty() {
        true => uri.path().to_owned(),
        false => format!("{}?{}", uri.path(), kept.join("&")),
    };
    target.parse().ok()
}

/// Takes the `aws-chunked` coding off the body and out of the headers.
fn unchunked(request: Request) -> Result<Request, S3Error> {
    let (mut parts, body) = request.into_parts();
    let length = parts.headers.remove(DECODED_LENGTH).ok_or_else(|| {
        S3Error::with_message(
            S3ErrorCode::MissingContentLength,
            "You must provide the x-amz-decoded-content-length HTTP header.",
        )
    })?;
    parts.headers.insert(header::CONTENT_LENGTH, length);
    parts.headers.remove(header::TRANSFER_ENCODING);
    strip_coding(&mut parts.headers);
    let (payload, trailers) = chunked::decode(body.into_data_stream());
    parts.extensions.insert(trailers);
    Ok(Request::from_parts(parts, Body::from_stream(payload)))
}

fn strip_coding(headers: &mut HeaderMap) {
    let Some(coding) = headers.remove(header::CONTENT_ENCODING) else {
        return;
    };
    let Ok(text) = coding.to_str() else { return };
    let rest: Vec<&str> = text
        .split(',')
        .map(str::trim)
        .filter(|coding| !coding.is_empty() && !coding.eq_ignore_ascii_case("aws-chunked"))
        .collect();
    if let Ok(rest) = HeaderValue::from_str(&rest.join(","))
        && !rest.is_empty()
    {
        headers.insert(header::CONTENT_ENCODING, rest);
    }
}

fn from_error(error: S3Error) -> Response {
    match error.to_http_response() {
        Ok(response) => response.map(Body::new),
        Err(_) => {
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
            response
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signing_parameters_are_taken_off_and_others_kept() {
        let uri = |text: &str| text.parse::<Uri>().expect("valid");
        assert_eq!(
            without_presigning(&uri("/b/k?versionId=1&X-Amz-Signature=f&X-Amz-Expires=9")),
            Some(uri("/b/k?versionId=1"))
        );
        assert_eq!(without_presigning(&uri("/b/k?X-Amz-Signature=f")), Some(uri("/b/k")));
        assert_eq!(without_presigning(&uri("/b?list-type=2")), None);
    }
}
