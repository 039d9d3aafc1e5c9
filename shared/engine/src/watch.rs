//! An alarm changed: does it speak against a deploy, and is that deploy taken back?

use domain::{
    AlarmChange, Evidence, ExecutionId, PipelineName, Record, RollbackCause, RollbackDecision, RollbackOutcome,
    StageName, Verdict, Watch, judge,
};

use crate::{
    EngineError, HasMachines, HasObjects, HasStore, commit,
    commit::until_stored,
    error::FirstError,
    ports::Store,
    rollback::{choose_target, prepare},
};

/// What an alarm led to for one watched execution.
#[derive(Debug, Clone)]
pub struct Judged {
    /// The pipeline.
    pub pipeline: PipelineName,
    /// The stage.
    pub stage: StageName,
    /// The verdict and what it rests on.
    pub evidence: Evidence,
    /// The rollback it started.
    pub rollback: Option<ExecutionId>,
    /// Why it started none, where the verdict is `Degraded`.
    pub no_rollback: Option<String>,
}

/// Judges an alarm for every execution that is watched with it, and starts the rollbacks that follow.
///
/// Delivered twice, late or out of order it changes nothing more: the watch is gone, or something else is live. What it
/// led to is added to `judged`, also where this ends with an error.
///
/// # Errors
/// The first error, after every watch was looked at that could be. [`EngineError::Contended`] and
/// [`EngineError::Unavailable`]: deliver the alarm again.
pub async fn alarm_changed<W: HasStore + HasMachines + HasObjects>(
    world: &W,
    alarm: &AlarmChange,
    judged: &mut Vec<Judged>,
) -> Result<(), EngineError> {
    let mut first = FirstError::default();
    for watch in world.store().watches_of(&alarm.arn).await? {
        let one = until_stored(async || judge_watch(world, &watch, alarm).await).await;
        judged.extend(first.keep(one).flatten());
    }
    first.into_result()
}

async fn judge_watch<W: HasStore + HasMachines + HasObjects>(
    world: &W,
    watch: &Watch,
    alarm: &AlarmChange,
) -> Result<Option<Judged>, EngineError> {
    let Some(view) = world.store().load_pipeline(&watch.pipeline).await? else {
        return Ok(None);
    };
    let Some((_, index)) = view.index.stage(&watch.stage) else {
        return Ok(None);
    };
    let evidence = judge(watch, &view.stage(&watch.stage), alarm);
    let mut judged = Judged {
        pipeline: watch.pipeline.clone(),
        stage: watch.stage.clone(),
        evidence,
        rollback: None,
        no_rollback: None,
    };
    if judged.evidence.verdict != Verdict::Degraded {
        return Ok(Some(judged));
    }
    let cause = RollbackCause::Alarm { alarm_arn: alarm.arn.clone(), reason: alarm.reason.clone() };
    let mut changes = match choose_target(world, &view, index, watch.execution).await? {
        Ok(target) => {
            let (id, changes) = prepare(world, &view, &target, &watch.stage, Some(watch.execution), cause).await?;
            judged.rollback = Some(id);
            changes
        }
        Err(why) => {
            judged.no_rollback = Some(why.clone());
            let decision = RollbackDecision {
                pipeline: watch.pipeline.clone(),
                stage: watch.stage.clone(),
                at: world.now(),
                execution: watch.execution,
                cause,
                undone: Some(watch.execution),
                outcome: RollbackOutcome::Declined { reason: why },
                evidence: None,
            };
            domain::Changes { decisions: vec![decision], ..domain::Changes::default() }
        }
    };
    for decision in &mut changes.decisions {
        decision.evidence = Some(judged.evidence.clone());
    }
    let outcome = match (&judged.rollback, &judged.no_rollback) {
        (Some(id), _) => format!("Rollback {id} starts."),
        (None, why) => format!("No rollback: {}", why.as_deref().unwrap_or_default()),
    };
    changes.records.push(Record {
        execution: watch.execution,
        at: world.now(),
        event: "AlarmJudged".to_owned(),
        stage: Some(watch.stage.clone()),
        detail: format!("Alarm {}: {}. {outcome}", alarm.arn, judged.evidence.reason),
        evidence: Some(judged.evidence.clone()),
    });
    // Deciding about what is live belongs to whoever holds this generation of the stage.
    let stage = view.stage(&watch.stage);
    changes.fences.insert((watch.stage.clone(), stage.generation));
    changes.watches_ended.push(watch.clone());
    commit(world, &watch.pipeline, changes).await?;
    Ok(Some(judged))
}
