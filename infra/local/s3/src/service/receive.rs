//! Bodies on their way in: measured, compared with what the client announced.

use std::sync::Arc;

use http::{Extensions, HeaderMap};
use s3s::dto::StreamingBlob;

use crate::{
    bodies::Draft,
    chunked::Trailers,
    digests::{Algorithm, Checksum, Digested, Digests},
    fault::Fault,
    store::Store,
};

/// A body and what was said about it.
pub(super) struct Arriving {
    pub(super) body: Option<StreamingBlob>,
    pub(super) length: Option<i64>,
    pub(super) md5: Option<String>,
    pub(super) sent: Option<Checksum>,
    pub(super) announced: Option<Algorithm>,
    pub(super) trailers: Option<Trailers>,
}

impl Arriving {
    /// The parts of a request that speak of checksums.
    ///
    /// # Errors
    /// `InvalidRequest` for an unknown algorithm.
    pub(super) fn new(
        body: Option<StreamingBlob>,
        length: Option<i64>,
        md5: Option<String>,
        sent: Option<Checksum>,
        headers: &HeaderMap,
        extensions: &Extensions,
    ) -> Result<Self, Fault> {
        Ok(Self { body, length, md5, sent, announced: announced(headers)?, trailers: extensions.get().cloned() })
    }

    /// Writes the body to a file; `otherwise` is the algorithm to use if the client announced none.
    ///
    /// # Errors
    /// `IncompleteBody`, `InvalidDigest` or `BadDigest`.
    pub(super) async fn store(
        self,
        store: &Arc<Store>,
        otherwise: Option<Algorithm>,
    ) -> Result<(Draft, Digested), Fault> {
        let algorithm = self.sent.as_ref().map(|sum| sum.algorithm).or(self.announced).or(otherwise);
        let body = self.body.unwrap_or_else(|| StreamingBlob::from(s3s::Body::empty()));
        let (draft, measured) = store.bodies.receive(body, Digests::new(algorithm)).await?;
        let trailing = self.trailers.zip(algorithm).and_then(|(trailers, algorithm)| {
            Some(Checksum { algorithm, value: trailers.get(&algorithm.header())?, composite: false })
        });
        let expected = self.sent.or(trailing);
        measured.check(self.length, self.md5.as_deref(), expected.as_ref())?;
        Ok((draft, measured))
    }
}

fn announced(headers: &HeaderMap) -> Result<Option<Algorithm>, Fault> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    if let Some(name) = text("x-amz-trailer").and_then(|trailer| trailer.trim().strip_prefix("x-amz-checksum-")) {
        return Algorithm::parse(name).map(Some);
    }
    text("x-amz-sdk-checksum-algorithm").or_else(|| text("x-amz-checksum-algorithm")).map(Algorithm::parse).transpose()
}
