//! Object bodies as files: written under a temporary name, renamed when whole, removed when nobody refers to them.

use std::{
    collections::{HashMap, HashSet},
    fs::{self, File},
    io::{self, Read, Write},
    ops::Range,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use bytes::{Bytes, BytesMut};
use engine::ports::Entropy;
use futures::{Stream, StreamExt, TryStreamExt, stream};
use s3s::{S3ErrorCode, dto::StreamingBlob};
use tokio::io::{AsyncReadExt, AsyncSeekExt};

use crate::{
    digests::{Algorithm, Digested, Digests},
    fault::Fault,
};

/// Bytes handed to the disk at a time: large enough that switching threads costs nothing, small enough for many uploads.
const WRITE_BYTES: usize = 1 << 20;
/// Bytes read from the disk at a time.
const READ_BYTES: usize = 256 << 10;
/// Marks a file whose writer has not finished.
const UNFINISHED: &str = "part";

/// The folder of body files, and who is reading them.
pub(crate) struct Bodies {
    dir: PathBuf,
    entropy: Arc<dyn Entropy>,
    held: Mutex<HashMap<String, Held>>,
}

#[derive(Default)]
struct Held {
    readers: usize,
    doomed: bool,
}

/// A stretch of an object: one body file, whole. Objects uploaded in parts have several.
#[derive(Debug, Clone)]
pub(crate) struct Segment {
    pub(crate) body: String,
    /// Bytes.
    pub(crate) size: u64,
}

impl Bodies {
    /// The bodies in `dir`, which is created if absent.
    pub(crate) fn open(dir: &Path, entropy: Arc<dyn Entropy>) -> io::Result<Self> {
        fs::create_dir_all(dir)?;
        Ok(Self { dir: dir.to_owned(), entropy, held: Mutex::default() })
    }

    /// Removes every file that is not in `live`: what a killed process left behind.
    pub(crate) fn sweep(&self, live: &HashSet<String>) -> io::Result<()> {
        for entry in fs::read_dir(&self.dir)? {
            let entry = entry?;
            if !entry.file_name().to_str().is_some_and(|name| live.contains(name)) {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }

    /// Writes `stream` into a new body file. The file vanishes again unless the draft is kept.
    ///
    /// # Errors
    /// `IncompleteBody` if the client's stream breaks off.
    pub(crate) async fn receive<S, E>(
        self: &Arc<Self>,
        mut stream: S,
        digests: Digests,
    ) -> Result<(Draft, Digested), Fault>
    where
        S: Stream<Item = Result<Bytes, E>> + Unpin,
        E: std::fmt::Display,
    {
        let (draft, mut file) = self.create()?;
        let mut digests = digests;
        let mut buffer = BytesMut::new();
        loop {
            let chunk = stream.next().await.transpose().map_err(|error| {
                Fault::refused(S3ErrorCode::IncompleteBody, format!("the body broke off before its end: {error}"))
            })?;
            let last = chunk.is_none();
            buffer.extend_from_slice(&chunk.unwrap_or_default());
            if buffer.len() >= WRITE_BYTES || last {
                let full = buffer.split();
                (file, digests) = blocking(move || {
                    digests.update(&full);
                    file.write_all(&full)?;
                    Ok((file, digests))
                })
                .await?;
            }
            if last {
                break;
            }
        }
        draft.finish()?;
        Ok((draft, digests.finish()))
    }

    /// A second name for an existing body; costs no copy.
    pub(crate) fn link(self: &Arc<Self>, body: &str) -> io::Result<Draft> {
        let draft = self.draft();
        fs::hard_link(self.path(body), self.path(&draft.id))?;
        Ok(draft)
    }

    /// Keeps the files of `segments` readable until the lease is dropped, whatever happens to the object.
    pub(crate) fn hold(self: &Arc<Self>, segments: &[Segment]) -> Lease {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        for segment in segments {
            held.entry(segment.body.clone()).or_default().readers += 1;
        }
        Lease { bodies: Arc::clone(self), segments: segments.to_vec() }
    }

    /// Removes bodies nobody refers to; those being read go when their last reader does.
    pub(crate) fn remove(&self, bodies: &[String]) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        for body in bodies {
            match held.get_mut(body) {
                Some(reading) => reading.doomed = true,
                None => self.unlink(&self.path(body)),
            }
        }
    }

    fn create(self: &Arc<Self>) -> io::Result<(Draft, File)> {
        let draft = self.draft();
        let file = File::create_new(draft.unfinished())?;
        Ok((draft, file))
    }

    fn draft(self: &Arc<Self>) -> Draft {
        let mut id = [0; 16];
        self.entropy.fill(&mut id);
        Draft { bodies: Arc::clone(self), id: hex::encode(id), kept: false }
    }

    fn path(&self, body: &str) -> PathBuf {
        self.dir.join(body)
    }

    fn unlink(&self, path: &Path) {
        if let Err(error) = fs::remove_file(path)
            && error.kind() != io::ErrorKind::NotFound
        {
            // Not fatal: the sweep at the next start removes it.
            tracing::warn!(path = %path.display(), %error, "a body file could not be removed");
        }
    }
}

/// A body file that nothing refers to yet; it vanishes with this value unless kept.
pub(crate) struct Draft {
    bodies: Arc<Bodies>,
    id: String,
    kept: bool,
}

impl Draft {
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// The metadata refers to the body from here on.
    pub(crate) fn keep(mut self) {
        self.kept = true;
    }

    fn unfinished(&self) -> PathBuf {
        self.bodies.path(&self.id).with_extension(UNFINISHED)
    }

    fn finish(&self) -> io::Result<()> {
        fs::rename(self.unfinished(), self.bodies.path(&self.id))
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if !self.kept {
            self.bodies.unlink(&self.unfinished());
            self.bodies.unlink(&self.bodies.path(&self.id));
        }
    }
}

/// The right to read some bodies.
pub(crate) struct Lease {
    bodies: Arc<Bodies>,
    segments: Vec<Segment>,
}

impl Lease {
    /// The bytes of `range` over all segments in order, read as they are asked for.
    pub(crate) fn read(self, range: Range<u64>) -> StreamingBlob {
        StreamingBlob::wrap(self.stream(range))
    }

    /// A second lease on the same bodies.
    pub(crate) fn again(&self) -> Self {
        self.bodies.hold(&self.segments)
    }

    /// Second names for all segments, for a copy.
    pub(crate) fn link_all(&self) -> io::Result<Vec<Draft>> {
        self.segments.iter().map(|segment| self.bodies.link(&segment.body)).collect()
    }

    /// Measures all bytes; blocks.
    pub(crate) fn digest(&self, algorithm: Option<Algorithm>) -> io::Result<Digested> {
        let mut digests = Digests::new(algorithm);
        let mut buffer = vec![0; READ_BYTES];
        for segment in &self.segments {
            let mut file = File::open(self.bodies.path(&segment.body))?;
            loop {
                let read = file.read(&mut buffer)?;
                if read == 0 {
                    break;
                }
                digests.update(&buffer[..read]);
            }
        }
        Ok(digests.finish())
    }

    /// As [`read`](Self::read), but as a plain stream.
    pub(crate) fn stream(
        self,
        range: Range<u64>,
    ) -> std::pin::Pin<Box<dyn Stream<Item = io::Result<Bytes>> + Send + Sync>> {
        let mut start = 0;
        let mut pieces = Vec::new();
        for segment in &self.segments {
            let end = start + segment.size;
            let (from, to) = (range.start.max(start), range.end.min(end));
            if from < to {
                pieces.push((self.bodies.path(&segment.body), from - start, to - from));
            }
            start = end;
        }
        // The lease rides along, so that it is released when the client has read all or gone away.
        let lease = Arc::new(self);
        let pieces = stream::iter(pieces).then(move |(path, skip, length)| {
            let lease = Arc::clone(&lease);
            async move { Ok::<_, io::Error>(piece(path, skip, length, lease)) }
        });
        Box::pin(pieces.try_flatten())
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let mut held = self.bodies.held.lock().unwrap_or_else(PoisonError::into_inner);
        for segment in &self.segments {
            let Some(reading) = held.get_mut(&segment.body) else {
                continue;
            };
            reading.readers -= 1;
            if reading.readers == 0 {
                let doomed = reading.doomed;
                held.remove(&segment.body);
                if doomed {
                    self.bodies.unlink(&self.bodies.path(&segment.body));
                }
            }
        }
    }
}

fn piece(
    path: PathBuf,
    skip: u64,
    length: u64,
    lease: Arc<Lease>,
) -> impl Stream<Item = io::Result<Bytes>> + Send + Sync {
    let state = (None::<tokio::fs::File>, length, lease);
    stream::try_unfold(state, move |(file, left, lease)| {
        let path = path.clone();
        async move {
            if left == 0 {
                return Ok(None);
            }
            let mut file = match file {
                Some(file) => file,
                None => {
                    let mut file = tokio::fs::File::open(&path).await?;
                    file.set_max_buf_size(READ_BYTES);
                    file.seek(io::SeekFrom::Start(skip)).await?;
                    file
                }
            };
            let want = usize::try_from(left).unwrap_or(READ_BYTES).min(READ_BYTES);
            let mut buffer = vec![0; want];
            let read = file.read(&mut buffer).await?;
            if read == 0 {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof));
            }
            buffer.truncate(read);
            Ok(Some((Bytes::from(buffer), (Some(file), left - read as u64, lease))))
        }
    })
}

/// Runs `work` where blocking is allowed.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Fault> + Send + 'static,
) -> Result<T, Fault> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(Fault::Body(io::Error::other(error))))
}
