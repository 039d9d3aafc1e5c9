//! Watches: alarms whose event was lost, watches that are over, and the way back of those that go on.

use domain::{AlarmChange, AlarmState, Changes, RollbackCause, RollbackDecision, RollbackOutcome, Watch};
use jiff::{SignedDuration, Timestamp};

use super::{PAGE, Reconciled};
use crate::{
    EngineError, HasAlarms, HasMachines, HasObjects, HasStore,
    alarms::by_region,
    commit,
    commit::until_stored,
    error::FirstError,
    metrics::look_at_metrics,
    ports::{Alarms, CloudError, PageRequest, Precondition, Row, Store, StoreError, Write},
    rollback::choose_target,
    watch::{alarm_changed, metrics_changed},
};

/// How long a watch that has ended is kept for alarm events that come late.
const WATCH_GRACE: SignedDuration = SignedDuration::from_mins(15);

/// The watches that are open, after those have ended that are over.
pub(super) async fn open<W: HasStore>(
    world: &W,
    now: Timestamp,
    done: &mut Reconciled,
    first: &mut FirstError,
) -> Vec<Watch> {
    let (mut open, mut after) = (Vec::new(), None);
    loop {
        let page = world.store().open_watches(PageRequest { limit: PAGE, after }).await;
        // Where the table does not tell of all, those are looked at that it told of.
        let Some(page) = first.keep(page.map_err(EngineError::from)) else { break };
        for watch in page.items {
            if watch.until + WATCH_GRACE >= now {
                open.push(watch);
            } else if first.keep(end(world, watch).await).is_some() {
                done.watches_ended += 1;
            }
        }
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    open
}

/// Looks at the alarms and metrics of watches.
///
/// # Errors
/// The first error, after all were looked at that could be.
pub(super) async fn judge<W>(
    world: &W,
    open: &[Watch],
    now: Timestamp,
    done: &mut Reconciled,
) -> Result<(), EngineError>
where
    W: HasStore + HasMachines + HasAlarms + HasObjects,
{
    let mut first = FirstError::default();
    first.keep(look_at_alarms(world, open, done).await);
    first.keep(judge_metrics(world, open, now, done).await);
    first.into_result()
}

/// Looks at what watches wait for, and at the way back of those that go on.
///
/// # Errors
/// As [`judge`].
pub(super) async fn look_ahead<W>(
    world: &W,
    open: &[Watch],
    now: Timestamp,
    done: &mut Reconciled,
) -> Result<(), EngineError>
where
    W: HasStore + HasMachines + HasAlarms + HasObjects,
{
    let mut first = FirstError::default();
    for watch in open.iter().filter(|watch| watch.awaits_data(now).is_some()) {
        first.keep(look_for_data(world, watch, now).await);
    }
    for watch in open.iter().filter(|watch| !watch.proves()) {
        if let Some(Some(gone)) = first.keep(look_for_artifacts(world, watch).await) {
            done.artifacts_gone.push(gone);
        }
    }
    first.into_result()
}

/// A newer deploy's watch of the same alarm may have replaced the row: only the list entry is this watch's own.
async fn end<W: HasStore>(world: &W, watch: Watch) -> Result<(), EngineError> {
    let current = world.store().watches_of(&watch.alarm_arn).await?;
    let mut writes = vec![Write::Delete(Row::OpenWatch(watch.clone()))];
    if current.contains(&watch) {
        let version = Precondition::Version(watch.version);
        writes.push(Write::DeleteIf(Row::Watch(watch), version));
    }
    match world.store().commit(writes).await {
        // Whoever was faster has ended it, or a newer deploy is watched: the entry goes at the next look.
        Err(StoreError::Contended) => Ok(()),
        other => Ok(other?),
    }
}

async fn look_at_alarms<W>(world: &W, open: &[Watch], done: &mut Reconciled) -> Result<(), EngineError>
where
    W: HasStore + HasMachines + HasAlarms + HasObjects,
{
    let observed = open.iter().filter(|watch| watch.metrics.is_none());
    let mut arns: Vec<String> = observed.map(|watch| watch.alarm_arn.clone()).collect();
    arns.sort();
    arns.dedup();
    let mut first = FirstError::default();
    for arns in by_region(&arns) {
        let alarms = first.keep(world.alarms().describe(&arns).await.map_err(EngineError::from));
        for alarm in alarms.unwrap_or_default() {
            first.keep(end_shadows(world, open, &alarm).await);
            // A rollback's alarm may clear, or lose its data, without an event that arrives.
            let proves = open.iter().any(|watch| watch.proves() && watch.alarm_arn == alarm.arn);
            if proves || alarm.state == AlarmState::Alarm {
                first.keep(alarm_changed(world, &alarm, &mut done.judged).await);
            }
        }
    }
    first.into_result()
}

/// Looks at the metrics of watches that have some. That they are well is said once, as a watch ends: then an incident that
/// was open is over.
async fn judge_metrics<W>(world: &W, open: &[Watch], now: Timestamp, done: &mut Reconciled) -> Result<(), EngineError>
where
    W: HasStore + HasMachines + HasAlarms + HasObjects,
{
    let looked = look_at_metrics(world, open, now).await?;
    let mut first = FirstError::default();
    for seen in &looked.seen {
        first.keep(end_shadows(world, open, &seen.alarm).await);
        let of = open.iter().filter(|watch| watch.alarm_arn == seen.alarm.arn);
        let is_ending = of.clone().any(|watch| watch.until <= now);
        if seen.alarm.state == AlarmState::Alarm || is_ending || of.clone().any(Watch::proves) {
            first.keep(metrics_changed(world, seen, &mut done.judged).await);
        }
    }
    for (watch, unjudged) in &looked.ended {
        first.keep(note_unjudged(world, watch, unjudged.as_deref()).await);
    }
    first.into_result()
}

/// Lets the stage say that nothing could be judged, and why: else a watch that saw nothing ends like one that saw nothing wrong.
async fn note_unjudged<W>(world: &W, watch: &Watch, unjudged: Option<&str>) -> Result<(), EngineError>
where
    W: HasStore + HasMachines,
{
    until_stored(async || {
        let view = world.store().load_pipeline(&watch.pipeline).await?;
        match view.and_then(|view| domain::note_unjudged(&view, watch, unjudged)) {
            Some(changes) => commit(world, &watch.pipeline, changes).await,
            None => Ok(()),
        }
    })
    .await
}

/// Notes of deploys in shadow mode that would have been rolled back whether their alarm is still red now that their time is
/// over: what the scorecard counts.
async fn end_shadows<W: HasStore + HasMachines>(
    world: &W,
    open: &[Watch],
    alarm: &AlarmChange,
) -> Result<(), EngineError> {
    let is_over =
        |watch: &&Watch| watch.alarm_arn == alarm.arn && watch.shadow && watch.told && watch.until <= world.now();
    let still_red = matches!(alarm.state, AlarmState::Alarm | AlarmState::Suppressed);
    for watch in open.iter().filter(is_over) {
        // Only as long as it is the alarm's watch: of two who look at once, the second finds none.
        if world.store().watches_of(&alarm.arn).await?.contains(watch) {
            let decision = RollbackDecision {
                pipeline: watch.pipeline.clone(),
                stage: watch.stage.clone(),
                at: world.now(),
                execution: watch.execution,
                cause: RollbackCause::Alarm { alarm_arn: alarm.arn.clone(), reason: alarm.reason.clone() },
                undone: Some(watch.execution),
                outcome: RollbackOutcome::ShadowEnded { still_red },
                evidence: None,
                series: Vec::new(),
            };
            let ended = Changes { decisions: vec![decision], watches_ended: vec![watch.clone()], ..Changes::default() };
            commit(world, &watch.pipeline, ended).await?;
        }
    }
    Ok(())
}

/// Lets a watch end that waits for data points, once its alarm's metric has had them. Where nobody can say how many there
/// are, it goes on to its latest end.
async fn look_for_data<W>(world: &W, watch: &Watch, now: Timestamp) -> Result<(), EngineError>
where
    W: HasStore + HasMachines + HasAlarms,
{
    let Some(points) = watch.awaits_data(now) else { return Ok(()) };
    let seen = match world.alarms().data_points(&watch.alarm_arn, points.since, now).await {
        Err(CloudError::NotFound(_)) => return Ok(()),
        other => other?,
    };
    until_stored(async || {
        // Decided about, or replaced by the next deploy's, it is not this one's any more.
        let current = world.store().watches_of(&watch.alarm_arn).await?;
        let view = world.store().load_pipeline(&watch.pipeline).await?.filter(|_| current.contains(watch));
        let ended = view.and_then(|view| domain::saw_data(&view, watch, seen, now));
        match ended {
            Some(changes) => commit(world, &watch.pipeline, changes).await,
            None => Ok(()),
        }
    })
    .await
}

/// While a deploy is watched, its way back has to be open: what stands in it, if anything does.
async fn look_for_artifacts<W: HasStore + HasObjects>(world: &W, watch: &Watch) -> Result<Option<String>, EngineError> {
    let Some(view) = world.store().load_pipeline(&watch.pipeline).await? else {
        return Ok(None);
    };
    let Some((_, stage)) = view.index.stage(&watch.stage) else {
        return Ok(None);
    };
    let chosen = choose_target(world, &view, stage, watch.execution).await?;
    Ok(chosen.err().map(|why| format!("pipeline {} stage {}: {why}", watch.pipeline, watch.stage)))
}
