//! The S3 source action: pins one version of an object and copies exactly it to the artifact store (spec 6.4).

use std::collections::BTreeMap;

use thiserror::Error;

use crate::keep::{KEEP_NO, KEEP_TAG};

use crate::ports::objects::{Missing, ObjectAt, ObjectInfo, Objects, ObjectsError, PinnedObject, PutOptions, Written};

/// Largest source object: 7 GB, CodePipeline's quota for S3 sources (spec 1.5).
pub const SOURCE_BYTES_MAX: u64 = 7 * 1024 * 1024 * 1024;

/// User metadata of the source object that becomes the revision summary (spec 6.4).
pub const REVISION_SUMMARY_METADATA: &str = "codepipeline-artifact-revision-summary";

/// Longest revision summary: `RevisionSummary` of the CodePipeline model allows 2048 characters.
const SUMMARY_CHARS_MAX: usize = 2048;

/// One version of a source object: what an S3 source action found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct S3Revision {
    /// The object, its version and its ETag; the version is always present.
    pub object: PinnedObject,
    /// `revisionId`.
    pub version_id: String,
    /// `revisionSummary`.
    pub summary: String,
    /// Size in bytes, at most [`SOURCE_BYTES_MAX`].
    pub size: u64,
}

impl S3Revision {
    /// `revisionId`: the object's version.
    pub fn revision_id(&self) -> &str {
        &self.version_id
    }

    /// `revisionChangeIdentifier`: the object's ETag.
    pub fn change_identifier(&self) -> &str {
        &self.object.etag
    }

    /// The action's output variables (spec 1.6).
    pub fn output_variables(&self) -> BTreeMap<String, String> {
        [
            ("BucketName", &self.object.at.bucket),
            ("ETag", &self.object.etag),
            ("ObjectKey", &self.object.at.key),
            ("VersionId", &self.version_id),
        ]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.clone()))
        .collect()
    }

    /// The action's `externalExecutionSummary`.
    pub fn external_execution_summary(&self) -> String {
        version_summary(&self.version_id)
    }
}

/// Why a source revision could not be had.
#[derive(Debug, Clone, Error)]
pub enum SourceError {
    /// Turn versioning on.
    #[error(
        "bucket {0} does not keep versions, which a source needs to name its revisions; turn them on with \
         `aws s3api put-bucket-versioning --bucket {0} --versioning-configuration Status=Enabled` and upload again"
    )]
    NotVersioned(String),
    /// Upload again: the object is older than the bucket's versioning.
    #[error("{0} was uploaded before its bucket kept versions; upload it again")]
    VersionlessObject(ObjectAt),
    /// Make it smaller.
    #[error("{at} has {size} bytes; a source object may have at most {SOURCE_BYTES_MAX} (7 GB)")]
    TooLarge {
        /// The source object.
        at: ObjectAt,
        /// Its size in bytes.
        size: u64,
    },
    /// Name another version.
    #[error(
        "{at} has no version '{version}': it never had, or the version was deleted or has expired; \
         `aws s3api list-object-versions --bucket {} --prefix {}` shows those it has",
        .at.bucket, .at.key
    )]
    NoSuchVersion {
        /// The source object.
        at: ObjectAt,
        /// As asked for.
        version: String,
    },
    /// The storage's own reason.
    #[error(transparent)]
    Objects(#[from] ObjectsError),
}

impl SourceError {
    /// Whether the same request may succeed later.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Objects(error) if error.is_retryable())
    }

    /// CodePipeline's failure type: what keeps a revision from being copied is not that it is unavailable.
    pub fn failure_type(&self) -> &'static str {
        match self {
            Self::Objects(ObjectsError::AccessDenied { .. } | ObjectsError::Key { is_denied: true, .. }) => {
                "PermissionError"
            }
            Self::Objects(ObjectsError::NotFound(Missing::Bucket, _) | ObjectsError::Key { .. }) => {
                "ConfigurationError"
            }
            _ => "RevisionUnavailable",
        }
    }
}

/// Finds the revision of `bucket`/`key` to release: the requested version, else the newest one.
///
/// # Errors
/// [`SourceError::NotVersioned`], [`SourceError::VersionlessObject`], [`SourceError::NoSuchVersion`] and
/// [`SourceError::TooLarge`] need a person;
/// [`SourceError::Objects`] says itself.
pub async fn pin(
    objects: &impl Objects,
    bucket: &str,
    key: &str,
    requested_version: Option<&str>,
) -> Result<S3Revision, SourceError> {
    let at = ObjectAt::new(bucket, key);
    if !objects.is_versioned(bucket).await? {
        return Err(SourceError::NotVersioned(bucket.to_owned()));
    }
    let info = objects.head(&at, requested_version).await.map_err(|error| match (error, requested_version) {
        (ObjectsError::NotFound(Missing::Version, at), Some(version)) => {
            SourceError::NoSuchVersion { at, version: version.to_owned() }
        }
        (error, _) => error.into(),
    })?;
    let version_id = match &info.version_id {
        Some(id) if id != "null" => id.clone(),
        _ => return Err(SourceError::VersionlessObject(at)),
    };
    if info.size > SOURCE_BYTES_MAX {
        return Err(SourceError::TooLarge { at, size: info.size });
    }
    Ok(S3Revision { summary: summary(&info, &version_id), object: info.pin(&at), version_id, size: info.size })
}

/// Copies the pinned revision to its place in the artifact store.
///
/// Doing it again writes the same content to the same place, so a lost answer is no harm.
///
/// # Errors
/// [`SourceError::Objects`]; [`ObjectsError::NotFound`] means the version was removed since it was pinned.
pub async fn fetch(
    objects: &impl Objects,
    revision: &S3Revision,
    to: &ObjectAt,
    kms_key: Option<&str>,
) -> Result<Written, SourceError> {
    let options = PutOptions {
        content_type: Some("application/zip".to_owned()),
        kms_key: kms_key.map(str::to_owned),
        sha256: true,
        tags: BTreeMap::from([(KEEP_TAG.to_owned(), KEEP_NO.to_owned())]),
        ..PutOptions::default()
    };
    Ok(objects.copy(&revision.object, revision.size, to, &options).await?)
}

fn summary(info: &ObjectInfo, version_id: &str) -> String {
    match info.metadata.get(REVISION_SUMMARY_METADATA).map(|text| text.trim()) {
        Some(text) if !text.is_empty() => text.chars().take(SUMMARY_CHARS_MAX).collect(),
        _ => version_summary(version_id),
    }
}

fn version_summary(version_id: &str) -> String {
    format!("Amazon S3 version id: {version_id}")
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use futures::executor::block_on;

    use super::*;
    use crate::ports::objects::memory::MemoryObjects;

    fn source() -> MemoryObjects {
        let objects = MemoryObjects::default();
        objects.create_bucket("source", true);
        objects.create_bucket("artifacts", false);
        objects
    }

    fn upload(objects: &MemoryObjects, body: &'static str) -> String {
        objects.store("source", "app.zip", Bytes::from(body), BTreeMap::new())
    }

    #[test]
    fn the_newest_version_is_pinned_unless_one_is_asked_for() {
        let objects = source();
        let first = upload(&objects, "one");
        let second = upload(&objects, "two");
        let newest = block_on(pin(&objects, "source", "app.zip", None)).unwrap();
        assert_eq!(newest.revision_id(), second);
        assert_eq!(newest.summary, format!("Amazon S3 version id: {second}"));
        let asked = block_on(pin(&objects, "source", "app.zip", Some(&first))).unwrap();
        assert_eq!(asked.revision_id(), first);
        assert_ne!(asked.change_identifier(), newest.change_identifier());
        let variables = asked.output_variables();
        assert_eq!(variables.keys().collect::<Vec<_>>(), ["BucketName", "ETag", "ObjectKey", "VersionId"]);
        assert_eq!(variables["VersionId"], first);
    }

    #[test]
    fn the_summary_comes_from_metadata_cut_to_the_models_length() {
        let objects = source();
        let long = "é".repeat(3000);
        let metadata = BTreeMap::from([(REVISION_SUMMARY_METADATA.to_owned(), long)]);
        objects.store("source", "app.zip", Bytes::from("x"), metadata);
        let revision = block_on(pin(&objects, "source", "app.zip", None)).unwrap();
        assert_eq!(revision.summary.chars().count(), SUMMARY_CHARS_MAX);
        assert!(revision.external_execution_summary().starts_with("Amazon S3 version id: "));
    }

    #[test]
    fn fetching_copies_exactly_the_pinned_version_however_often() {
        let objects = source();
        upload(&objects, "one");
        let revision = block_on(pin(&objects, "source", "app.zip", None)).unwrap();
        upload(&objects, "two");
        let to = ObjectAt::new("artifacts", "p/SourceArti/x");
        for _ in 0..2 {
            block_on(fetch(&objects, &revision, &to, Some("alias/k"))).unwrap();
            assert_eq!(objects.content("artifacts", "p/SourceArti/x").unwrap(), "one");
        }
        assert_eq!(objects.options("artifacts", "p/SourceArti/x").unwrap().kms_key.as_deref(), Some("alias/k"));
    }

    #[test]
    fn what_cannot_be_a_revision_is_refused_with_what_to_do() {
        let objects = source();
        let refused =
            |bucket: &str, version: Option<&str>| block_on(pin(&objects, bucket, "app.zip", version)).unwrap_err();
        let unversioned = refused("artifacts", None);
        assert!(unversioned.to_string().contains("put-bucket-versioning --bucket artifacts"));
        assert!(matches!(refused("nowhere", None), SourceError::Objects(ObjectsError::NotFound(Missing::Bucket, _))));
        assert!(matches!(refused("source", None), SourceError::Objects(ObjectsError::NotFound(Missing::Object, _))));
        upload(&objects, "one");
        let unknown = refused("source", Some("v99")).to_string();
        assert!(unknown.contains("no version 'v99'") && unknown.contains("--prefix app.zip"), "{unknown}");
        let marker = objects.delete("source", "app.zip");
        for version in [None, Some(marker.as_str())] {
            let deleted = refused("source", version);
            assert!(deleted.to_string().contains("delete marker"), "{deleted}");
        }
    }

    #[test]
    fn what_the_account_has_to_change_is_no_matter_of_the_revision() {
        let at = || ObjectAt::new("artifacts", "k");
        let key = |is_denied| ObjectsError::Key { operation: "CopyObject", at: at(), is_denied, reason: String::new() };
        for (error, expected) in [
            (ObjectsError::AccessDenied { operation: "CopyObject", at: at() }, "PermissionError"),
            (key(true), "PermissionError"),
            (key(false), "ConfigurationError"),
            (ObjectsError::NotFound(Missing::Bucket, at()), "ConfigurationError"),
            (ObjectsError::NotFound(Missing::Object, at()), "RevisionUnavailable"),
        ] {
            let objects = source();
            upload(&objects, "one");
            let revision = block_on(pin(&objects, "source", "app.zip", None)).unwrap();
            *objects.refuse_write.lock().unwrap() = Some((0, error));
            let failed = block_on(fetch(&objects, &revision, &at(), Some("alias/k"))).unwrap_err();
            assert_eq!(failed.failure_type(), expected, "{failed}");
            assert_eq!(objects.content("artifacts", "k"), None, "nothing half done");
        }
    }

    #[test]
    fn an_object_over_seven_gigabytes_is_refused_by_name() {
        let objects = source();
        objects.store_generated("source", "app.zip", SOURCE_BYTES_MAX + 1, |range| {
            Bytes::from(vec![0; (range.end - range.start) as usize])
        });
        let error = block_on(pin(&objects, "source", "app.zip", None)).unwrap_err();
        assert!(error.to_string().contains("7 GB"), "{error}");
    }
}
