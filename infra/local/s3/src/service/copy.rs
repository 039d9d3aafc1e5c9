//! Copies within the stand-in.

use std::sync::Arc;

use s3s::{S3ErrorCode, S3Request, dto::*};

use super::{
    cause,
    encryption::told,
    objects::{Conditions, attributes, open},
    timestamp, with_checksum,
};
use crate::{
    bodies::{Draft, Lease, Segment, blocking},
    digests::{Algorithm, Checksum},
    events::Reason,
    fault::Fault,
    store::{
        Store,
        objects::{NewVersion, Precondition, matches, precondition_failed},
        version::{Attributes, Version},
    },
};

type Done<T> = Result<T, Fault>;

/// The source of a copy.
pub(super) struct Source {
    pub(super) version: Version,
    pub(super) segments: Vec<Segment>,
    pub(super) lease: Lease,
    pub(super) version_id: Option<String>,
    pub(super) bucket: String,
}

/// Opens what a copy reads from, if the `x-amz-copy-source-if-*` conditions hold.
pub(super) async fn open_source(
    store: &Arc<Store>,
    source: CopySource,
    if_match: Option<ETagCondition>,
    if_none_match: Option<ETagCondition>,
) -> Done<Source> {
    let CopySource::Bucket { bucket, key, version_id } = source else {
        return Err(Fault::refused(S3ErrorCode::NotImplemented, "only a bucket and key can be copied from"));
    };
    let conditions = Conditions { if_match, ..Conditions::default() };
    let bucket = bucket.into_string();
    let id = version_id.map(String::from);
    let opened = open(store, bucket.clone(), key.into_string(), id, conditions).await?;
    if if_none_match.is_some_and(|condition| matches(&condition, &opened.version.etag)) {
        return Err(precondition_failed());
    }
    Ok(Source {
        version: opened.version,
        segments: opened.segments,
        lease: opened.lease,
        version_id: opened.version_id,
        bucket,
    })
}

pub(super) async fn copy(store: &Arc<Store>, request: S3Request<CopyObjectInput>) -> Done<CopyObjectOutput> {
    let cause = cause(&request, Reason::Copy);
    let input = request.input;
    let source = open_source(
        store,
        input.copy_source.clone(),
        input.copy_source_if_match.clone(),
        input.copy_source_if_none_match.clone(),
    )
    .await?;
    let directive = |value: Option<&str>| value == Some(MetadataDirective::REPLACE);
    let replace = directive(input.metadata_directive.as_ref().map(MetadataDirective::as_str));
    let retag = directive(input.tagging_directive.as_ref().map(TaggingDirective::as_str));
    let stated = attributes!(input);
    let onto_itself = source.version.latest && source.bucket == input.bucket && source.version.key == input.key;
    if onto_itself && !replace && stated.storage_class.is_none() && stated.encryption.is_none() {
        return Err(no_change());
    }
    let algorithm = input.checksum_algorithm.as_ref().map(|name| Algorithm::parse(name.as_str())).transpose()?;
    let version_id = source.version_id.clone();
    let (etag, checksum, drafts, segments) = duplicate(&source, algorithm).await?;
    let attributes =
        Attributes { checksum: checksum.clone(), ..merged(source.version.attributes, stated, replace, retag) };
    let encryption = attributes.encryption.clone();
    let new = NewVersion {
        bucket: input.bucket,
        key: input.key,
        etag: etag.clone(),
        attributes,
        segments,
        cause,
        precondition: Precondition::default(),
    };
    let written = store.run(move |change| change.put_version(&new, drafts)).await?;
    let mut output = CopyObjectOutput {
        copy_object_result: Some(with_checksum!(
            CopyObjectResult {
                e_tag: Some(ETag::Strong(etag)),
                last_modified: Some(timestamp(written.modified_ms)),
                ..Default::default()
            },
            checksum.as_ref()
        )),
        copy_source_version_id: version_id,
        version_id: written.version_id,
        ..Default::default()
    };
    told!(output, encryption);
    output.ssekms_encryption_context = encryption.and_then(|encryption| encryption.context);
    Ok(output)
}

type Duplicate = (String, Option<Checksum>, Vec<Draft>, Vec<Segment>);

/// Second names for the source's bodies, with the ETag and checksum of an object that has them in one piece.
async fn duplicate(source: &Source, algorithm: Option<Algorithm>) -> Done<Duplicate> {
    let stored = source.version.attributes.checksum.clone();
    let algorithm = algorithm.or(stored.as_ref().map(|sum| sum.algorithm));
    let in_parts = source.version.etag.contains('-');
    let other =
        stored.as_ref().map(|sum| sum.algorithm) != algorithm || stored.as_ref().is_some_and(|sum| sum.composite);
    let lease = source.lease.again();
    let (drafts, measured) = blocking(move || {
        let drafts = lease.link_all()?;
        let measured = (in_parts || other).then(|| lease.digest(algorithm)).transpose()?;
        Ok((drafts, measured))
    })
    .await?;
    let segments = drafts
        .iter()
        .zip(&source.segments)
        .map(|(draft, segment)| Segment { body: draft.id().to_owned(), size: segment.size })
        .collect();
    let (etag, checksum) = match measured {
        Some(measured) => (measured.etag(), measured.checksum),
        None => (source.version.etag.clone(), stored),
    };
    Ok((etag, checksum, drafts, segments))
}

/// What the copy says about itself: its own statements, the source's, or some of both.
fn merged(kept: Attributes, stated: Attributes, replace: bool, retag: bool) -> Attributes {
    let tags = if retag { stated.tags.clone() } else { kept.tags.clone() };
    let base = if replace {
        stated
    } else {
        Attributes { acl: stated.acl, storage_class: stated.storage_class, encryption: stated.encryption, ..kept }
    };
    Attributes { tags, ..base }
}

fn no_change() -> Fault {
    Fault::refused(
        S3ErrorCode::InvalidRequest,
        "This copy request is illegal because it is trying to copy an object to itself without changing the object's metadata, storage class, website redirect location or encryption attributes.",
    )
}
