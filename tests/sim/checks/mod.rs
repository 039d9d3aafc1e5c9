//! What is true of the table after every step, and of everything in the end.
//!
//! The checker keeps rows of its own, fed by what each commit changed, and asks none of the code it checks.

mod conditions;
mod history;
mod places;
mod rest;
mod revoked;
mod rollbacks;
mod steps;
mod told;

use std::collections::{BTreeMap, BTreeSet};

use domain::{
    ActionExecutionId, ActionRun, ActionStatus, ConditionRun, ConditionStatus, Execution, ExecutionId, ExecutionMode,
    Kept, OpenHold, PipelineIndex, PipelineName, RevokedContent, RollbackDecision, Slot, StageName, StageState,
    Success, Waiting, Watch,
};
use engine::ports::{DecisionList, OpenExecution, Row};
use jiff::Timestamp;
use serde_json::{Value, json};
use store::Change;
use uuid::Uuid;

use crate::story::Story;
use told::Told;

/// A rule that does not hold, in words.
pub(crate) type Broken = String;

/// The rows, and what was seen of them.
#[derive(Default)]
pub(crate) struct Checker {
    pipelines: BTreeMap<PipelineName, PipelineIndex>,
    /// What each stage did, as a digest: by pipeline, when that was created, version and stage.
    declared: BTreeMap<(PipelineName, Timestamp, u32, StageName), String>,
    stages: BTreeMap<(PipelineName, StageName), StageState>,
    waiting: BTreeMap<(PipelineName, StageName, u64), Waiting>,
    executions: BTreeMap<ExecutionId, Execution>,
    /// When the pipeline was created that was there when each execution began.
    belongs: BTreeMap<ExecutionId, Timestamp>,
    latest_runs: BTreeMap<(PipelineName, StageName, String), ActionRun>,
    runs: BTreeMap<ActionExecutionId, ActionRun>,
    slots: BTreeMap<(PipelineName, Timestamp, u8), Slot>,
    open: BTreeMap<ExecutionId, OpenExecution>,
    conditions: BTreeMap<ConditionKey, ConditionRun>,
    open_conditions: BTreeMap<(ExecutionId, StageName, &'static str), ConditionRun>,
    successes: BTreeMap<(PipelineName, StageName, Timestamp, ExecutionId), Success>,
    holds: BTreeMap<(PipelineName, StageName), OpenHold>,
    kept: BTreeMap<(PipelineName, StageName), Kept>,
    decisions: Vec<RollbackDecision>,
    watches: BTreeMap<(String, PipelineName, StageName, String), Watch>,
    effects: BTreeMap<Uuid, String>,
    /// Automatic rollbacks by what they undo: execution, stage, run of the stage.
    undone: BTreeMap<(ExecutionId, StageName, u32), ExecutionId>,
    /// How often an override had a stage run again.
    resumed: BTreeMap<(ExecutionId, StageName), u32>,
    told: Told,
    /// What was rolled back from, as the checker tells it.
    banned: Vec<revoked::Banned>,
    /// What the rows say is revoked, by what it is recognised by.
    revoked: BTreeMap<String, RevokedContent>,
}

/// A condition's row is beside its stage; those of PARALLEL executions are beside their execution.
type ConditionKey = (PipelineName, Option<ExecutionId>, StageName, &'static str);

impl Checker {
    /// Takes what a step changed in, and checks everything it may have broken.
    pub(crate) fn check(&mut self, changes: &[Change], story: &mut Story, now: Timestamp) -> Result<(), Broken> {
        self.check_revoked(changes)?;
        for change in changes {
            story_of(change, story, now);
            self.check_step(change)?;
            self.note_resumed(change);
        }
        let mut touched = BTreeSet::new();
        for Change { before, after } in changes {
            if let Some(row) = before {
                touched.extend(pipeline_of(row).cloned());
                self.remove(row, after.is_none());
            }
            if let Some(row) = after {
                touched.extend(pipeline_of(row).cloned());
                self.insert(row);
            }
        }
        for change in changes {
            // A pipeline and its first execution begin together.
            if let (None, Some(Row::Execution(execution))) = (&change.before, &change.after)
                && let Some(index) = self.pipelines.get(&execution.pipeline)
            {
                self.belongs.insert(execution.id, index.created_at);
            }
        }
        self.told.listen(changes)?;
        self.check_rollbacks_begun(changes)?;
        touched.iter().try_for_each(|pipeline| self.check_pipeline(pipeline))
    }

    /// What is true of a pipeline at all times. Of one that is deleted its row goes first.
    fn check_pipeline(&self, pipeline: &PipelineName) -> Result<(), Broken> {
        let Some(index) = self.pipelines.get(pipeline) else {
            return Ok(());
        };
        self.check_places(index)?;
        self.check_history(index)?;
        self.check_conditions(index)
    }

    /// Whether `execution` is of the pipeline as it is, not of an earlier one of its name.
    fn is_of(&self, index: &PipelineIndex, execution: &Execution) -> bool {
        execution.pipeline == index.name && self.belongs.get(&execution.id) == Some(&index.created_at)
    }

    pub(crate) fn executions(&self) -> &BTreeMap<ExecutionId, Execution> {
        &self.executions
    }

    /// Names of the stages of `pipeline`.
    pub(crate) fn stages_of(&self, pipeline: &str) -> Vec<String> {
        let index = self.pipelines.iter().find(|(name, _)| name.as_str() == pipeline);
        index.map(|(_, index)| index.stages.iter().map(|stage| stage.name.to_string()).collect()).unwrap_or_default()
    }

    /// A stage of `pipeline` that nobody may enter.
    pub(crate) fn closed_stage(&self, pipeline: &str) -> Option<String> {
        let mut of = self.stages.values().filter(|stage| stage.pipeline.as_str() == pipeline);
        of.find(|stage| !stage.inbound.enabled).map(|stage| stage.name.to_string())
    }

    /// Inputs of PutApprovalResult for each approval of `pipeline` that waits, but for the result.
    pub(crate) fn approvals(&self, pipeline: &str) -> Vec<Value> {
        let of = self.runs.values().filter(|run| run.pipeline.as_str() == pipeline);
        of.filter_map(|run| {
            let token = run.approval_token.as_ref().filter(|_| run.status == ActionStatus::InProgress)?;
            Some(json!({"pipelineName": pipeline, "stageName": run.stage, "actionName": run.action, "token": token}))
        })
        .collect()
    }

    /// An execution of `pipeline` that a condition holds up, or has failed.
    pub(crate) fn held_up(&self, pipeline: &str) -> Option<ExecutionId> {
        let of = self.conditions.values().filter(|run| run.pipeline.as_str() == pipeline);
        let holds = |run: &&ConditionRun| matches!(run.status, ConditionStatus::InProgress | ConditionStatus::Failed);
        of.filter(holds).map(|run| run.execution).next_back()
    }

    fn remove(&mut self, row: &Row, for_good: bool) {
        match row {
            Row::Pipeline(index) if for_good => drop(self.pipelines.remove(&index.name)),
            Row::Stage(stage) => drop(self.stages.remove(&(stage.pipeline.clone(), stage.name.clone()))),
            Row::Waiting(row) => drop(self.waiting.remove(&(row.pipeline.clone(), row.stage.clone(), row.arrival))),
            Row::Execution(execution) => drop(self.executions.remove(&execution.id)),
            Row::ActionRun(run) => drop(self.runs.remove(&run.id)),
            Row::LatestAction(run) => {
                drop(self.latest_runs.remove(&(run.pipeline.clone(), run.stage.clone(), run.action.to_string())));
            }
            Row::Slot(slot) => drop(self.slots.remove(&slot_key(slot))),
            Row::Condition(run) => drop(self.conditions.remove(&condition_key(run))),
            Row::Success(success) => drop(self.successes.remove(&success_key(success))),
            Row::Revoked(revoked) => drop(self.revoked.remove(revoked.content.as_str())),
            Row::Hold(held) => drop(self.holds.remove(&(held.pipeline.clone(), held.stage.clone()))),
            Row::Kept(kept) => drop(self.kept.remove(&(kept.pipeline.clone(), kept.stage.clone()))),
            Row::Decision(DecisionList::Pipeline(_), decision) => self.decisions.retain(|known| known != decision),
            Row::OpenExecution(open) => drop(self.open.remove(&open.execution)),
            Row::OpenCondition(run) => {
                drop(self.open_conditions.remove(&(run.execution, run.stage.clone(), run.kind.as_str())));
            }
            Row::OpenWatch(watch) => drop(self.watches.remove(&watch_key(watch))),
            Row::Effect(pending) => drop(self.effects.remove(&pending.effect.id())),
            _ => {}
        }
    }

    fn insert(&mut self, row: &Row) {
        match row.clone() {
            Row::Pipeline(index) => {
                let (name, created_at, version) = (&index.name, index.created_at, index.pipeline_version);
                let of = |stage: &StageName| (name.clone(), created_at, version, stage.clone());
                self.declared.extend(index.stages.iter().map(|stage| (of(&stage.name), stage.fingerprint.clone())));
                self.pipelines.insert(name.clone(), index);
            }
            Row::Stage(stage) => drop(self.stages.insert((stage.pipeline.clone(), stage.name.clone()), stage)),
            Row::Waiting(row) => {
                self.waiting.insert((row.pipeline.clone(), row.stage.clone(), row.arrival), row);
            }
            Row::Execution(execution) => {
                self.note_rollback(&execution);
                self.executions.insert(execution.id, execution);
            }
            Row::Slot(slot) => drop(self.slots.insert(slot_key(&slot), slot)),
            Row::OpenExecution(open) => drop(self.open.insert(open.execution, open)),
            Row::ActionRun(run) => drop(self.runs.insert(run.id, run)),
            Row::LatestAction(run) => {
                let key = (run.pipeline.clone(), run.stage.clone(), run.action.to_string());
                self.latest_runs.insert(key, run);
            }
            Row::Condition(run) => drop(self.conditions.insert(condition_key(&run), run)),
            Row::OpenCondition(run) => {
                self.open_conditions.insert((run.execution, run.stage.clone(), run.kind.as_str()), run);
            }
            Row::Success(success) => drop(self.successes.insert(success_key(&success), success)),
            Row::Revoked(revoked) => drop(self.revoked.insert(revoked.content.to_string(), revoked)),
            Row::Hold(held) => drop(self.holds.insert((held.pipeline.clone(), held.stage.clone()), held)),
            Row::Kept(kept) => drop(self.kept.insert((kept.pipeline.clone(), kept.stage.clone()), kept)),
            Row::Decision(DecisionList::Pipeline(_), decision) => self.decisions.push(decision),
            Row::OpenWatch(watch) => drop(self.watches.insert(watch_key(&watch), watch)),
            Row::Effect(pending) => {
                self.effects.insert(pending.effect.id(), format!("{:?}", pending.effect));
            }
            _ => {}
        }
    }
}

/// The pipeline whose rules a change of `row` may break.
fn pipeline_of(row: &Row) -> Option<&PipelineName> {
    match row {
        Row::Pipeline(row) => Some(&row.name),
        Row::Stage(row) => Some(&row.pipeline),
        Row::Waiting(row) => Some(&row.pipeline),
        Row::Execution(row) => Some(&row.pipeline),
        Row::OpenExecution(row) => Some(&row.pipeline),
        Row::ActionRun(row) | Row::LatestAction(row) => Some(&row.pipeline),
        Row::Slot(row) => Some(&row.pipeline),
        Row::Condition(row) | Row::OpenCondition(row) => Some(&row.pipeline),
        Row::Success(row) => Some(&row.pipeline),
        Row::Hold(row) => Some(&row.pipeline),
        Row::Kept(row) => Some(&row.pipeline),
        _ => None,
    }
}

fn slot_key(slot: &Slot) -> (PipelineName, Timestamp, u8) {
    (slot.pipeline.clone(), slot.pipeline_created_at, slot.number)
}

fn success_key(success: &Success) -> (PipelineName, StageName, Timestamp, ExecutionId) {
    (success.pipeline.clone(), success.stage.clone(), success.at, success.execution)
}

fn condition_key(run: &ConditionRun) -> ConditionKey {
    let own = (run.mode == ExecutionMode::Parallel).then_some(run.execution);
    (run.pipeline.clone(), own, run.stage.clone(), run.kind.as_str())
}

fn watch_key(watch: &Watch) -> (String, PipelineName, StageName, String) {
    (watch.alarm_arn.clone(), watch.pipeline.clone(), watch.stage.clone(), format!("{} {}", watch.rule, watch.until))
}

/// Says what does not hold.
pub(crate) fn holds(condition: bool, what: impl FnOnce() -> Broken) -> Result<(), Broken> {
    if condition { Ok(()) } else { Err(what()) }
}

/// The changes people care for.
fn story_of(change: &Change, story: &mut Story, now: Timestamp) {
    match &change.after {
        Some(Row::Execution(execution)) => {
            let before = match &change.before {
                Some(Row::Execution(before)) => format!("{:?} to ", before.phase),
                _ => "new: ".to_owned(),
            };
            if !matches!(&change.before, Some(Row::Execution(before)) if before.phase == execution.phase) {
                story.tell(now, || {
                    let rollback = execution.rollback.as_ref();
                    let of = rollback
                        .map_or_else(String::new, |of| format!(", rollback to {} of {:?}", of.target, of.undone));
                    format!("  {} {}: {before}{:?}{of}", execution.pipeline, execution.id, execution.phase)
                });
            }
        }
        Some(Row::Stage(stage)) => story.tell(now, || {
            let inside = stage.occupant.as_ref().map_or("nobody".to_owned(), |inside| inside.execution.to_string());
            let open = if stage.inbound.enabled { "open" } else { "closed" };
            format!("  {}/{}: generation {}, {inside} inside, {open}", stage.pipeline, stage.name, stage.generation.0)
        }),
        Some(Row::Kept(kept)) => story.tell(now, || {
            let targets: Vec<_> = kept.targets.iter().map(|target| target.execution.to_string()).collect();
            format!("  {}/{}: keeps what {targets:?} need", kept.pipeline, kept.stage)
        }),
        None if matches!(&change.before, Some(Row::Kept(_))) => story.tell(now, || {
            let stage = change.before.as_ref().and_then(pipeline_of).map(ToString::to_string).unwrap_or_default();
            format!("  {stage}: keeps nothing")
        }),
        Some(Row::ActionRun(run)) => story.tell(now, || {
            format!("  {}/{}/{} of {}: {:?}", run.pipeline, run.stage, run.action, run.execution, run.status)
        }),
        _ => {}
    }
}
