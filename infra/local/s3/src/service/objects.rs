//! Objects: put, get, head, copy, delete.

use std::{ops::Range, sync::Arc};

use s3s::{S3Error, S3ErrorCode, S3Request, dto::*};

use super::{cause, receive::Arriving, sent_checksum, timestamp, with_checksum};
use crate::{
    acl::Stated,
    bodies::{Lease, Segment, blocking},
    digests::{Algorithm, Checksum},
    events::Reason,
    fault::Fault,
    store::{
        Change, Store,
        buckets::Versioning,
        objects::{Attributes, NewVersion, Precondition, Version, matches, precondition_failed},
        tags,
    },
};

type Done<T> = Result<T, Fault>;

/// Most bytes of names and values of user metadata, as S3.
const METADATA_BYTES_MAX: usize = 2048;

/// What S3 says of an object that came without a content type.
const CONTENT_TYPE_DEFAULT: &str = "binary/octet-stream";

/// Collects what an input says about an object beside its bytes.
macro_rules! attributes {
    ($input:expr) => {{
        let acl = crate::acl::Stated {
            canned: $input.acl.as_ref().map(|acl| acl.as_str().to_owned()),
            full_control: $input.grant_full_control.clone(),
            read: $input.grant_read.clone(),
            read_acp: $input.grant_read_acp.clone(),
            write: None,
            write_acp: $input.grant_write_acp.clone(),
            document: None,
        };
        crate::service::objects::checked_attributes(
            crate::store::objects::Attributes {
                content_type: $input.content_type.clone(),
                cache_control: $input.cache_control.clone(),
                content_disposition: $input.content_disposition.clone(),
                content_encoding: $input.content_encoding.clone(),
                content_language: $input.content_language.clone(),
                expires: crate::service::objects::stored_expiry($input.expires.as_ref())?,
                website_redirect_location: $input.website_redirect_location.clone(),
                storage_class: $input
                    .storage_class
                    .as_ref()
                    .map(|class| class.as_str().to_owned()),
                encryption: $input
                    .server_side_encryption
                    .as_ref()
                    .map(|kind| kind.as_str().to_owned()),
                metadata: $input
                    .metadata
                    .clone()
                    .unwrap_or_default()
                    .into_iter()
                    .collect(),
                ..Default::default()
            },
            $input.tagging.as_deref(),
            &acl,
        )?
    }};
}
pub(super) use attributes;

pub(super) fn checked_attributes(
    mut given: Attributes,
    tagging: Option<&str>,
    acl: &Stated,
) -> Done<Attributes> {
    let bytes: usize = given
        .metadata
        .iter()
        .map(|(name, value)| name.len() + value.len())
        .sum();
    if bytes > METADATA_BYTES_MAX {
        return Err(Fault::refused(
            S3ErrorCode::MetadataTooLarge,
            format!(
                "Your metadata headers have {bytes} bytes; the maximum allowed is {METADATA_BYTES_MAX}."
            ),
        ));
    }
    given.acl = acl.to_document()?;
    given.tags = tagging
        .map(tags::from_header)
        .transpose()?
        .unwrap_or_default();
    Ok(given)
}

pub(super) fn stored_expiry(expires: Option<&Timestamp>) -> Done<Option<String>> {
    let Some(expires) = expires else {
        return Ok(None);
    };
    let mut text = Vec::new();
    expires
        .format(TimestampFormat::DateTime, &mut text)
        .map_err(|error| {
            Fault::refused(
                S3ErrorCode::InvalidArgument,
                format!("the Expires header is no date: {error}"),
            )
        })?;
    Ok(String::from_utf8(text).ok())
}

pub(super) async fn put(
    store: &Arc<Store>,
    mut request: S3Request<PutObjectInput>,
) -> Done<PutObjectOutput> {
    let cause = cause(&request, Reason::Put);
    let input = &mut request.input;
    let attributes = attributes!(input);
    let arriving = Arriving::new(
        input.body.take(),
        input.content_length,
        input.content_md5.take(),
        sent_checksum!(input),
        &request.headers,
        &request.extensions,
    )?;
    let precondition = Precondition {
        if_match: input.if_match.take(),
        if_none_match: input.if_none_match.take(),
    };
    let (bucket, key) = (input.bucket.clone(), input.key.clone());
    {
        // Before gigabytes are read: does the bucket exist, can the write succeed.
        let (bucket, key, precondition) = (bucket.clone(), key.clone(), precondition.clone());
        store
            .run(move |change| {
                change.versioning(&bucket)?;
                change.check_precondition(&bucket, &key, &precondition)
            })
            .await?;
    }
    let (draft, measured) = arriving.store(store, None).await?;
    let new = NewVersion {
        bucket,
        key,
        etag: measured.etag(),
        attributes: Attributes {
            checksum: measured.checksum.clone(),
            ..attributes
        },
        segments: vec![Segment {
            body: draft.id().to_owned(),
            size: measured.size,
        }],
        cause,
        precondition,
    };
    let written = store
        .run(move |change| change.put_version(&new, vec![draft]))
        .await?;
    Ok(with_checksum!(
        PutObjectOutput {
            e_tag: Some(ETag::Strong(measured.etag())),
            version_id: written.version_id,
            server_side_encryption: request.input.server_side_encryption,
        },
        measured.checksum.as_ref()
    ))
}

/// What a read says must hold.
#[derive(Default)]
struct Conditions {
    if_match: Option<ETagCondition>,
    if_none_match: Option<ETagCondition>,
    if_modified_since: Option<Timestamp>,
    if_unmodified_since: Option<Timestamp>,
}

impl Conditions {
    /// # Errors
    /// `PreconditionFailed` or `NotModified`. An ETag condition outweighs its sibling about time (RFC 9110).
    fn check(&self, version: &Version) -> Done<()> {
        let modified = timestamp(version.modified_ms);
        let unwanted = match (&self.if_match, &self.if_unmodified_since) {
            (Some(condition), _) => !matches(condition, &version.etag),
            (None, Some(since)) => modified > *since,
            (None, None) => false,
        };
        if unwanted {
            return Err(precondition_failed());
        }
        let known = match (&self.if_none_match, &self.if_modified_since) {
            (Some(condition), _) => matches(condition, &version.etag),
            (None, Some(since)) => modified <= *since,
            (None, None) => false,
        };
        if !known {
            return Ok(());
        }
        let mut error = S3Error::new(S3ErrorCode::NotModified);
        error.set_status_code(http::StatusCode::NOT_MODIFIED);
        let mut headers = http::HeaderMap::new();
        if let Ok(etag) = format!("\"{}\"", version.etag).parse() {
            headers.insert(http::header::ETAG, etag);
        }
        error.set_headers(headers);
        Err(Fault::Refused(error))
    }
}

/// A version ready to be read.
struct Opened {
    version: Version,
    segments: Vec<Segment>,
    lease: Lease,
    /// Absent in a bucket that never had versioning.
    version_id: Option<String>,
}

async fn open(
    store: &Arc<Store>,
    bucket: String,
    key: String,
    version_id: Option<String>,
    conditions: Conditions,
) -> Done<Opened> {
    store
        .run(move |change| {
            let version = change.find(&bucket, &key, version_id.as_deref())?;
            conditions.check(&version)?;
            let segments = change.segments(&version)?;
            Ok(Opened {
                version_id: shown_id(change, &bucket, &version)?,
                lease: change.bodies.hold(&segments),
                version,
                segments,
            })
        })
        .await
}

/// The version id as responses show it.
pub(super) fn shown_id(
    change: &Change<'_>,
    bucket: &str,
    version: &Version,
) -> Done<Option<String>> {
    let versioned = change.versioning(bucket)? != Versioning::Never;
    Ok(versioned.then(|| version.version_id.clone()))
}

/// The bytes a read asks for, and their `Content-Range` unless it asks for all.
fn wanted(
    opened: &Opened,
    range: Option<s3s::dto::Range>,
    part: Option<i32>,
) -> Done<(Range<u64>, Option<String>)> {
    let size = opened.version.size;
    let bytes = match (range, part) {
        (None, None) => return Ok((0..size, None)),
        (Some(range), None) => range.check(size).map_err(S3Error::from)?,
        (None, Some(number)) => {
            let index = usize::try_from(number)
                .ok()
                .and_then(|number| number.checked_sub(1));
            let Some(index) = index.filter(|index| *index < opened.segments.len()) else {
                return Err(Fault::refused(
                    S3ErrorCode::InvalidArgument,
                    format!("the object has no part {number}"),
                ));
            };
            let start: u64 = opened.segments[..index]
                .iter()
                .map(|segment| segment.size)
                .sum();
            start..start + opened.segments[index].size
        }
        (Some(_), Some(_)) => {
            return Err(Fault::refused(
                S3ErrorCode::InvalidRequest,
                "Cannot specify both Range header and partNumber query parameter",
            ));
        }
    };
    let shown =
        (!bytes.is_empty()).then(|| format!("bytes {}-{}/{size}", bytes.start, bytes.end - 1));
    Ok((bytes, shown))
}

/// Builds the headers that GET and HEAD have in common.
macro_rules! described {
    ($output:ident, $opened:expr, $input:expr, $bytes:expr, $content_range:expr, { $($more:tt)* }) => {{
        let (version, attributes) = (&$opened.version, &$opened.version.attributes);
        let whole = $content_range.is_none();
        let asked = $input.checksum_mode.as_ref().is_some_and(|mode| mode.as_str() == ChecksumMode::ENABLED);
        with_checksum!(
            $output {
                accept_ranges: Some("bytes".to_owned()),
                cache_control: attributes.cache_control.clone(),
                content_disposition: attributes.content_disposition.clone(),
                content_encoding: attributes.content_encoding.clone(),
                content_language: attributes.content_language.clone(),
                content_length: i64::try_from($bytes.end - $bytes.start).ok(),
                content_range: $content_range,
                content_type: Some(
                    attributes.content_type.clone().unwrap_or_else(|| CONTENT_TYPE_DEFAULT.to_owned()),
                ),
                e_tag: Some(ETag::Strong(version.etag.clone())),
                expires: attributes
                    .expires
                    .as_ref()
                    .and_then(|text| Timestamp::parse(TimestampFormat::DateTime, text).ok()),
                last_modified: Some(timestamp(version.modified_ms)),
                metadata: Some(attributes.metadata.clone().into_iter().collect()),
                parts_count: $input
                    .part_number
                    .filter(|_| version.etag.contains('-'))
                    .and_then(|_| i32::try_from($opened.segments.len()).ok()),
                server_side_encryption: attributes.encryption.clone().map(ServerSideEncryption::from),
                storage_class: attributes.storage_class.clone().map(StorageClass::from),
                version_id: $opened.version_id.clone(),
                website_redirect_location: attributes.website_redirect_location.clone(),
                $($more)*
            },
            attributes.checksum.as_ref().filter(|_| asked && whole)
        )
    }};
}

pub(super) async fn get(
    store: &Arc<Store>,
    request: S3Request<GetObjectInput>,
) -> Done<GetObjectOutput> {
    let input = request.input;
    let conditions = Conditions {
        if_match: input.if_match,
        if_none_match: input.if_none_match,
        if_modified_since: input.if_modified_since,
        if_unmodified_since: input.if_unmodified_since,
    };
    let opened = open(store, input.bucket, input.key, input.version_id, conditions).await?;
    let (bytes, content_range) = wanted(&opened, input.range, input.part_number)?;
    let tags = opened.version.attributes.tags.len();
    let mut output = described!(GetObjectOutput, opened, input, bytes, content_range, {
        tag_count: i32::try_from(tags).ok().filter(|count| *count > 0),
    });
    output.body = Some(opened.lease.read(bytes));
    Ok(output)
}

pub(super) async fn head(
    store: &Arc<Store>,
    request: S3Request<HeadObjectInput>,
) -> Done<HeadObjectOutput> {
    let input = request.input;
    let conditions = Conditions {
        if_match: input.if_match,
        if_none_match: input.if_none_match,
        if_modified_since: input.if_modified_since,
        if_unmodified_since: input.if_unmodified_since,
    };
    let opened = open(store, input.bucket, input.key, input.version_id, conditions).await?;
    let (bytes, content_range) = wanted(&opened, input.range, input.part_number)?;
    Ok(described!(
        HeadObjectOutput,
        opened,
        input,
        bytes,
        content_range,
        {}
    ))
}

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
    let CopySource::Bucket {
        bucket,
        key,
        version_id,
    } = source
    else {
        return Err(Fault::refused(
            S3ErrorCode::NotImplemented,
            "only a bucket and key can be copied from",
        ));
    };
    let conditions = Conditions {
        if_match,
        ..Conditions::default()
    };
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

pub(super) async fn copy(
    store: &Arc<Store>,
    request: S3Request<CopyObjectInput>,
) -> Done<CopyObjectOutput> {
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
    let replace = directive(
        input
            .metadata_directive
            .as_ref()
            .map(MetadataDirective::as_str),
    );
    let retag = directive(
        input
            .tagging_directive
            .as_ref()
            .map(TaggingDirective::as_str),
    );
    let stated = attributes!(input);
    let onto_itself =
        source.version.latest && source.bucket == input.bucket && source.version.key == input.key;
    if onto_itself && !replace && stated.storage_class.is_none() && stated.encryption.is_none() {
        return Err(Fault::refused(
            S3ErrorCode::InvalidRequest,
            "This copy request is illegal because it is trying to copy an object to itself without changing the object's metadata, storage class, website redirect location or encryption attributes.",
        ));
    }
    let algorithm = input
        .checksum_algorithm
        .as_ref()
        .map(|name| Algorithm::parse(name.as_str()))
        .transpose()?;
    let version_id = source.version_id.clone();
    let (etag, checksum, drafts, segments) = duplicate(&source, algorithm).await?;
    let kept = source.version.attributes;
    let tags = if retag {
        stated.tags.clone()
    } else {
        kept.tags.clone()
    };
    let base = if replace {
        stated
    } else {
        Attributes {
            acl: stated.acl,
            storage_class: stated.storage_class,
            encryption: stated.encryption,
            ..kept
        }
    };
    let new = NewVersion {
        bucket: input.bucket,
        key: input.key,
        etag: etag.clone(),
        attributes: Attributes {
            tags,
            checksum: checksum.clone(),
            ..base
        },
        segments,
        cause,
        precondition: Precondition::default(),
    };
    let written = store
        .run(move |change| change.put_version(&new, drafts))
        .await?;
    Ok(CopyObjectOutput {
        copy_object_result: Some(with_checksum!(
            CopyObjectResult {
                e_tag: Some(ETag::Strong(etag)),
                last_modified: Some(timestamp(written.modified_ms)),
            },
            checksum.as_ref()
        )),
        copy_source_version_id: version_id,
        version_id: written.version_id,
        ..Default::default()
    })
}

type Duplicate = (
    String,
    Option<Checksum>,
    Vec<crate::bodies::Draft>,
    Vec<Segment>,
);

/// Second names for the source's bodies, with the ETag and checksum of an object that has them in one piece.
async fn duplicate(source: &Source, algorithm: Option<Algorithm>) -> Done<Duplicate> {
    let stored = source.version.attributes.checksum.clone();
    let algorithm = algorithm.or(stored.as_ref().map(|sum| sum.algorithm));
    let in_parts = source.version.etag.contains('-');
    let other = stored.as_ref().map(|sum| sum.algorithm) != algorithm
        || stored.as_ref().is_some_and(|sum| sum.composite);
    let lease = source.lease.again();
    let (drafts, measured) = blocking(move || {
        let drafts = lease.link_all()?;
        let measured = (in_parts || other)
            .then(|| lease.digest(algorithm))
            .transpose()?;
        Ok((drafts, measured))
    })
    .await?;
    let segments = drafts
        .iter()
        .zip(&source.segments)
        .map(|(draft, segment)| Segment {
            body: draft.id().to_owned(),
            size: segment.size,
        })
        .collect();
    let (etag, checksum) = match measured {
        Some(measured) => (measured.etag(), measured.checksum),
        None => (source.version.etag.clone(), stored),
    };
    Ok((etag, checksum, drafts, segments))
}

pub(super) async fn delete(
    store: &Arc<Store>,
    request: S3Request<DeleteObjectInput>,
) -> Done<DeleteObjectOutput> {
    let input = request.input;
    let deleted = store
        .run(move |change| {
            change.delete(
                &input.bucket,
                &input.key,
                input.version_id.as_deref(),
                input.if_match.as_ref(),
            )
        })
        .await?;
    Ok(DeleteObjectOutput {
        delete_marker: deleted.marker.then_some(true),
        version_id: deleted.version_id,
        ..Default::default()
    })
}

/// Most objects of one DeleteObjects request, as S3.
const DELETE_MAX: usize = 1000;

pub(super) async fn delete_many(
    store: &Arc<Store>,
    request: S3Request<DeleteObjectsInput>,
) -> Done<DeleteObjectsOutput> {
    let DeleteObjectsInput { bucket, delete, .. } = request.input;
    if delete.objects.is_empty() || delete.objects.len() > DELETE_MAX {
        return Err(Fault::refused(
            S3ErrorCode::MalformedXML,
            format!("A request deletes at least one and at most {DELETE_MAX} objects."),
        ));
    }
    let quiet = delete.quiet.unwrap_or(false);
    store
        .run(move |change| {
            change.versioning(&bucket)?;
            let (mut done, mut errors) = (Vec::new(), Vec::new());
            for object in delete.objects {
                let condition = object.e_tag.map(ETagCondition::ETag);
                match change.delete(
                    &bucket,
                    &object.key,
                    object.version_id.as_deref(),
                    condition.as_ref(),
                ) {
                    Ok(deleted) => done.push(DeletedObject {
                        delete_marker: deleted.marker.then_some(true),
                        delete_marker_version_id: deleted.version_id.filter(|_| deleted.marker),
                        key: Some(object.key),
                        version_id: object.version_id,
                    }),
                    Err(Fault::Refused(error)) => errors.push(Error {
                        code: Some(error.code().as_str().to_owned()),
                        key: Some(object.key),
                        message: error.message().map(str::to_owned),
                        version_id: object.version_id,
                    }),
                    Err(fault) => return Err(fault),
                }
            }
            Ok(DeleteObjectsOutput {
                deleted: (!quiet).then_some(done),
                errors: (!errors.is_empty()).then_some(errors),
                ..Default::default()
            })
        })
        .await
}
