//! Uploads the files of a checked archive, a few at a time, in the archive's order.

use std::{
    future::Future,
    sync::atomic::{AtomicBool, Ordering},
};

use bytes::Bytes;
use futures::{StreamExt, stream::FuturesOrdered};

use super::{
    DeployFailed, PART_BYTES, Progress, S3DeployConfiguration, UPLOADS_PARALLEL_MAX, archive::Archive,
    directory::Entry, entry::EntryReader, not_read, under,
};
use crate::ports::objects::{ObjectAt, Objects, Part, PutOptions, Upload};

/// Where files go.
pub(super) struct Target<'a, O> {
    pub(super) objects: &'a O,
    pub(super) configuration: &'a S3DeployConfiguration,
    /// Of the bucket; absent, the installation's own.
    pub(super) region: Option<&'a str>,
    pub(super) prefix: &'a str,
}

/// Says when to stop: time is out, or another file failed.
struct Stop<'a, F> {
    out_of_time: &'a F,
    failed: AtomicBool,
}

impl<F: Fn() -> bool> Stop<'_, F> {
    fn is_near(&self) -> bool {
        self.failed.load(Ordering::Relaxed) || (self.out_of_time)()
    }
}

/// Uploads `entries` and tells how far it came, counting on from `progress`.
///
/// After a failure the files under way are finished or given up before the failure is returned, so that no upload in
/// parts is left behind.
pub(super) async fn upload_all<O: Objects, F: Fn() -> bool + Send + Sync>(
    target: &Target<'_, O>,
    archive: &Archive<'_, O>,
    entries: &[Entry],
    progress: Progress,
    out_of_time: &F,
) -> Result<Progress, DeployFailed> {
    let stop = Stop { out_of_time, failed: AtomicBool::new(false) };
    in_order(entries, progress, &stop, |entry| upload(target, archive, entry, &stop)).await
}

/// Reads every entry to its end, for its checksum. False when time ran out before.
pub(super) async fn verify<O: Objects, F: Fn() -> bool + Send + Sync>(
    archive: &Archive<'_, O>,
    entries: &[Entry],
    out_of_time: &F,
) -> Result<bool, DeployFailed> {
    let stop = Stop { out_of_time, failed: AtomicBool::new(false) };
    let reached = in_order(entries, Progress::default(), &stop, |entry| check(archive, entry, &stop)).await?;
    Ok(reached.files == entries.len() as u64)
}

/// Runs `work` for the entries, at most [`UPLOADS_PARALLEL_MAX`] at once, and counts those finished without a gap.
async fn in_order<'e, F, W, R>(
    entries: &'e [Entry],
    mut progress: Progress,
    stop: &Stop<'_, F>,
    work: W,
) -> Result<Progress, DeployFailed>
where
    F: Fn() -> bool,
    W: Fn(&'e Entry) -> R,
    R: Future<Output = Result<bool, DeployFailed>>,
{
    let mut waiting = entries.iter();
    let mut running = FuturesOrdered::new();
    let mut failure = None;
    let mut gap = false;
    loop {
        while running.len() < UPLOADS_PARALLEL_MAX && !stop.is_near() {
            let Some(entry) = waiting.next() else { break };
            let work = work(entry);
            running.push_back(async move {
                let outcome = work.await;
                if outcome.is_err() {
                    stop.failed.store(true, Ordering::Relaxed);
                }
                (entry, outcome)
            });
        }
        let Some((entry, outcome)) = running.next().await else {
            break;
        };
        match outcome {
            Ok(true) if !gap => {
                progress.files += 1;
                progress.bytes += entry.unpacked_bytes;
            }
            Ok(true) => {}
            Ok(false) => gap = true,
            // Of several failures the first in the archive's order is told.
            Err(error) => failure = failure.or(Some(error)),
        }
    }
    failure.map_or(Ok(progress), Err)
}

async fn check<O: Objects, F: Fn() -> bool>(
    archive: &Archive<'_, O>,
    entry: &Entry,
    stop: &Stop<'_, F>,
) -> Result<bool, DeployFailed> {
    let mut reader = EntryReader::open(archive, entry).await.map_err(not_read)?;
    while reader.next_piece(PART_BYTES).await.map_err(not_read)?.is_some() {
        if stop.is_near() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Uploads one file; false when it was given up because it is time to stop.
async fn upload<O: Objects, F: Fn() -> bool>(
    target: &Target<'_, O>,
    archive: &Archive<'_, O>,
    entry: &Entry,
    stop: &Stop<'_, F>,
) -> Result<bool, DeployFailed> {
    let at = ObjectAt::new(&target.configuration.bucket, under(target.prefix, &entry.name));
    let at = at.in_region(target.region);
    let options = target.configuration.put_options(&at.key);
    let mut reader = EntryReader::open(archive, entry).await.map_err(not_read)?;
    if entry.unpacked_bytes > PART_BYTES as u64 {
        return upload_in_parts(target.objects, &at, &options, reader, stop).await;
    }
    let body = reader.next_piece(PART_BYTES).await.map_err(not_read)?;
    if body.is_some() {
        // Reads on to the end, where size and checksum are checked: the file is published only after that.
        reader.next_piece(1).await.map_err(not_read)?;
    }
    let body = Bytes::from(body.unwrap_or_default());
    target.objects.put(&at, body, &options).await.map_err(DeployFailed::Target)?;
    Ok(true)
}

async fn upload_in_parts<O: Objects, F: Fn() -> bool>(
    objects: &O,
    at: &ObjectAt,
    options: &PutOptions,
    reader: EntryReader<'_, O>,
    stop: &Stop<'_, F>,
) -> Result<bool, DeployFailed> {
    let upload = objects.begin_upload(at, options).await.map_err(DeployFailed::Target)?;
    let outcome = match put_parts(objects, &upload, reader, stop).await {
        Ok(Some(parts)) => match objects.complete_upload(&upload, &parts).await {
            Ok(_) => return Ok(true),
            Err(error) => Err(DeployFailed::Target(error)),
        },
        Ok(None) => Ok(false),
        Err(error) => Err(error),
    };
    // If this fails too, the first failure is the one to tell; a lifecycle rule removes the parts.
    let _ = objects.abort_upload(&upload).await;
    outcome
}

/// All parts; nothing if it is time to stop before the last.
async fn put_parts<O: Objects, F: Fn() -> bool>(
    objects: &O,
    upload: &Upload,
    mut reader: EntryReader<'_, O>,
    stop: &Stop<'_, F>,
) -> Result<Option<Vec<Part>>, DeployFailed> {
    let mut parts = Vec::new();
    while let Some(piece) = reader.next_piece(PART_BYTES).await.map_err(not_read)? {
        if stop.is_near() {
            return Ok(None);
        }
        let number = parts.len() as u32 + 1;
        let part = objects.put_part(upload, number, Bytes::from(piece)).await.map_err(DeployFailed::Target)?;
        parts.push(part);
    }
    Ok(Some(parts))
}
