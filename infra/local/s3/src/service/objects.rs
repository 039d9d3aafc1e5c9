//! Objects: put, get, head.

use std::{ops::Range, sync::Arc};

use s3s::{S3Error, S3ErrorCode, S3Request, dto::*};

use super::{cause, encryption::told, receive::Arriving, sent_checksum, timestamp, with_checksum};
use crate::{
    acl::Stated,
    bodies::{Lease, Segment},
    events::Reason,
    fault::Fault,
    store::{
        Change, Store,
        buckets::Versioning,
        objects::{NewVersion, Precondition, matches, precondition_failed},
        tags,
        version::{Attributes, Version},
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
            crate::store::version::Attributes {
                content_type: $input.content_type.clone(),
                cache_control: $input.cache_control.clone(),
                content_disposition: $input.content_disposition.clone(),
                content_encoding: $input.content_encoding.clone(),
                content_language: $input.content_language.clone(),
                expires: crate::service::objects::stored_expiry($input.expires.as_ref())?,
                website_redirect_location: $input.website_redirect_location.clone(),
                storage_class: $input.storage_class.as_ref().map(|class| class.as_str().to_owned()),
                encryption: crate::service::encryption::asked(
                    $input.server_side_encryption.as_ref(),
                    $input.ssekms_key_id.as_ref(),
                    $input.ssekms_encryption_context.as_ref(),
                    $input.bucket_key_enabled,
                )?,
                metadata: $input.metadata.clone().unwrap_or_default().into_iter().collect(),
                ..Default::default()
            },
            $input.tagging.as_deref(),
            &acl,
        )?
    }};
}
pub(super) use attributes;

pub(super) fn checked_attributes(mut given: Attributes, tagging: Option<&str>, acl: &Stated) -> Done<Attributes> {
    let bytes: usize = given.metadata.iter().map(|(name, value)| name.len() + value.len()).sum();
    if bytes > METADATA_BYTES_MAX {
        return Err(Fault::refused(
            S3ErrorCode::MetadataTooLarge,
            format!("Your metadata headers have {bytes} bytes; the maximum allowed is {METADATA_BYTES_MAX}."),
        ));
    }
    given.acl = acl.to_document()?;
    given.tags = tagging.map(tags::from_header).transpose()?.unwrap_or_default();
    Ok(given)
}

pub(super) fn stored_expiry(expires: Option<&Timestamp>) -> Done<Option<String>> {
    let Some(expires) = expires else {
        return Ok(None);
    };
    let mut text = Vec::new();
    expires.format(TimestampFormat::DateTime, &mut text).map_err(|error| {
        Fault::refused(S3ErrorCode::InvalidArgument, format!("the Expires header is no date: {error}"))
    })?;
    Ok(String::from_utf8(text).ok())
}

pub(super) async fn put(store: &Arc<Store>, mut request: S3Request<PutObjectInput>) -> Done<PutObjectOutput> {
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
    let precondition = Precondition { if_match: input.if_match.take(), if_none_match: input.if_none_match.take() };
    let encryption = attributes.encryption.clone();
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
        attributes: Attributes { checksum: measured.checksum.clone(), ..attributes },
        segments: vec![Segment { body: draft.id().to_owned(), size: measured.size }],
        cause,
        precondition,
    };
    let written = store.run(move |change| change.put_version(&new, vec![draft])).await?;
    let mut output = with_checksum!(
        PutObjectOutput {
            e_tag: Some(ETag::Strong(measured.etag())),
            version_id: written.version_id,
            ..Default::default()
        },
        measured.checksum.as_ref()
    );
    told!(output, encryption);
    output.ssekms_encryption_context = encryption.and_then(|encryption| encryption.context);
    Ok(output)
}

/// What a read says must hold.
#[derive(Default)]
pub(super) struct Conditions {
    pub(super) if_match: Option<ETagCondition>,
    pub(super) if_none_match: Option<ETagCondition>,
    pub(super) if_modified_since: Option<Timestamp>,
    pub(super) if_unmodified_since: Option<Timestamp>,
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
pub(super) struct Opened {
    pub(super) version: Version,
    pub(super) segments: Vec<Segment>,
    pub(super) lease: Lease,
    /// Absent in a bucket that never had versioning.
    pub(super) version_id: Option<String>,
}

/// Looks a version up and takes the right to read it, if the conditions hold.
pub(super) async fn open(
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
pub(super) fn shown_id(change: &Change<'_>, bucket: &str, version: &Version) -> Done<Option<String>> {
    let versioned = change.versioning(bucket)? != Versioning::Never;
    Ok(versioned.then(|| version.version_id.clone()))
}

/// The bytes a read asks for, and their `Content-Range` unless it asks for all.
fn wanted(opened: &Opened, range: Option<s3s::dto::Range>, part: Option<i32>) -> Done<(Range<u64>, Option<String>)> {
    let size = opened.version.size;
    let bytes = match (range, part) {
        (None, None) => return Ok((0..size, None)),
        (Some(range), None) => range.check(size).map_err(S3Error::from)?,
        (None, Some(number)) => {
            let index = usize::try_from(number).ok().and_then(|number| number.checked_sub(1));
            let Some(index) = index.filter(|index| *index < opened.segments.len()) else {
                return Err(Fault::refused(S3ErrorCode::InvalidArgument, format!("the object has no part {number}")));
            };
            let start: u64 = opened.segments[..index].iter().map(|segment| segment.size).sum();
            start..start + opened.segments[index].size
        }
        (Some(_), Some(_)) => {
            return Err(Fault::refused(
                S3ErrorCode::InvalidRequest,
                "Cannot specify both Range header and partNumber query parameter",
            ));
        }
    };
    let shown = (!bytes.is_empty()).then(|| format!("bytes {}-{}/{size}", bytes.start, bytes.end - 1));
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
                checksum_type: attributes
                    .checksum
                    .as_ref()
                    .filter(|_| asked && whole)
                    .and_then(|sum| sum.to_dto().checksum_type),
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
                storage_class: attributes.storage_class.clone().map(StorageClass::from),
                version_id: $opened.version_id.clone(),
                website_redirect_location: attributes.website_redirect_location.clone(),
                $($more)*
            ..Default::default() },
            attributes.checksum.as_ref().filter(|_| asked && whole)
        )
    }};
}

pub(super) async fn get(store: &Arc<Store>, request: S3Request<GetObjectInput>) -> Done<GetObjectOutput> {
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
    told!(output, opened.version.attributes.encryption);
    output.body = Some(opened.lease.read(bytes));
    Ok(output)
}

pub(super) async fn head(store: &Arc<Store>, request: S3Request<HeadObjectInput>) -> Done<HeadObjectOutput> {
    let input = request.input;
    let conditions = Conditions {
        if_match: input.if_match,
        if_none_match: input.if_none_match,
        if_modified_since: input.if_modified_since,
        if_unmodified_since: input.if_unmodified_since,
    };
    let opened = open(store, input.bucket, input.key, input.version_id, conditions).await?;
    let (bytes, content_range) = wanted(&opened, input.range, input.part_number)?;
    let mut output = described!(HeadObjectOutput, opened, input, bytes, content_range, {});
    told!(output, opened.version.attributes.encryption);
    Ok(output)
}
