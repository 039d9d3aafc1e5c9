//! Whether Lastgood itself is well.

use std::collections::BTreeSet;

use domain::{ArtifactState, Backlog, Effect, Health, PipelineName, concerns};
use engine::{
    EngineError, HasAlarms, HasStore,
    ports::{Alarms, Page, PageRequest, Store},
};
use jiff::SignedDuration;
use protocol::wire::health::{DescribeHealthOutput, HealthBacklog};

use crate::failure::Failure;

/// As much of each kind is counted: one request.
const COUNTED_MAX: u32 = 100;
/// In so many pipelines, those whose look is due first, artifacts are counted: one request each.
const PIPELINES_MAX: usize = 25;
/// So long SQS keeps what is in the queue of dead letters (infra/template.yaml).
const LETTERS_KEPT: SignedDuration = SignedDuration::from_hours(14 * 24);

/// DescribeHealth.
pub(crate) async fn describe<W: HasStore + HasAlarms>(world: &W) -> Result<DescribeHealthOutput, Failure> {
    let (store, now) = (world.store(), world.now());
    let page = || PageRequest { limit: COUNTED_MAX, after: None };
    let effects = store.pending_effects(page()).await.map_err(EngineError::from)?;
    let watches = store.open_watches(page()).await.map_err(EngineError::from)?;
    let checks = store.kept_due(page()).await.map_err(EngineError::from)?;
    let executions = store.open_executions(page()).await.map_err(EngineError::from)?;
    let conditions = store.open_conditions(page()).await.map_err(EngineError::from)?;
    let incidents = store.open_incidents(page()).await.map_err(EngineError::from)?;
    let holds = store.list_holds(None, page()).await.map_err(EngineError::from)?;
    let pipelines: BTreeSet<&PipelineName> = checks.items.iter().map(|check| &check.pipeline).collect();
    let artifacts_lost = lost(world, &pipelines).await?;
    let last_look = store.load_last_look().await.map_err(EngineError::from)?.map(|look| look.at);
    let health = Health {
        last_look,
        dead_letters: dead_letters(world).await,
        effects: Backlog::of(effects.items.iter().filter(|pending| is_soon(&pending.effect)).map(|one| one.since)),
        watches: Backlog::of(watches.items.iter().map(|watch| watch.until)),
        artifact_checks: Backlog::of(checks.items.iter().map(|check| check.due)),
        artifacts_lost,
        incidents: incidents.items.len(),
        holds: holds.items.len(),
    };
    Ok(DescribeHealthOutput {
        checked_at: now.into(),
        concerns: concerns(&health, now),
        effects: backlog(health.effects),
        watches: backlog(health.watches),
        artifact_checks: backlog(health.artifact_checks),
        artifacts_lost: count(artifacts_lost),
        executions_open: count(executions.items.len()),
        conditions_open: count(conditions.items.len()),
        incidents_open: count(health.incidents),
        holds: count(health.holds),
        more: goes_on(&effects)
            || goes_on(&watches)
            || goes_on(&checks)
            || goes_on(&executions)
            || goes_on(&conditions)
            || goes_on(&incidents)
            || goes_on(&holds)
            || pipelines.len() > PIPELINES_MAX,
        reconciled_at: last_look.map(Into::into),
        dead_letters: health.dead_letters,
    })
}

/// How many events no function could handle. What CloudWatch does not tell keeps nothing else from being told.
async fn dead_letters<W: HasAlarms>(world: &W) -> Option<u32> {
    let (queue, now) = (world.settings().dead_letters.as_ref()?, world.now());
    let counted = world.alarms().messages_in(queue, now - LETTERS_KEPT, now).await;
    counted.unwrap_or_else(|error| {
        tracing::warn!("dead letters are not counted: {error}");
        None
    })
}

/// Whether an effect is to be performed at once. One that drives a machine stays as long as the machine works, and the
/// history of a deleted pipeline goes piece by piece.
fn is_soon(effect: &Effect) -> bool {
    !matches!(effect, Effect::DriveAction { .. } | Effect::PurgeHistory { .. })
}

async fn lost<W: HasStore>(world: &W, pipelines: &BTreeSet<&PipelineName>) -> Result<usize, EngineError> {
    let mut lost = 0;
    for pipeline in pipelines.iter().take(PIPELINES_MAX) {
        let kept = world.store().kept_of(pipeline).await?;
        let artifacts = kept.iter().flat_map(|kept| &kept.targets).flat_map(|target| &target.artifacts);
        lost += artifacts.filter(|artifact| artifact.state != ArtifactState::Present).count();
    }
    Ok(lost)
}

fn goes_on<T>(page: &Page<T>) -> bool {
    page.next.is_some()
}

fn backlog(backlog: Backlog) -> HealthBacklog {
    HealthBacklog { count: count(backlog.count), oldest_due_at: backlog.due.map(Into::into) }
}

fn count(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}
