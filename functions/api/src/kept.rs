//! What is kept for the next rollbacks.

use engine::{HasStore, ports::Store};
use protocol::wire::kept::{KeptArtifact, KeptStage, KeptTarget, ListKeptArtifactsInput, ListKeptArtifactsOutput};

use crate::{failure::Failure, preview::checksum};

/// ListKeptArtifacts.
pub(crate) async fn list<W: HasStore>(
    world: &W,
    input: ListKeptArtifactsInput,
) -> Result<ListKeptArtifactsOutput, Failure> {
    let ListKeptArtifactsInput { pipeline_name: pipeline, stage_name: stage } = input;
    let view = engine::load_view(world, &pipeline).await?;
    if let Some(stage) = &stage {
        engine::find_stage(&view, stage)?;
    }
    let rows = world.store().kept_of(&pipeline).await?;
    let mut rows: Vec<_> =
        rows.into_iter().filter(|row| stage.as_ref().is_none_or(|stage| row.stage == *stage)).collect();
    // As the pipeline has them; what is left of a stage that is gone comes last, until it is let go.
    rows.sort_by_key(|row| view.index.stage(&row.stage).map_or(usize::MAX, |(place, _)| place));
    Ok(ListKeptArtifactsOutput { stages: rows.into_iter().map(kept_stage).collect() })
}

fn kept_stage(kept: domain::Kept) -> KeptStage {
    KeptStage {
        ready_targets: u32::try_from(kept.ready()).unwrap_or(u32::MAX),
        stage_name: kept.stage,
        targets: kept.targets.into_iter().map(target).collect(),
        checked_at: kept.checked_at.into(),
        next_check_at: kept.due.into(),
    }
}

fn target(target: domain::KeptTarget) -> KeptTarget {
    KeptTarget {
        pipeline_execution_id: target.execution,
        ready: target.is_ready(),
        artifacts: target.artifacts.into_iter().map(artifact).collect(),
    }
}

fn artifact(artifact: domain::KeptArtifact) -> KeptArtifact {
    let (bucket, key) = artifact.at.map(|at| (at.bucket, at.key)).unzip();
    KeptArtifact {
        name: artifact.name,
        state: artifact.state,
        since: artifact.since.into(),
        bucket,
        key,
        function_name: artifact.function.map(|of| of.function),
        checksum: artifact.digest.map(checksum),
    }
}
