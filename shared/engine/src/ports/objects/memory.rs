//! Objects in memory, for the tests of the use cases over them.

use std::{
    collections::BTreeMap,
    future::poll_fn,
    ops::Range,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    task::Poll,
};

use bytes::Bytes;

use super::{Missing, ObjectAt, ObjectInfo, Objects, ObjectsError, Part, PinnedObject, PutOptions, Upload, Written};

type Generate = Arc<dyn Fn(Range<u64>) -> Bytes + Send + Sync>;

/// Buckets of versioned objects that also count what is asked of them.
#[derive(Default)]
pub(crate) struct MemoryObjects {
    state: Mutex<State>,
    pub(crate) counts: Counts,
    /// Refuses the write with this number (from 0), if set.
    pub(crate) refuse_write: Mutex<Option<(usize, ObjectsError)>>,
    /// Keeps no content of what is written, only sizes.
    pub(crate) discard: bool,
}

/// What was asked, and the most at once.
#[derive(Default)]
pub(crate) struct Counts {
    pub(crate) reads: AtomicUsize,
    pub(crate) writes: AtomicUsize,
    writing: AtomicUsize,
    pub(crate) writing_most: AtomicUsize,
    held: Arc<Held>,
}

/// Bytes that callers hold: read and not dropped, or being written.
#[derive(Default)]
struct Held {
    bytes: AtomicUsize,
    most: AtomicUsize,
}

impl Held {
    fn add(&self, bytes: usize) {
        let held = self.bytes.fetch_add(bytes, SeqCst) + bytes;
        self.most.fetch_max(held, SeqCst);
    }
}

/// Read content that gives its size back when dropped.
struct Lent(Bytes, Arc<Held>);

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        self.1.bytes.fetch_sub(self.0.len(), SeqCst);
    }
}

#[derive(Default)]
struct State {
    buckets: BTreeMap<String, Bucket>,
    uploads: BTreeMap<String, (ObjectAt, PutOptions, BTreeMap<u32, Bytes>)>,
    serial: usize,
}

#[derive(Default)]
struct Bucket {
    versioned: bool,
    objects: BTreeMap<String, Vec<Version>>,
}

#[derive(Clone)]
struct Version {
    id: String,
    /// Nothing for a delete marker.
    content: Option<Content>,
    options: PutOptions,
    metadata: BTreeMap<String, String>,
}

#[derive(Clone)]
struct Content {
    size: u64,
    generate: Generate,
}

impl Content {
    fn of(body: Bytes) -> Self {
        let size = body.len() as u64;
        Self { size, generate: Arc::new(move |range| body.slice(range.start as usize..range.end as usize)) }
    }
}

impl MemoryObjects {
    pub(crate) fn create_bucket(&self, name: &str, versioned: bool) {
        self.lock().buckets.insert(name.to_owned(), Bucket { versioned, ..Bucket::default() });
    }

    /// Stores an object from outside; returns its version.
    pub(crate) fn store(&self, bucket: &str, key: &str, body: Bytes, metadata: BTreeMap<String, String>) -> String {
        self.append(&ObjectAt::new(bucket, key), Some(Content::of(body)), PutOptions::default(), metadata)
    }

    /// Stores an object whose content is made as it is read.
    pub(crate) fn store_generated(
        &self,
        bucket: &str,
        key: &str,
        size: u64,
        generate: impl Fn(Range<u64>) -> Bytes + Send + Sync + 'static,
    ) -> String {
        let content = Content { size, generate: Arc::new(generate) };
        self.append(&ObjectAt::new(bucket, key), Some(content), PutOptions::default(), BTreeMap::new())
    }

    /// Puts a delete marker; returns its version.
    pub(crate) fn delete(&self, bucket: &str, key: &str) -> String {
        self.append(&ObjectAt::new(bucket, key), None, PutOptions::default(), BTreeMap::new())
    }

    pub(crate) fn content(&self, bucket: &str, key: &str) -> Option<Bytes> {
        let content = self.newest(bucket, key)?.content?;
        Some((content.generate)(0..content.size))
    }

    pub(crate) fn options(&self, bucket: &str, key: &str) -> Option<PutOptions> {
        self.newest(bucket, key).map(|version| version.options)
    }

    pub(crate) fn keys(&self, bucket: &str) -> Vec<String> {
        self.lock().buckets[bucket].objects.keys().cloned().collect()
    }

    /// Uploads in parts that were neither completed nor given up.
    pub(crate) fn open_uploads(&self) -> usize {
        self.lock().uploads.len()
    }

    /// The most bytes callers ever held at once.
    pub(crate) fn held_most(&self) -> usize {
        self.counts.held.most.load(SeqCst)
    }

    fn newest(&self, bucket: &str, key: &str) -> Option<Version> {
        self.lock().buckets.get(bucket)?.objects.get(key)?.last().cloned()
    }

    fn append(
        &self,
        at: &ObjectAt,
        content: Option<Content>,
        options: PutOptions,
        metadata: BTreeMap<String, String>,
    ) -> String {
        let mut state = self.lock();
        state.serial += 1;
        let id = format!("v{}", state.serial);
        let bucket = state.buckets.get_mut(&at.bucket).expect("tests create their buckets");
        let versions = bucket.objects.entry(at.key.clone()).or_default();
        if !bucket.versioned {
            versions.clear();
        }
        versions.push(Version { id: id.clone(), content, options, metadata });
        id
    }

    fn find(&self, at: &ObjectAt, version_id: Option<&str>) -> Result<(Version, Content, bool), ObjectsError> {
        let missing = |what| ObjectsError::NotFound(what, at.clone());
        let state = self.lock();
        let bucket = state.buckets.get(&at.bucket).ok_or_else(|| missing(Missing::Bucket))?;
        let versions = bucket.objects.get(&at.key).ok_or_else(|| missing(Missing::Object))?;
        let version = match version_id {
            None => versions.last(),
            Some(id) => versions.iter().find(|version| version.id == id),
        };
        let version = version.ok_or_else(|| missing(Missing::Version))?.clone();
        let content = version.content.clone().ok_or_else(|| missing(Missing::Deleted))?;
        Ok((version, content, bucket.versioned))
    }

    /// One write: counted, refused if so told, and not at once, so that parallel writes overlap.
    async fn write(&self, bucket: &str, body: usize) -> Result<(), ObjectsError> {
        if !self.lock().buckets.contains_key(bucket) {
            return Err(ObjectsError::NotFound(Missing::Bucket, ObjectAt::new(bucket, "")));
        }
        let number = self.counts.writes.fetch_add(1, SeqCst);
        let writing = self.counts.writing.fetch_add(1, SeqCst) + 1;
        self.counts.writing_most.fetch_max(writing, SeqCst);
        self.counts.held.add(body);
        pause().await;
        self.counts.held.bytes.fetch_sub(body, SeqCst);
        self.counts.writing.fetch_sub(1, SeqCst);
        match &*self.refuse_write.lock().unwrap_or_else(PoisonError::into_inner) {
            Some((refused, error)) if *refused == number => Err(error.clone()),
            _ => Ok(()),
        }
    }

    fn keep(&self, at: &ObjectAt, content: Content, options: PutOptions) -> Written {
        let id = self.append(at, Some(content), options, BTreeMap::new());
        Written { etag: format!("etag-{id}"), version_id: Some(id), digest: None }
    }

    fn kept(&self, body: Bytes) -> Bytes {
        if self.discard { Bytes::new() } else { body }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Objects for MemoryObjects {
    async fn head(&self, at: &ObjectAt, version_id: Option<&str>) -> Result<ObjectInfo, ObjectsError> {
        let (version, content, versioned) = self.find(at, version_id)?;
        Ok(ObjectInfo {
            etag: format!("etag-{}", version.id),
            version_id: versioned.then_some(version.id),
            size: content.size,
            digest: None,
            last_modified: None,
            content_type: version.options.content_type,
            metadata: version.metadata,
        })
    }

    async fn read(&self, object: &PinnedObject, range: Range<u64>) -> Result<Bytes, ObjectsError> {
        self.counts.reads.fetch_add(1, SeqCst);
        pause().await;
        let (version, content, _) = self.find(&object.at, object.version_id.as_deref())?;
        if format!("etag-{}", version.id) != object.etag {
            return Err(ObjectsError::Changed(object.at.clone()));
        }
        assert!(range.start < range.end && range.end <= content.size, "{range:?} of {}", content.size);
        let body = (content.generate)(range);
        self.counts.held.add(body.len());
        Ok(Bytes::from_owner(Lent(body, Arc::clone(&self.counts.held))))
    }

    async fn put(&self, at: &ObjectAt, body: Bytes, options: &PutOptions) -> Result<Written, ObjectsError> {
        self.write(&at.bucket, body.len()).await?;
        if options.if_none_match && self.find(at, None).is_ok() {
            return Err(ObjectsError::AlreadyExists(at.clone()));
        }
        Ok(self.keep(at, Content::of(self.kept(body)), options.clone()))
    }

    async fn begin_upload(&self, at: &ObjectAt, options: &PutOptions) -> Result<Upload, ObjectsError> {
        self.write(&at.bucket, 0).await?;
        let mut state = self.lock();
        state.serial += 1;
        let id = format!("u{}", state.serial);
        state.uploads.insert(id.clone(), (at.clone(), options.clone(), BTreeMap::new()));
        Ok(Upload { at: at.clone(), id, if_none_match: options.if_none_match })
    }

    async fn put_part(&self, upload: &Upload, number: u32, body: Bytes) -> Result<Part, ObjectsError> {
        self.write(&upload.at.bucket, body.len()).await?;
        let body = self.kept(body);
        let mut state = self.lock();
        let Some((_, _, parts)) = state.uploads.get_mut(&upload.id) else { return Err(given_up(upload)) };
        parts.insert(number, body);
        Ok(Part { number, etag: format!("p{number}"), crc32: None })
    }

    async fn copy_part(
        &self,
        upload: &Upload,
        number: u32,
        from: &PinnedObject,
        range: Option<Range<u64>>,
    ) -> Result<Part, ObjectsError> {
        let (_, content, _) = self.find(&from.at, from.version_id.as_deref())?;
        let body = (content.generate)(range.unwrap_or(0..content.size));
        self.put_part(upload, number, body).await
    }

    async fn complete_upload(&self, upload: &Upload, parts: &[Part]) -> Result<Written, ObjectsError> {
        self.write(&upload.at.bucket, 0).await?;
        let Some((_, options, bodies)) = self.lock().uploads.remove(&upload.id) else {
            return Err(given_up(upload));
        };
        assert!(parts.iter().map(|part| part.number).eq(bodies.keys().copied()), "all parts, in order");
        let body: Vec<u8> = bodies.into_values().flatten().collect();
        Ok(self.keep(&upload.at, Content::of(Bytes::from(body)), options))
    }

    async fn abort_upload(&self, upload: &Upload) -> Result<(), ObjectsError> {
        self.lock().uploads.remove(&upload.id);
        Ok(())
    }

    async fn uploads_under(&self, prefix: &ObjectAt) -> Result<Vec<Upload>, ObjectsError> {
        let state = self.lock();
        let is_under = |at: &ObjectAt| at.bucket == prefix.bucket && at.key.starts_with(&prefix.key);
        let under = state.uploads.iter().filter(|(_, (at, ..))| is_under(at));
        Ok(under.map(|(id, (at, ..))| Upload { at: at.clone(), id: id.clone(), if_none_match: false }).collect())
    }

    async fn copy(
        &self,
        from: &PinnedObject,
        size: u64,
        to: &ObjectAt,
        options: &PutOptions,
    ) -> Result<Written, ObjectsError> {
        self.write(&to.bucket, 0).await?;
        let (_, content, _) = self.find(&from.at, from.version_id.as_deref())?;
        assert_eq!(content.size, size, "the caller tells the size it was told");
        Ok(self.keep(to, content, options.clone()))
    }

    async fn set_tag(&self, at: &ObjectAt, name: &str, value: &str) -> Result<(), ObjectsError> {
        let mut state = self.lock();
        let objects = state.buckets.get_mut(&at.bucket).map(|bucket| &mut bucket.objects);
        let newest = objects.and_then(|objects| objects.get_mut(&at.key)?.last_mut());
        let newest = newest.ok_or_else(|| ObjectsError::NotFound(Missing::Object, at.clone()))?;
        newest.options.tags.insert(name.to_owned(), value.to_owned());
        Ok(())
    }

    async fn is_versioned(&self, bucket: &str) -> Result<bool, ObjectsError> {
        let state = self.lock();
        let found = state.buckets.get(bucket);
        found
            .map(|bucket| bucket.versioned)
            .ok_or_else(|| ObjectsError::NotFound(Missing::Bucket, ObjectAt::new(bucket, "")))
    }
}

/// As the adapter tells that an upload is not there.
fn given_up(upload: &Upload) -> ObjectsError {
    let reason = "NoSuchUpload".to_owned();
    ObjectsError::Unavailable { operation: "CompleteMultipartUpload", at: upload.at.clone(), reason }
}

/// Lets others run first, once.
async fn pause() {
    let mut again = true;
    poll_fn(|context| {
        if !std::mem::take(&mut again) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
