//! What a rollback would do.

use domain::{ActionPreview, ArtifactDigest, ArtifactState, RollbackCause};
use engine::{HasObjects, HasStore, RollbackPreview, StoredArtifact, TargetPreview};
use protocol::wire::preview::{
    ArtifactChecksum, ConfigurationDifference, ExpectedDuration, FencedExecution, PreviewRollbackInput,
    PreviewRollbackOutput, RollbackAction, RollbackArtifact, RollbackPlan, RollbackTarget, WaitingExecution,
};

use crate::{
    executions::{artifact_revisions, resolved_variables},
    failure::Failure,
};

/// PreviewRollback.
pub(crate) async fn preview<W: HasStore + HasObjects>(
    world: &W,
    input: PreviewRollbackInput,
    caller: &str,
) -> Result<PreviewRollbackOutput, Failure> {
    let named = input.target_pipeline_execution_id;
    let forced = input.force.unwrap_or(false);
    let cause = RollbackCause::Manual { by: caller.to_owned(), reason: None, forced };
    let preview = engine::preview_rollback(world, &input.pipeline_name, &input.stage_name, named, cause).await?;
    let RollbackPreview { reasons, target, plan, waiting, expected } = preview;
    let waiting = waiting
        .into_iter()
        .map(|waiting| WaitingExecution { pipeline_execution_id: waiting.execution, since: waiting.since.into() });
    let plan = plan.map(|plan| RollbackPlan {
        revokes: plan.revoked.iter().map(|success| success.execution).collect(),
        holds: plan.holds,
        undone_pipeline_execution_id: target.as_ref().and_then(|target| target.undone),
        fences: plan.fenced.map(|inside| FencedExecution {
            pipeline_execution_id: inside.execution,
            execution_type: inside.execution_type,
            since: inside.entered_at.into(),
        }),
    });
    Ok(PreviewRollbackOutput {
        eligible: reasons.is_empty(),
        reasons,
        waiting: waiting.collect(),
        target: target.map(rollback_target),
        plan,
        expected_duration: expected.map(|time| ExpectedDuration { seconds: time.seconds, runs: time.runs }),
    })
}

fn rollback_target(target: TargetPreview) -> RollbackTarget {
    let TargetPreview { execution, is_revoked, artifacts, actions, .. } = target;
    RollbackTarget {
        pipeline_execution_id: execution.id,
        pipeline_version: execution.pipeline_version,
        revoked: is_revoked,
        artifact_revisions: artifact_revisions(execution.revisions),
        variables: resolved_variables(execution.variables),
        artifacts: artifacts.into_iter().map(artifact).collect(),
        actions: actions.into_iter().map(action).collect(),
        start_time: Some(execution.started_at.into()),
    }
}

fn artifact(artifact: StoredArtifact) -> RollbackArtifact {
    let state = artifact.state();
    let StoredArtifact { name, at, recorded, object } = artifact;
    // Why one cannot be read is among the reasons.
    let object = object.ok().flatten();
    let (bucket, key) = at.map(|at| (at.bucket, at.key)).unzip();
    let found_checksum = object.as_ref().and_then(|object| object.digest.clone()).map(checksum);
    let (version_id, e_tag) = object.map(|object| (object.version_id, object.etag)).unzip();
    RollbackArtifact {
        name,
        available: state == ArtifactState::Present,
        bucket,
        key,
        version_id: version_id.flatten(),
        e_tag,
        altered: Some(true).filter(|_| state == ArtifactState::Altered),
        checksum: recorded.map(checksum),
        found_checksum,
    }
}

/// A digest as it is shown.
pub(crate) fn checksum(ArtifactDigest { algorithm, value }: ArtifactDigest) -> ArtifactChecksum {
    ArtifactChecksum { algorithm, value }
}

fn action(action: ActionPreview) -> RollbackAction {
    let differences = action.differences.into_iter().map(|difference| ConfigurationDifference {
        key: difference.key,
        live: difference.live,
        planned: difference.planned,
    });
    let (resolved_configuration, error) = match action.resolved {
        Ok(resolved) => (Some(resolved), None),
        Err(why) => (None, Some(why)),
    };
    RollbackAction {
        action_name: action.name,
        run_order: action.run_order.into(),
        action_type_id: action.action_type,
        configuration: action.configuration,
        differences: differences.collect(),
        resolved_configuration,
        error,
        live_pipeline_execution_id: action.compared_with,
    }
}
