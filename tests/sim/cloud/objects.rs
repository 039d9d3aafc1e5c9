//! Versioned objects in memory.

use std::{
    collections::BTreeMap,
    ops::Range,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use domain::ArtifactDigest;
use domain::derived_uuid;
use engine::ports::{Missing, ObjectAt, ObjectInfo, ObjectsError, Part, PinnedObject, Upload, Written};

/// Versions of each object, oldest first; the number of a version is its place.
#[derive(Debug, Clone, Default)]
pub(crate) struct ObjectsInMemory(Arc<Mutex<BTreeMap<ObjectAt, Vec<Bytes>>>>, Arc<Mutex<Tags>>, Arc<Mutex<Uploads>>);

/// Uploads in parts that are under way, and how many there were.
#[derive(Debug, Default)]
struct Uploads {
    open: BTreeMap<String, (ObjectAt, BTreeMap<u32, Bytes>)>,
    begun: u32,
}

/// Tags by object and name, of the newest versions.
type Tags = BTreeMap<(ObjectAt, String), String>;

impl ObjectsInMemory {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<ObjectAt, Vec<Bytes>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn store(&self, at: &ObjectAt, body: impl Into<Bytes>) -> Written {
        let mut objects = self.lock();
        let versions = objects.entry(at.clone()).or_default();
        let body = body.into();
        versions.push(body.clone());
        written(versions.len(), &body)
    }

    /// Stores unless there is one.
    pub(crate) fn store_new(&self, at: &ObjectAt, body: Bytes) -> Result<Written, ObjectsError> {
        if self.newest(at).is_some() {
            return Err(ObjectsError::AlreadyExists(at.clone()));
        }
        Ok(self.store(at, body))
    }

    /// The newest content.
    pub(crate) fn newest(&self, at: &ObjectAt) -> Option<Bytes> {
        self.lock().get(at).and_then(|versions| versions.last().cloned())
    }

    pub(crate) fn head(&self, at: &ObjectAt, version_id: Option<&str>) -> Result<ObjectInfo, ObjectsError> {
        let (Written { version_id, etag, .. }, body) = self.find(at, version_id)?;
        let (size, metadata) = (body.len() as u64, BTreeMap::new());
        let digest = Some(digest_of(&body));
        Ok(ObjectInfo { version_id, etag, size, digest, last_modified: None, content_type: None, metadata })
    }

    pub(crate) fn read(&self, object: &PinnedObject, range: Range<u64>) -> Result<Bytes, ObjectsError> {
        let (_, body) = self.find(&object.at, object.version_id.as_deref())?;
        let place = |offset: u64| usize::try_from(offset).unwrap_or(usize::MAX).min(body.len());
        Ok(body.slice(place(range.start)..place(range.end)))
    }

    pub(crate) fn copy(&self, from: &PinnedObject, to: &ObjectAt) -> Result<Written, ObjectsError> {
        let (_, body) = self.find(&from.at, from.version_id.as_deref())?;
        Ok(Written { digest: Some(digest_of(&body)), ..self.store(to, body) })
    }

    pub(crate) fn begin_upload(&self, at: &ObjectAt) -> Upload {
        let mut uploads = self.uploads();
        uploads.begun += 1;
        let id = format!("u{}", uploads.begun);
        uploads.open.insert(id.clone(), (at.clone(), BTreeMap::new()));
        Upload { at: at.clone(), id, if_none_match: false }
    }

    pub(crate) fn put_part(&self, upload: &Upload, number: u32, body: Bytes) -> Result<Part, ObjectsError> {
        let mut uploads = self.uploads();
        let (_, parts) = uploads.open.get_mut(&upload.id).ok_or_else(|| no_such_upload("UploadPart", upload))?;
        parts.insert(number, body);
        Ok(Part { number, etag: format!("p{number}"), crc32: None })
    }

    pub(crate) fn complete_upload(&self, upload: &Upload) -> Result<Written, ObjectsError> {
        let ended = self.uploads().open.remove(&upload.id);
        let (at, parts) = ended.ok_or_else(|| no_such_upload("CompleteMultipartUpload", upload))?;
        Ok(self.store(&at, parts.into_values().flatten().collect::<Bytes>()))
    }

    pub(crate) fn abort_upload(&self, upload: &Upload) {
        self.uploads().open.remove(&upload.id);
    }

    pub(crate) fn uploads_under(&self, prefix: &ObjectAt) -> Vec<Upload> {
        let uploads = self.uploads();
        let is_under = |at: &ObjectAt| at.bucket == prefix.bucket && at.key.starts_with(&prefix.key);
        let under = uploads.open.iter().filter(|(_, (at, _))| is_under(at));
        under.map(|(id, (at, _))| Upload { at: at.clone(), id: id.clone(), if_none_match: false }).collect()
    }

    fn uploads(&self) -> MutexGuard<'_, Uploads> {
        self.2.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn set_tag(&self, at: &ObjectAt, name: &str, value: &str) -> Result<(), ObjectsError> {
        self.find(at, None)?;
        let mut tags = self.1.lock().unwrap_or_else(PoisonError::into_inner);
        tags.insert((at.clone(), name.to_owned()), value.to_owned());
        Ok(())
    }

    /// Objects that have this tag with this value.
    pub(crate) fn tagged(&self, name: &str, value: &str) -> Vec<ObjectAt> {
        let tags = self.1.lock().unwrap_or_else(PoisonError::into_inner);
        let is = |(key, found): &(&(ObjectAt, String), &String)| key.1 == name && *found == value;
        tags.iter().filter(is).map(|((at, _), _)| at.clone()).collect()
    }

    fn find(&self, at: &ObjectAt, version_id: Option<&str>) -> Result<(Written, Bytes), ObjectsError> {
        let objects = self.lock();
        let versions = objects.get(at).ok_or_else(|| ObjectsError::NotFound(Missing::Object, at.clone()))?;
        let number = match version_id {
            None => versions.len(),
            Some(id) => id.trim_start_matches('v').parse().unwrap_or(0),
        };
        let body = number.checked_sub(1).and_then(|place| versions.get(place));
        let body = body.ok_or_else(|| ObjectsError::NotFound(Missing::Version, at.clone()))?;
        Ok((written(number, body), body.clone()))
    }
}

/// As the adapter tells that an upload is not there: it was completed or given up.
fn no_such_upload(operation: &'static str, upload: &Upload) -> ObjectsError {
    ObjectsError::Unavailable { operation, at: upload.at.clone(), reason: "NoSuchUpload".to_owned() }
}

/// Equal content has the same ETag, in every bucket.
fn written(number: usize, body: &Bytes) -> Written {
    let etag = derived_uuid(&["etag", &String::from_utf8_lossy(body)]).simple().to_string();
    Written { version_id: Some(format!("v{number}")), etag, digest: None }
}

/// As S3 keeps one of every object.
fn digest_of(body: &Bytes) -> ArtifactDigest {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hasher = DefaultHasher::new();
    body.hash(&mut hasher);
    ArtifactDigest { algorithm: "SHA256".to_owned(), value: format!("{:016x}", hasher.finish()) }
}
