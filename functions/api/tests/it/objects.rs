//! Versioned objects in memory, as far as the S3 source and pipeline definitions need them.

use std::{
    collections::BTreeMap,
    ops::Range,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use domain::ArtifactDigest;
use engine::ports::{
    Missing, ObjectAt, ObjectInfo, Objects, ObjectsError, Part, PinnedObject, PutOptions, Upload, Written,
};

/// Versions of each object, oldest first; the number of a version is its place. Then their tags, and those that nothing can be
/// done with.
#[derive(Debug, Clone, Default)]
pub(crate) struct MemoryObjects(
    Arc<Mutex<BTreeMap<ObjectAt, Vec<Bytes>>>>,
    Arc<Mutex<Tags>>,
    Arc<Mutex<BTreeMap<ObjectAt, ObjectsError>>>,
);

/// Tags by object and name, of the newest versions.
type Tags = BTreeMap<(ObjectAt, String), String>;

impl MemoryObjects {
    pub(crate) fn store(&self, bucket: &str, key: &str, body: impl Into<Bytes>) -> Written {
        let mut objects = self.0.lock().unwrap();
        let versions = objects.entry(ObjectAt::new(bucket, key)).or_default();
        versions.push(body.into());
        written(versions.len())
    }

    /// All of them, with their versions.
    pub(crate) fn all(&self) -> Vec<(ObjectAt, Vec<Bytes>)> {
        self.0.lock().unwrap().iter().map(|(at, versions)| (at.clone(), versions.clone())).collect()
    }

    /// Loses an object, versions and all.
    pub(crate) fn lose_one(&self, at: &ObjectAt) {
        self.0.lock().unwrap().remove(at);
    }

    /// Loses every object of `bucket`, versions and all.
    pub(crate) fn lose(&self, bucket: &str) {
        self.0.lock().unwrap().retain(|at, _| at.bucket != bucket);
    }

    /// Whatever is asked of an object from now on fails so.
    pub(crate) fn fail(&self, at: &ObjectAt, error: ObjectsError) {
        self.2.lock().unwrap().insert(at.clone(), error);
    }

    /// The object is as before [`fail`](Self::fail).
    pub(crate) fn mend(&self, at: &ObjectAt) {
        self.2.lock().unwrap().remove(at);
    }

    /// The value of a tag.
    pub(crate) fn tag(&self, at: &ObjectAt, name: &str) -> Option<String> {
        self.1.lock().unwrap().get(&(at.clone(), name.to_owned())).cloned()
    }

    fn find(&self, at: &ObjectAt, version_id: Option<&str>) -> Result<(Written, Bytes), ObjectsError> {
        if let Some(error) = self.2.lock().unwrap().get(at) {
            return Err(error.clone());
        }
        let objects = self.0.lock().unwrap();
        let versions = objects.get(at).ok_or_else(|| ObjectsError::NotFound(Missing::Object, at.clone()))?;
        let number = match version_id {
            None => versions.len(),
            Some(id) => id.trim_start_matches('v').parse().unwrap_or(0),
        };
        let body = number.checked_sub(1).and_then(|place| versions.get(place));
        let body = body.ok_or_else(|| ObjectsError::NotFound(Missing::Version, at.clone()))?;
        Ok((written(number), body.clone()))
    }
}

fn written(number: usize) -> Written {
    Written { version_id: Some(format!("v{number}")), etag: format!("etag{number}"), digest: None }
}

/// As S3 keeps one of every object.
fn digest_of(body: &Bytes) -> ArtifactDigest {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hasher = DefaultHasher::new();
    body.hash(&mut hasher);
    ArtifactDigest { algorithm: "SHA256".to_owned(), value: format!("{:016x}", hasher.finish()) }
}

fn not_kept<T>(operation: &'static str, at: &ObjectAt) -> Result<T, ObjectsError> {
    Err(ObjectsError::Other { operation, at: at.clone(), reason: "not part of these tests".to_owned() })
}

impl Objects for MemoryObjects {
    async fn head(&self, at: &ObjectAt, version_id: Option<&str>) -> Result<ObjectInfo, ObjectsError> {
        let (Written { version_id, etag, .. }, body) = self.find(at, version_id)?;
        Ok(ObjectInfo {
            version_id,
            etag,
            size: body.len() as u64,
            digest: Some(digest_of(&body)),
            last_modified: Some("2026-11-23T10:00:00Z".parse().unwrap()),
            content_type: None,
            metadata: BTreeMap::new(),
        })
    }

    async fn read(&self, object: &PinnedObject, range: Range<u64>) -> Result<Bytes, ObjectsError> {
        let (_, body) = self.find(&object.at, object.version_id.as_deref())?;
        Ok(body.slice(range.start as usize..range.end as usize))
    }

    async fn put(&self, at: &ObjectAt, body: Bytes, _: &PutOptions) -> Result<Written, ObjectsError> {
        Ok(self.store(&at.bucket, &at.key, body))
    }

    async fn copy(
        &self,
        from: &PinnedObject,
        _: u64,
        to: &ObjectAt,
        options: &PutOptions,
    ) -> Result<Written, ObjectsError> {
        let (_, body) = self.find(&from.at, from.version_id.as_deref())?;
        let tags = options.tags.iter().map(|(name, value)| ((to.clone(), name.clone()), value.clone()));
        self.1.lock().unwrap().extend(tags);
        Ok(Written { digest: Some(digest_of(&body)), ..self.store(&to.bucket, &to.key, body) })
    }

    async fn set_tag(&self, at: &ObjectAt, name: &str, value: &str) -> Result<(), ObjectsError> {
        self.find(at, None)?;
        self.1.lock().unwrap().insert((at.clone(), name.to_owned()), value.to_owned());
        Ok(())
    }

    async fn is_versioned(&self, _: &str) -> Result<bool, ObjectsError> {
        Ok(true)
    }

    async fn begin_upload(&self, at: &ObjectAt, _: &PutOptions) -> Result<Upload, ObjectsError> {
        not_kept("CreateMultipartUpload", at)
    }

    async fn put_part(&self, upload: &Upload, _: u32, _: Bytes) -> Result<Part, ObjectsError> {
        not_kept("UploadPart", &upload.at)
    }

    async fn copy_part(
        &self,
        upload: &Upload,
        _: u32,
        _: &PinnedObject,
        _: Option<Range<u64>>,
    ) -> Result<Part, ObjectsError> {
        not_kept("UploadPartCopy", &upload.at)
    }

    async fn uploads_under(&self, prefix: &ObjectAt) -> Result<Vec<Upload>, ObjectsError> {
        not_kept("ListMultipartUploads", prefix)
    }

    async fn complete_upload(&self, upload: &Upload, _: &[Part]) -> Result<Written, ObjectsError> {
        not_kept("CompleteMultipartUpload", &upload.at)
    }

    async fn abort_upload(&self, upload: &Upload) -> Result<(), ObjectsError> {
        not_kept("AbortMultipartUpload", &upload.at)
    }
}
