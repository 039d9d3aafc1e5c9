//! What is true of the table after every step, and of everything in the end.
//!
//! The checker keeps rows of its own, fed by what each commit changed, and asks none of the code it checks.

mod places;
mod rest;
mod rollbacks;
mod steps;

use std::collections::{BTreeMap, BTreeSet};

use domain::{
    ActionRun, ActionStatus, ConditionRun, Execution, ExecutionId, PipelineIndex, PipelineName, Slot, StageName,
    StageState, Waiting, Watch,
};
use engine::ports::Row;
use jiff::Timestamp;
use serde_json::{Value, json};
use store::Change;
use uuid::Uuid;

use crate::story::Story;

/// A rule that does not hold, in words.
pub(crate) type Broken = String;

/// The rows, and what was seen of them.
#[derive(Default)]
pub(crate) struct Checker {
    pipelines: BTreeMap<PipelineName, PipelineIndex>,
    stages: BTreeMap<(PipelineName, StageName), StageState>,
    waiting: BTreeMap<(PipelineName, StageName, u64), Waiting>,
    executions: BTreeMap<ExecutionId, Execution>,
    latest_runs: BTreeMap<(PipelineName, StageName, String), ActionRun>,
    runs: BTreeMap<String, ActionRun>,
    slots: BTreeMap<(PipelineName, u8), Slot>,
    open: BTreeSet<ExecutionId>,
    open_conditions: BTreeMap<(ExecutionId, StageName, &'static str), ConditionRun>,
    watches: BTreeMap<(String, PipelineName, StageName, String), Watch>,
    effects: BTreeMap<Uuid, String>,
    /// Automatic rollbacks by what they undo: execution, stage, run of the stage.
    undone: BTreeMap<(ExecutionId, StageName, u32), ExecutionId>,
}

impl Checker {
    /// Takes what a step changed in, and checks everything it may have broken.
    pub(crate) fn check(&mut self, changes: &[Change], story: &mut Story, now: Timestamp) -> Result<(), Broken> {
        for change in changes {
            story_of(change, story, now);
            self.check_step(change)?;
        }
        let mut touched = BTreeSet::new();
        for Change { before, after } in changes {
            if let Some(row) = before {
                self.remove(row);
            }
            if let Some(row) = after {
                touched.extend(self.insert(row));
            }
        }
        touched.iter().try_for_each(|pipeline| self.check_places(pipeline))
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

    fn remove(&mut self, row: &Row) {
        match row {
            Row::Pipeline(index) => drop(self.pipelines.remove(&index.name)),
            Row::Stage(stage) => drop(self.stages.remove(&(stage.pipeline.clone(), stage.name.clone()))),
            Row::Waiting(row) => drop(self.waiting.remove(&(row.pipeline.clone(), row.stage.clone(), row.arrival))),
            Row::Execution(execution) => drop(self.executions.remove(&execution.id)),
            Row::ActionRun(run) => drop(self.runs.remove(&run.id.to_string())),
            Row::LatestAction(run) => {
                drop(self.latest_runs.remove(&(run.pipeline.clone(), run.stage.clone(), run.action.to_string())));
            }
            Row::Slot(slot) => drop(self.slots.remove(&(slot.pipeline.clone(), slot.number))),
            Row::OpenExecution(open) => drop(self.open.remove(&open.execution)),
            Row::OpenCondition(run) => {
                drop(self.open_conditions.remove(&(run.execution, run.stage.clone(), run.kind.as_str())));
            }
            Row::OpenWatch(watch) => drop(self.watches.remove(&watch_key(watch))),
            Row::Effect(pending) => drop(self.effects.remove(&pending.effect.id())),
            _ => {}
        }
    }

    /// Gives the pipeline whose rules may have been broken.
    fn insert(&mut self, row: &Row) -> Option<PipelineName> {
        match row.clone() {
            Row::Pipeline(index) => {
                let name = index.name.clone();
                self.pipelines.insert(name.clone(), index);
                return Some(name);
            }
            Row::Stage(stage) => {
                let name = stage.pipeline.clone();
                self.stages.insert((name.clone(), stage.name.clone()), stage);
                return Some(name);
            }
            Row::Waiting(row) => {
                let name = row.pipeline.clone();
                self.waiting.insert((name.clone(), row.stage.clone(), row.arrival), row);
                return Some(name);
            }
            Row::Execution(execution) => {
                let name = execution.pipeline.clone();
                self.note_rollback(&execution);
                self.executions.insert(execution.id, execution);
                return Some(name);
            }
            Row::Slot(slot) => drop(self.slots.insert((slot.pipeline.clone(), slot.number), slot)),
            Row::OpenExecution(open) => drop(self.open.insert(open.execution)),
            Row::ActionRun(run) => drop(self.runs.insert(run.id.to_string(), run)),
            Row::LatestAction(run) => {
                let key = (run.pipeline.clone(), run.stage.clone(), run.action.to_string());
                self.latest_runs.insert(key, run);
            }
            Row::OpenCondition(run) => {
                self.open_conditions.insert((run.execution, run.stage.clone(), run.kind.as_str()), run);
            }
            Row::OpenWatch(watch) => drop(self.watches.insert(watch_key(&watch), watch)),
            Row::Effect(pending) => {
                self.effects.insert(pending.effect.id(), format!("{:?}", pending.effect));
            }
            _ => {}
        }
        None
    }
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
        Some(Row::ActionRun(run)) => story.tell(now, || {
            format!("  {}/{}/{} of {}: {:?}", run.pipeline, run.stage, run.action, run.execution, run.status)
        }),
        _ => {}
    }
}
