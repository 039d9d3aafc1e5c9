//! Commit, then act: changes become one transaction that also stores the effects; the effects are performed after it.

use contract::{ActionOutput, ExecutionInput};
use domain::{
    ActionExecutionId, ActionRun, Changes, ConditionRun, Effect, Execution, ExecutionMode, GateAnswer, Incident, Job,
    Kept, KeptChange, PipelineIndex, PipelineName, Rejected, StageState, WatchChange, events_of,
};
use serde_json::json;

use crate::{
    EngineError, HasBasics, HasMachines, HasStore,
    outbox::{Untold, perform_all},
    ports::{
        CloudError, DecisionList, Machine, Machines, OpenExecution, PendingEffect, Precondition, QueuedJob, Row, Store,
        WRITES_MAX, Write,
    },
    sight,
};

/// How often a decision is taken again when another writer was faster. Each try reads afresh; more tries than writers
/// of one stage are never needed, and a stage has at most 100 actions reporting at once.
pub const TRIES_MAX: usize = 100;

/// Writes that store `changes`, each guarded by the version its row was read at, and the effects to perform after it:
/// those that were decided, and one that tells what happened.
///
/// # Errors
/// [`EngineError::Broken`] where the changes do not say how an execution was before.
pub(crate) fn writes_of(
    pipeline: &PipelineName,
    changes: &Changes,
    world: &(impl HasBasics + ?Sized),
) -> Result<(Vec<Write>, Vec<Effect>), EngineError> {
    let effects = effects_of(pipeline, changes, world)?;
    let mut writes = Vec::new();
    writes.extend(changes.stages.values().map(|stage| stage_write(stage, changes.of_pipeline.as_deref())));
    for (stage, generation) in &changes.fences {
        if !changes.stages.contains_key(stage) {
            let key = StageState::new(pipeline.clone(), stage.clone());
            writes.push(Write::Check(Row::Stage(key), Precondition::Generation(*generation)));
        }
    }
    for execution in changes.executions.values() {
        let starts =
            |effect: &Effect| matches!(effect, Effect::StartMachine { execution: id, .. } if *id == execution.id);
        writes.extend(execution_writes(execution, changes.effects.iter().any(starts)));
    }
    for execution in changes.unchanged.iter().filter(|execution| !changes.executions.contains_key(&execution.id)) {
        writes.push(Write::Check(Row::Execution(execution.clone()), Precondition::Version(execution.version)));
    }
    if let Some(index) = changes.of_pipeline.as_deref() {
        writes.push(Write::Check(Row::Pipeline(index.clone()), Precondition::Version(index.version)));
    }
    for waiting in &changes.waiting_removed {
        let renewed = |new: &domain::Waiting| new.stage == waiting.stage && new.arrival == waiting.arrival;
        if !changes.waiting_added.iter().any(renewed) {
            writes.push(Write::Delete(Row::Waiting(waiting.clone())));
        }
    }
    let added = changes.waiting_added.iter().cloned();
    writes.extend(added.map(|waiting| Write::Put(Row::Waiting(waiting), Precondition::None)));
    for success in &changes.successes {
        writes.push(put_versioned(Row::Success(success.clone()), success.version));
    }
    for watch in &changes.watches {
        // A newer deploy's watch of the same alarm replaces the older one; one that was read is told of once.
        let as_read = if watch.version == 0 { Precondition::None } else { Precondition::Version(watch.version) };
        writes.push(Write::Put(Row::Watch(watch.clone()), as_read));
        writes.push(Write::Put(Row::OpenWatch(watch.clone()), Precondition::None));
    }
    for WatchChange { before, after } in &changes.watches_changed {
        // The place in the list is by the end.
        writes.push(put_versioned(Row::Watch(after.clone()), before.version));
        writes.push(Write::Delete(Row::OpenWatch(before.clone())));
        writes.push(Write::Put(Row::OpenWatch(after.clone()), Precondition::None));
    }
    writes.extend(revoked_writes(changes));
    writes.extend(changes.incidents.iter().flat_map(incident_writes));
    for watch in &changes.watches_ended {
        // Two who looked at one watch decide once: the second finds it gone, or told of, and looks again.
        writes.push(Write::DeleteIf(Row::Watch(watch.clone()), Precondition::Version(watch.version)));
        writes.push(Write::Delete(Row::OpenWatch(watch.clone())));
    }
    writes.extend(changes.begun.iter().flat_map(|(run, latest)| begin_writes(run, *latest)));
    for run in &changes.runs {
        writes.extend(run_writes(run));
    }
    for (run, is_latest) in &changes.abandoned {
        writes.push(put_versioned(Row::ActionRun(run.clone()), run.version));
        // Whoever has the stage may have begun a newer run of the action since.
        writes.extend(is_latest.then(|| Write::Put(Row::LatestAction(run.clone()), Precondition::Run(run.id))));
    }
    for job in &changes.jobs {
        writes.extend(job_writes(job));
    }
    for run in &changes.conditions {
        writes.extend(condition_writes(run));
    }
    let rules = changes.rules.iter().cloned();
    writes.extend(rules.map(|run| Write::Put(Row::RuleRun(run), Precondition::None)));
    // Of two who decided for the same place, one is refused.
    let slots = changes.slots.iter().cloned();
    writes.extend(slots.map(|slot| Write::Put(Row::Slot(slot), Precondition::Absent)));
    let records = changes.records.iter().cloned();
    writes.extend(records.map(|record| Write::Put(Row::Record(record), Precondition::None)));
    for held in &changes.holds {
        // A later rollback's hold takes the place of an earlier one's.
        writes.push(Write::Put(Row::Hold(held.clone()), Precondition::None));
    }
    writes.extend(changes.holds_ended.iter().cloned().map(|held| Write::Delete(Row::Hold(held))));
    writes.extend(changes.kept.iter().flat_map(kept_writes));
    for decision in &changes.decisions {
        let rows = DecisionList::all_of(decision).into_iter().map(|list| Row::Decision(list, decision.clone()));
        writes.extend(rows.map(|row| Write::Put(row, Precondition::None)));
    }
    let since = world.now();
    let pending = effects.iter().cloned().map(|effect| Row::Effect(PendingEffect { since, effect }));
    writes.extend(pending.map(|row| Write::Put(row, Precondition::None)));
    Ok((writes, effects))
}

/// One effect holds all events of a transaction, which has place for a hundred writes and no more.
fn effects_of(
    pipeline: &PipelineName,
    changes: &Changes,
    world: &(impl HasBasics + ?Sized),
) -> Result<Vec<Effect>, EngineError> {
    let events = events_of(changes, &world.settings().region, world.now());
    let events = events.map_err(|unread| EngineError::Broken(unread.to_string()))?;
    let mut effects = changes.effects.clone();
    if !events.is_empty() {
        effects.push(Effect::PublishEvents { pipeline: pipeline.clone(), events });
    }
    Ok(effects)
}

/// A stage's first version is one that no stage of an earlier pipeline of the name had: what was decided about that one is
/// refused however late it comes.
fn stage_write(stage: &StageState, pipeline: Option<&PipelineIndex>) -> Write {
    match pipeline.filter(|_| stage.version == 0) {
        Some(index) => {
            let first = StageState { version: index.created_at.as_microsecond().unsigned_abs(), ..stage.clone() };
            Write::Put(Row::Stage(first), Precondition::Absent)
        }
        None => put_versioned(Row::Stage(stage.clone()), stage.version),
    }
}

fn put_versioned(row: Row, version: u64) -> Write {
    Write::Put(row, Precondition::Version(version))
}

/// What is revoked, what is not any more, and what must not be: of a rollback and an execution that carries what it goes
/// back from to another gate, only one is stored.
fn revoked_writes(changes: &Changes) -> Vec<Write> {
    let revoked = changes.revoked.iter().cloned();
    // A later rollback's verdict takes the place of an earlier one's.
    let mut writes: Vec<Write> = revoked.map(|revoked| Write::Put(Row::Revoked(revoked), Precondition::None)).collect();
    writes.extend(changes.reinstated.iter().cloned().map(|revoked| Write::Delete(Row::Revoked(revoked))));
    let unrevoked = changes.unrevoked.iter().cloned();
    writes.extend(unrevoked.map(|content| Write::Check(Row::Unrevoked(content), Precondition::Absent)));
    writes
}

/// An incident and its place among the open ones.
pub(crate) fn incident_writes(incident: &Incident) -> [Write; 2] {
    let open = Row::OpenIncident(incident.clone());
    let open = if incident.is_open() { Write::Put(open, Precondition::None) } else { Write::Delete(open) };
    [put_versioned(Row::Incident(incident.clone()), incident.version), open]
}

/// What is kept for a stage, and its place in the order in which stages are looked at.
fn kept_writes(change: &KeptChange) -> Vec<Write> {
    let after = &change.after;
    let row = Row::Kept(after.clone());
    // The first is stored at the version it carries, which no row of its place had before.
    let mut writes = vec![match &change.before {
        Some(before) => put_versioned(row, before.version),
        None => Write::Put(row, Precondition::Absent),
    }];
    let old = change.before.as_ref().map(Kept::due);
    if old.as_ref() != Some(&after.due()) {
        writes.extend(old.map(|old| Write::Delete(Row::KeptDue(old))));
        writes.push(Write::Put(Row::KeptDue(after.due()), Precondition::None));
    }
    writes
}

fn execution_writes(execution: &Execution, starts: bool) -> Vec<Write> {
    let open = Row::OpenExecution(OpenExecution {
        pipeline: execution.pipeline.clone(),
        execution: execution.id,
        machine_name: execution.machine_name(),
        started_at: execution.updated_at,
    });
    let mut stored = execution.clone();
    // An ended execution has no place any more. Only this first storing of its end may free the place: by the next
    // change of the row, somebody else may have it.
    let freed = stored.slot.take_if(|_| execution.phase.is_ended());
    let mut writes = vec![put_versioned(Row::Execution(stored), execution.version)];
    writes.extend(freed.map(|slot| Write::Delete(Row::Slot(slot))));
    // The mark says that an execution is there and has not ended. It changes when a state machine begins to drive it and
    // when it ends.
    if execution.phase.is_ended() {
        writes.push(Write::Delete(open));
    } else if starts {
        writes.push(Write::Put(open, Precondition::None));
    }
    writes
}

/// A call that was given up may decide to begin what another call has begun meanwhile: the row of the run does not tell,
/// since it is found by the time of its start as well. The latest run of the action does.
fn begin_writes(run: &ActionRun, latest: Option<ActionExecutionId>) -> [Write; 2] {
    [
        put_versioned(Row::ActionRun(run.clone()), run.version),
        Write::Put(Row::LatestAction(run.clone()), latest.map_or(Precondition::Absent, Precondition::Run)),
    ]
}

fn run_writes(run: &ActionRun) -> Vec<Write> {
    let mut writes = vec![put_versioned(Row::ActionRun(run.clone()), run.version)];
    // The latest run is stored beside its stage under the same version, so clients read a pipeline with one query. Of
    // PARALLEL executions nobody is shown one (spec 2.3), and where a switch of the mode has left some behind, theirs
    // must not take the place of the run that whoever holds the stage looks for.
    if run.mode != ExecutionMode::Parallel {
        writes.push(Write::Put(Row::LatestAction(run.clone()), Precondition::None));
    }
    writes
}

/// A job and its place in its queue, which it has while workers can get it.
fn job_writes(job: &Job) -> Vec<Write> {
    let mut writes = vec![put_versioned(Row::Job(job.clone()), job.version)];
    if let Some(row) = QueuedJob::of(job) {
        let row = Row::QueuedJob(row);
        writes.push(if job.status.is_waiting() { Write::Put(row, Precondition::None) } else { Write::Delete(row) });
    }
    writes
}

/// The mark says that a condition waits: it is made with the token that ends the wait, and goes with the end.
fn condition_writes(run: &ConditionRun) -> Vec<Write> {
    let mut writes = vec![put_versioned(Row::Condition(run.clone()), run.version)];
    if run.is_open() {
        writes.push(Write::Put(Row::OpenCondition(run.clone()), Precondition::None));
    } else if !run.token.is_empty() {
        writes.push(Write::Delete(Row::OpenCondition(run.clone())));
    }
    writes
}

/// Stores `changes` and performs those of its effects that need no more than the table and the state machines. Effects
/// that cannot be performed now stay in the outbox for the reconciler.
///
/// # Errors
/// [`EngineError::Contended`] where a row has changed since it was read: decide again.
pub async fn commit<W: HasStore + HasMachines>(
    world: &W,
    pipeline: &PipelineName,
    changes: Changes,
) -> Result<(), EngineError> {
    // Boxed, since every use case ends here: what it takes to tell the world would be part of each of their futures, and
    // those together would not fit on the stack of a thread.
    Box::pin(async {
        let effects = store(world, pipeline, &changes).await?;
        perform_all(world, &effects).await;
        Ok(())
    })
    .await
}

/// As [`commit`], and leaves it to the caller to tell what happened while it goes on.
///
/// # Errors
/// As [`commit`].
pub(crate) async fn commit_untold<W: HasStore + HasMachines>(
    world: &W,
    pipeline: &PipelineName,
    changes: Changes,
) -> Result<Untold, EngineError> {
    Box::pin(async {
        let effects = store(world, pipeline, &changes).await?;
        Ok(Untold::after(world, &effects).await)
    })
    .await
}

/// Stores `changes` without performing anything; returns what to perform.
///
/// # Errors
/// As [`commit`].
pub(crate) async fn store<W: HasStore>(
    world: &W,
    pipeline: &PipelineName,
    changes: &Changes,
) -> Result<Vec<Effect>, EngineError> {
    let (writes, effects) = writes_of(pipeline, changes, world)?;
    if writes.is_empty() {
        return Ok(effects);
    }
    if writes.len() > WRITES_MAX {
        return Err(EngineError::Broken(format!(
            "one decision needs {} writes, at most {WRITES_MAX} fit",
            writes.len()
        )));
    }
    world.store().commit(writes).await?;
    sight::decided(pipeline, changes);
    Ok(effects)
}

/// Performs an effect that goes to a state machine; `None` for any other.
pub(crate) async fn perform_on_machines<W: HasMachines>(world: &W, effect: &Effect) -> Option<Result<(), EngineError>> {
    let machines = world.machines();
    let done = match effect {
        Effect::StartMachine { pipeline, execution, name } => {
            let input = ExecutionInput { pipeline: pipeline.clone(), execution_id: *execution };
            machines.start(Machine::PipelineExecution, name, &json!(input)).await
        }
        Effect::AnswerGate { token, answer } => machines.answer(token, &gate_output(answer)).await,
        Effect::AnswerAction { token, status } => machines.answer(token, &json!(ActionOutput::from(*status))).await,
        Effect::AnswerCondition { token, answer } => machines.answer(token, &json!(answer)).await,
        Effect::ExtendAction { token, .. } => machines.heartbeat(token).await,
        Effect::AbandonRuns { .. }
        | Effect::AdmitWaiting { .. }
        | Effect::CancelWaiting { .. }
        | Effect::DriveAction { .. }
        | Effect::InvokeJob { .. }
        | Effect::KeepArtifacts { .. }
        | Effect::NotifyApproval { .. }
        | Effect::PublishEvents { .. }
        | Effect::PurgeHistory { .. }
        | Effect::StopAction { .. } => return None,
    };
    Some(match done {
        // Answered before, or nobody waits for it any more: both mean there is nothing left to do.
        Err(CloudError::NotFound(_)) => Ok(()),
        other => other.map_err(EngineError::from),
    })
}

fn gate_output(answer: &GateAnswer) -> serde_json::Value {
    json!(answer)
}

/// Takes a decision until it is stored: reads, decides, commits, and begins again where another writer was faster.
///
/// # Errors
/// Whatever `attempt` ends with; [`EngineError::Contended`] after [`TRIES_MAX`] tries.
pub(crate) async fn until_stored<T, F, Fut>(mut attempt: F) -> Result<T, EngineError>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<T, EngineError>>,
{
    for _ in 1..TRIES_MAX {
        match attempt().await {
            Err(EngineError::Contended) => {}
            other => return other,
        }
    }
    attempt().await
}

/// A decision that lacked a row was taken on a stale view: read again.
pub(crate) fn reread(rejected: Rejected) -> EngineError {
    match rejected {
        Rejected::Stale => EngineError::Contended,
        other => EngineError::Broken(other.to_string()),
    }
}
