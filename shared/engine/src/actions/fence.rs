//! A deployment that has lost its stage must stop writing: S3 has no precondition that would stop it.

use std::{ops::Range, sync::Mutex};

use bytes::Bytes;
use domain::ActionRun;
use jiff::{SignedDuration, Timestamp};

use crate::{
    HasObjects, HasStore,
    loading::load_both,
    ports::{ObjectAt, ObjectInfo, Objects, ObjectsError, Part, PinnedObject, PutOptions, Upload, Written},
};

/// Longest time between two looks at the stage. A rollback takes longer than this from its commit to its first write:
/// it starts a machine, passes the gate and reads the archive first.
const LOOK_EVERY: SignedDuration = SignedDuration::from_millis(100);

/// The objects of `world`, written only while `run` may act on its stage.
pub(crate) struct FencedObjects<'a, W> {
    world: &'a W,
    run: &'a ActionRun,
    looked: Mutex<Option<Timestamp>>,
}

impl<'a, W: HasStore + HasObjects> FencedObjects<'a, W> {
    pub(crate) fn new(world: &'a W, run: &'a ActionRun) -> Self {
        Self { world, run, looked: Mutex::new(None) }
    }

    /// Refuses where the stage has passed to somebody else, or nobody can tell.
    async fn check(&self, at: &ObjectAt) -> Result<(), ObjectsError> {
        let now = self.world.clock().now();
        if self.looked().is_some_and(|looked| now.duration_since(looked) < LOOK_EVERY) {
            return Ok(());
        }
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
        *self.looked.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(now);
        Ok(())
    }

    fn looked(&self) -> Option<Timestamp> {
        *self.looked.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
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
        self.check(at).await?;
        self.world.objects().put(at, body, options).await
    }

    async fn begin_upload(&self, at: &ObjectAt, options: &PutOptions) -> Result<Upload, ObjectsError> {
        self.check(at).await?;
        self.world.objects().begin_upload(at, options).await
    }

    async fn put_part(&self, upload: &Upload, number: u32, body: Bytes) -> Result<Part, ObjectsError> {
        self.check(&upload.at).await?;
        self.world.objects().put_part(upload, number, body).await
    }

    async fn complete_upload(&self, upload: &Upload, parts: &[Part]) -> Result<Written, ObjectsError> {
        self.check(&upload.at).await?;
        self.world.objects().complete_upload(upload, parts).await
    }

    async fn abort_upload(&self, upload: &Upload) -> Result<(), ObjectsError> {
        self.world.objects().abort_upload(upload).await
    }

    async fn copy(
        &self,
        from: &PinnedObject,
        size: u64,
        to: &ObjectAt,
        options: &PutOptions,
    ) -> Result<Written, ObjectsError> {
        self.check(to).await?;
        self.world.objects().copy(from, size, to, options).await
    }

    async fn set_tag(&self, at: &ObjectAt, name: &str, value: &str) -> Result<(), ObjectsError> {
        self.check(at).await?;
        self.world.objects().set_tag(at, name, value).await
    }

    async fn is_versioned(&self, bucket: &str) -> Result<bool, ObjectsError> {
        self.world.objects().is_versioned(bucket).await
    }
}
