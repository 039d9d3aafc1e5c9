//! Versioned objects in buckets: what the S3 actions and the storage of pipeline definitions need of S3.

use std::{collections::BTreeMap, fmt, future::Future, ops::Range};

use bytes::Bytes;
use domain::ArtifactDigest;
use domain::ArtifactLocation;
use futures::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use thiserror::Error;

#[cfg(test)]
pub(crate) mod memory;

/// Largest part number S3 accepts in a multipart upload.
pub const PARTS_MAX: u32 = 10_000;
/// Largest part of an upload (S3's limit: 5 GiB), and largest object that is copied in one request.
pub const COPY_BYTES_MAX: u64 = 5 * 1024 * 1024 * 1024;
/// Bytes copied per part of larger ones: S3 copies parts side by side, and 10,000 of them exceed its largest object (5 TiB).
const COPY_PART_BYTES: u64 = 1024 * 1024 * 1024;
/// Parts copied at the same time.
const COPIES_PARALLEL_MAX: usize = 4;

/// Reads and writes objects.
///
/// Every write is all or nothing: an object appears whole, or not at all. Implementations retry what their client
/// library calls retryable; an error they return is worth no immediate retry.
pub trait Objects: Send + Sync {
    /// Tells about the newest version of an object, or about `version_id` when given.
    ///
    /// # Errors
    /// [`ObjectsError::NotFound`] says whether the bucket, the object or the version is missing, or the object deleted.
    fn head(
        &self,
        at: &ObjectAt,
        version_id: Option<&str>,
    ) -> impl Future<Output = Result<ObjectInfo, ObjectsError>> + Send;

    /// Reads `range` (offsets in bytes, not empty, inside the object) of exactly the pinned content.
    ///
    /// # Errors
    /// [`ObjectsError::Changed`] when the object no longer has the pinned content.
    fn read(
        &self,
        object: &PinnedObject,
        range: Range<u64>,
    ) -> impl Future<Output = Result<Bytes, ObjectsError>> + Send;

    /// Writes a small object (limit of S3: 5 GB; callers stay far below, since the body is in memory).
    ///
    /// # Errors
    /// [`ObjectsError::AlreadyExists`] when `options.if_none_match` is set and the object exists.
    fn put(
        &self,
        at: &ObjectAt,
        body: Bytes,
        options: &PutOptions,
    ) -> impl Future<Output = Result<Written, ObjectsError>> + Send;

    /// Begins to write a large object in parts. Nothing is visible until [`Objects::complete_upload`].
    ///
    /// # Errors
    /// As for [`Objects::put`].
    fn begin_upload(
        &self,
        at: &ObjectAt,
        options: &PutOptions,
    ) -> impl Future<Output = Result<Upload, ObjectsError>> + Send;

    /// Writes part `number` (from 1 to [`PARTS_MAX`]; each but the last at least 5 MiB) and returns its receipt.
    ///
    /// # Errors
    /// As for [`Objects::put`].
    fn put_part(
        &self,
        upload: &Upload,
        number: u32,
        body: Bytes,
    ) -> impl Future<Output = Result<Part, ObjectsError>> + Send;

    /// Fills part `number` with `range` of exactly the pinned content, or with all of it, without it passing through the
    /// caller. Of objects below 5 MiB S3 copies no range.
    ///
    /// # Errors
    /// As for [`Objects::read`] and [`Objects::put`].
    fn copy_part(
        &self,
        upload: &Upload,
        number: u32,
        from: &PinnedObject,
        range: Option<Range<u64>>,
    ) -> impl Future<Output = Result<Part, ObjectsError>> + Send;

    /// Makes the object of the given parts visible.
    ///
    /// # Errors
    /// As for [`Objects::put`].
    fn complete_upload(
        &self,
        upload: &Upload,
        parts: &[Part],
    ) -> impl Future<Output = Result<Written, ObjectsError>> + Send;

    /// Gives the parts up: from here on the upload cannot be completed. One that has ended is left as it is.
    ///
    /// # Errors
    /// [`ObjectsError`]; the parts then stay until the bucket's lifecycle rule for incomplete uploads removes them.
    fn abort_upload(&self, upload: &Upload) -> impl Future<Output = Result<(), ObjectsError>> + Send;

    /// Uploads in parts that are under way, whoever began them, to keys that begin with that of `prefix`.
    ///
    /// # Errors
    /// [`ObjectsError::NotFound`] when there is no such bucket.
    fn uploads_under(&self, prefix: &ObjectAt) -> impl Future<Output = Result<Vec<Upload>, ObjectsError>> + Send;

    /// Copies exactly the pinned content, `size` bytes of it, without it passing through the caller.
    ///
    /// Metadata and content type come from `options`, not from the source.
    ///
    /// # Errors
    /// As for [`Objects::read`] and [`Objects::put`].
    fn copy(
        &self,
        from: &PinnedObject,
        size: u64,
        to: &ObjectAt,
        options: &PutOptions,
    ) -> impl Future<Output = Result<Written, ObjectsError>> + Send;

    /// Gives the newest version of an object the tag `name` with `value`, and leaves its other tags as they are. One that
    /// has it already is not written to.
    ///
    /// # Errors
    /// [`ObjectsError::NotFound`]; [`ObjectsError::Other`] where the object has ten other tags, the most it can have.
    fn set_tag(&self, at: &ObjectAt, name: &str, value: &str) -> impl Future<Output = Result<(), ObjectsError>> + Send;

    /// Says whether the bucket keeps versions (suspended versioning counts as not).
    ///
    /// # Errors
    /// [`ObjectsError::NotFound`] when there is no such bucket.
    fn is_versioned(&self, bucket: &str) -> impl Future<Output = Result<bool, ObjectsError>> + Send;
}

/// Fills `upload` with exactly the pinned content, `size` bytes of it, and returns the receipts of its parts.
///
/// # Errors
/// As for [`Objects::copy_part`].
pub async fn copy_parts(
    objects: &impl Objects,
    from: &PinnedObject,
    size: u64,
    upload: &Upload,
) -> Result<Vec<Part>, ObjectsError> {
    if size == 0 {
        // Of nothing there is no range.
        return Ok(vec![objects.put_part(upload, 1, Bytes::new()).await?]);
    }
    if size <= COPY_BYTES_MAX {
        return Ok(vec![objects.copy_part(upload, 1, from, None).await?]);
    }
    let ranges = (1..=PARTS_MAX).map_while(|number| {
        let start = u64::from(number - 1) * COPY_PART_BYTES;
        (start < size).then(|| (number, start..(start + COPY_PART_BYTES).min(size)))
    });
    let copies = ranges.map(|(number, range)| objects.copy_part(upload, number, from, Some(range)));
    stream::iter(copies.collect::<Vec<_>>()).buffered(COPIES_PARALLEL_MAX).try_collect().await
}

/// A place in a bucket. Displays as `s3://bucket/key`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ObjectAt {
    /// Bucket name.
    pub bucket: String,
    /// Object key, not URL-encoded.
    pub key: String,
    /// Region of the bucket; absent, the installation's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
}

impl ObjectAt {
    /// The place `key` in `bucket`.
    pub fn new(bucket: impl Into<String>, key: impl Into<String>) -> Self {
        Self { bucket: bucket.into(), key: key.into(), region: None }
    }

    /// The same, of a bucket in `region`; `None` is the installation's own.
    pub fn in_region(self, region: Option<&str>) -> Self {
        Self { region: region.map(str::to_owned), ..self }
    }
}

impl From<&ArtifactLocation> for ObjectAt {
    fn from(at: &ArtifactLocation) -> Self {
        Self { bucket: at.bucket.clone(), key: at.key.clone(), region: at.region.clone() }
    }
}

impl fmt::Display for ObjectAt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s3://{}/{}", self.bucket, self.key)
    }
}

/// One unchanging content of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PinnedObject {
    /// Where the object is.
    pub at: ObjectAt,
    /// Its version, when the bucket keeps versions.
    pub version_id: Option<String>,
    /// Its ETag; pins the content where there is no version.
    pub etag: String,
}

/// What is known of an object without reading it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectInfo {
    /// Version, when the bucket keeps versions.
    pub version_id: Option<String>,
    /// ETag without quotes.
    pub etag: String,
    /// Size in bytes.
    pub size: u64,
    /// The checksum that S3 keeps of the content, where it keeps one; SHA-256 before others.
    pub digest: Option<ArtifactDigest>,
    /// When this version was written, to the second.
    pub last_modified: Option<Timestamp>,
    /// Content type, when one is stored.
    pub content_type: Option<String>,
    /// User metadata; names in lower case and without `x-amz-meta-`.
    pub metadata: BTreeMap<String, String>,
}

impl ObjectInfo {
    /// Pins the content this information describes.
    pub fn pin(&self, at: &ObjectAt) -> PinnedObject {
        PinnedObject { at: at.clone(), version_id: self.version_id.clone(), etag: self.etag.clone() }
    }
}

/// How an object is to be stored.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PutOptions {
    /// `Content-Type`.
    pub content_type: Option<String>,
    /// `Cache-Control`.
    pub cache_control: Option<String>,
    /// Canned access control list, in S3's spelling, such as `public-read`.
    pub acl: Option<String>,
    /// KMS key (id, alias or ARN) to encrypt with; the bucket's default otherwise.
    pub kms_key: Option<String>,
    /// Has S3 keep a SHA-256 of the content. Only for copies: other writes carry the checksum that the adapter chooses.
    pub sha256: bool,
    /// Object tags.
    pub tags: BTreeMap<String, String>,
    /// Writes only if no such object exists. Not for copies.
    pub if_none_match: bool,
}

/// What a write produced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// The new version, when the bucket keeps versions.
    pub version_id: Option<String>,
    /// ETag without quotes.
    pub etag: String,
    /// The checksum that S3 keeps of the content, where the answer told one.
    pub digest: Option<ArtifactDigest>,
}

/// A multipart upload under way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upload {
    /// Where the object will be.
    pub at: ObjectAt,
    /// S3's identifier of the upload.
    pub id: String,
    /// Repeats [`PutOptions::if_none_match`], which S3 looks at on completion.
    pub if_none_match: bool,
}

/// Receipt of one uploaded part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Number from 1.
    pub number: u32,
    /// ETag as S3 gave it.
    pub etag: String,
    /// CRC-32 as S3 gave it (base64), which completion has to repeat.
    pub crc32: Option<String>,
}

/// What is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    /// There is no such bucket (in this account and region).
    Bucket,
    /// There is no such key.
    Object,
    /// The key has no such version.
    Version,
    /// The newest or named version is a delete marker.
    Deleted,
}

/// Why an operation on objects did not happen, by what the caller can do.
#[derive(Debug, Clone, Error)]
pub enum ObjectsError {
    /// Correct the name, or restore the object.
    #[error("{}", missing_text(*.0, .1))]
    NotFound(Missing, ObjectAt),
    /// Grant the permission. S3 answers so too for an object that does not exist when `s3:ListBucket` is not granted.
    #[error("access denied: {operation} on {at}; allow it in the role's policy, the bucket policy and the key policy")]
    AccessDenied {
        /// The S3 operation that was refused.
        operation: &'static str,
        /// On what.
        at: ObjectAt,
    },
    /// Correct the KMS key, or let it be used.
    #[error(
        "the KMS key cannot be used: {operation} on {at}: {reason}; name a key of the bucket's region that is enabled, \
         and allow its use in the role's policy and the key's"
    )]
    Key {
        /// The S3 operation that was refused.
        operation: &'static str,
        /// On what.
        at: ObjectAt,
        /// Whether the key is there and may not be used.
        is_denied: bool,
        /// S3's error code and message; they name keys and roles, never content.
        reason: String,
    },
    /// Decide anew: someone else has written the object first.
    #[error("{0} exists already")]
    AlreadyExists(ObjectAt),
    /// Begin again: the object was overwritten while it was read.
    #[error("{0} was overwritten while it was being read")]
    Changed(ObjectAt),
    /// Wait and try again, more slowly.
    #[error("S3 asked to slow down: {operation} on {at}")]
    Throttled {
        /// The S3 operation.
        operation: &'static str,
        /// On what.
        at: ObjectAt,
    },
    /// Wait and try again.
    #[error("S3 did not answer {operation} on {at}: {reason}")]
    Unavailable {
        /// The S3 operation.
        operation: &'static str,
        /// On what.
        at: ObjectAt,
        /// Kind of failure; never content.
        reason: String,
    },
    /// Read the reason.
    #[error("{operation} on {at} failed: {reason}")]
    Other {
        /// The S3 operation.
        operation: &'static str,
        /// On what.
        at: ObjectAt,
        /// S3's error code and message; never content.
        reason: String,
    },
}

impl ObjectsError {
    /// Whether the same request may succeed later.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Throttled { .. } | Self::Unavailable { .. })
    }
}

fn missing_text(missing: Missing, at: &ObjectAt) -> String {
    match missing {
        Missing::Bucket => format!("there is no bucket {}; check its name, account and region", at.bucket),
        Missing::Object => format!("there is no object {at}; check the key, or upload it"),
        Missing::Version => format!("{at} has no such version; it may have expired"),
        Missing::Deleted => {
            format!("{at} is deleted (its version is a delete marker); upload it again or remove the marker")
        }
    }
}
