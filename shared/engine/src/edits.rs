//! What edits of a pipeline changed of a stage, for people who ask why it cannot go back.

use std::collections::{BTreeMap, BTreeSet};

use domain::{Execution, PipelineIndex, StageIndex, changed_fields};
use futures::{StreamExt, stream};

use crate::{
    EngineError, HasObjects, HasStore,
    definitions::{load, load_declaration},
    ports::Store,
    rollback::is_changed,
};

/// Versions read at the same time.
const READS_PARALLEL_MAX: usize = 8;

/// What of a stage is otherwise now than in older versions of its pipeline.
#[derive(Debug, Default)]
pub(crate) struct Edits(BTreeMap<u32, Vec<String>>);

impl Edits {
    /// Those since each of `versions`, which are read once each. Of a version that cannot be read nothing is told: the
    /// fingerprint decides, this only explains.
    pub(crate) async fn load<W: HasStore + HasObjects>(
        world: &W,
        index: &PipelineIndex,
        stage: &StageIndex,
        versions: impl Iterator<Item = u32>,
    ) -> Result<Self, EngineError> {
        let versions: BTreeSet<u32> = versions.filter(|version| *version != index.pipeline_version).collect();
        if versions.is_empty() {
            return Ok(Self::default());
        }
        let now = load_declaration(world, index).await?;
        let Some(stage_now) = now.stage(&stage.name) else {
            return Ok(Self::default());
        };
        let since = async |version: u32| {
            let stored = world.store().load_definition(&index.name, version).await.ok()??;
            // An earlier pipeline of this name had versions of its own.
            let then =
                if stored.created_at == index.created_at { load(world, &stored).await.ok()? } else { return None };
            let stage_then = then.stage(&stage.name)?;
            Some((version, changed_fields((stage_then, &then.role_arn), (stage_now, &now.role_arn))))
        };
        let known = stream::iter(versions).map(since).buffer_unordered(READS_PARALLEL_MAX);
        Ok(Self(known.filter_map(async |known| known).collect().await))
    }

    /// Those since `execution` ran, if it succeeded in the stage as it was then.
    pub(crate) async fn of<W: HasStore + HasObjects>(
        world: &W,
        index: &PipelineIndex,
        stage: &StageIndex,
        execution: &Execution,
    ) -> Result<Self, EngineError> {
        let version = Some(execution.pipeline_version).filter(|_| is_changed(stage, execution));
        Self::load(world, index, stage, version.into_iter()).await
    }

    /// What was changed since `version`; empty where that is not known.
    pub(crate) fn since(&self, version: u32) -> Vec<String> {
        self.0.get(&version).cloned().unwrap_or_default()
    }
}
