//! A deployment that has lost its stage writes no more, however late it wakes.
//!
//! S3 has no precondition that would refuse whoever lost the stage, but it has one token that can be taken away: the id of
//! an upload in parts. So everything is written in parts, be it one. An upload is begun first, then the stage is looked
//! at, then the upload is completed; and whoever deploys next gives up the uploads of others to its keys before it writes
//! ([`give_up_earlier`](crate::s3_deploy)). One that was begun before cannot be completed; one that is begun afterwards
//! finds the stage lost.

use std::{
    ops::Range,
    sync::atomic::{AtomicU64, Ordering::SeqCst},
};

use bytes::Bytes;
use domain::ActionRun;
use futures::lock::Mutex;

use crate::{
    HasObjects, HasStore,
    loading::load_both,
    ports::{ObjectAt, ObjectInfo, Objects, ObjectsError, Part, PinnedObject, PutOptions, Upload, Written, copy_parts},
};

/// The objects of `world`, written only while `run` may act on its stage.
pub(crate) struct FencedObjects<'a, W> {
    world: &'a W,
    run: &'a ActionRun,
    /// How many have asked for a look at the stage.
    asked: AtomicU64,
    /// How many of them had asked when the last look began that found it held. Who waits for the lock shares the next one.
    seen: Mutex<u64>,
}

impl<'a, W: HasStore + HasObjects> FencedObjects<'a, W> {
    pub(crate) fn new(world: &'a W, run: &'a ActionRun) -> Self {
        Self { world, run, asked: AtomicU64::new(0), seen: Mutex::new(0) }
    }

    /// Refuses where a look that begins after this call finds the stage with somebody else, or nobody can tell.
    async fn check(&self, at: &ObjectAt) -> Result<(), ObjectsError> {
        let number = self.asked.fetch_add(1, SeqCst) + 1;
        let mut seen = self.seen.lock().await;
        if *seen >= number {
            return Ok(());
        }
        let asked = self.asked.load(SeqCst);
        let unavailable = |_| ObjectsError::Unavailable {
            operation: "the check of the stage's lock",
            at: at.clone(),
            reason: "the table is not available".to_owned(),
        };
        let both = load_both(self.world, &self.run.pipeline, self.run.execution).await.map_err(unavailable)?;
        let holds =
            both.is_some_and(|(view, execution)| view.lets_act(&execution, &self.run.stage, self.run.generation));
        if !holds {
            return Err(ObjectsError::Other {
                operation: "the deployment",
                at: at.clone(),
                reason: "its execution has lost the stage".to_owned(),
            });
        }
        *seen = asked;
        Ok(())
    }

    /// Completes `upload` of the parts that were put, or gives it up.
    async fn complete(&self, upload: &Upload, parts: Result<Vec<Part>, ObjectsError>) -> Result<Written, ObjectsError> {
        let outcome = match parts {
            Ok(parts) => self.complete_upload(upload, &parts).await,
            Err(error) => Err(error),
        };
        if outcome.is_err() {
            // If this fails too, the first failure is the one to tell; a lifecycle rule removes the parts.
            let _ = self.abort_upload(upload).await;
        }
        outcome
    }
}

impl<W: HasStore + HasObjects> Objects for FencedObjects<'_, W> {
    async fn head(&self, at: &ObjectAt, version_id: Option<&str>) -> Result<ObjectInfo, ObjectsError> {
        self.world.objects().head(at, version_id).await
    }

    async fn read(&self, object: &PinnedObject, range: Range<u64>) -> Result<Bytes, ObjectsError> {
        self.world.objects().read(object, range).await
    }

    async fn put(&self, at: &ObjectAt, body: Bytes, options: &PutOptions) -> Result<Written, ObjectsError> {
        let upload = self.begin_upload(at, options).await?;
        let part = self.put_part(&upload, 1, body).await;
        self.complete(&upload, part.map(|part| vec![part])).await
    }

    async fn begin_upload(&self, at: &ObjectAt, options: &PutOptions) -> Result<Upload, ObjectsError> {
        self.world.objects().begin_upload(at, options).await
    }

    async fn put_part(&self, upload: &Upload, number: u32, body: Bytes) -> Result<Part, ObjectsError> {
        self.world.objects().put_part(upload, number, body).await
    }

    async fn copy_part(
        &self,
        upload: &Upload,
        number: u32,
        from: &PinnedObject,
        range: Option<Range<u64>>,
    ) -> Result<Part, ObjectsError> {
        self.world.objects().copy_part(upload, number, from, range).await
    }

    async fn complete_upload(&self, upload: &Upload, parts: &[Part]) -> Result<Written, ObjectsError> {
        self.check(&upload.at).await?;
        self.world.objects().complete_upload(upload, parts).await
    }

    async fn abort_upload(&self, upload: &Upload) -> Result<(), ObjectsError> {
        self.world.objects().abort_upload(upload).await
    }

    async fn uploads_under(&self, prefix: &ObjectAt) -> Result<Vec<Upload>, ObjectsError> {
        self.world.objects().uploads_under(prefix).await
    }

    async fn copy(
        &self,
        from: &PinnedObject,
        size: u64,
        to: &ObjectAt,
        options: &PutOptions,
    ) -> Result<Written, ObjectsError> {
        let upload = self.begin_upload(to, options).await?;
        let parts = copy_parts(self, from, size, &upload).await;
        self.complete(&upload, parts).await
    }

    async fn set_tag(&self, at: &ObjectAt, name: &str, value: &str) -> Result<(), ObjectsError> {
        self.check(at).await?;
        self.world.objects().set_tag(at, name, value).await
    }

    async fn is_versioned(&self, bucket: &str) -> Result<bool, ObjectsError> {
        self.world.objects().is_versioned(bucket).await
    }
}
