//! What events have told so far. It holds every change against what was told before: nothing twice, nothing left out.

use std::collections::BTreeMap;

use crate::{
    Changes, Event, EventState, Execution, ExecutionId, ExecutionStatus, Phase, StageName, StageStatus, StateChange,
    events_of,
};

use super::at;

/// Latest state told of each execution, and of each stage in it.
#[derive(Debug, Clone, Default)]
pub(super) struct Told {
    /// Every event as a line, such as `2 Deploy FAILED`; of the execution itself `2 FAILED`.
    pub(super) lines: Vec<String>,
    /// Whether nobody reads those lines.
    pub(super) is_quiet: bool,
    latest: BTreeMap<(ExecutionId, Option<StageName>), EventState>,
}

impl Told {
    /// Listens to the events of `changes`.
    pub(super) fn listen(&mut self, changes: &Changes, second: i64) {
        for event in events_of(changes, "eu-west-1", at(second)).unwrap() {
            self.hear(&event);
        }
        for execution in changes.executions.values() {
            self.compare(execution);
        }
    }

    fn hear(&mut self, event: &Event) {
        use EventState as S;
        let (execution, stage) = match &event.change {
            StateChange::Pipeline(change) => (change.execution_id, None),
            StateChange::Stage(change) => (change.execution_id, Some(change.stage.clone())),
            StateChange::Action(change) => panic!("no runs in this table: {change:?}"),
            // Told of decisions, which the table does not change by.
            StateChange::Rollback(_) | StateChange::Artifact(_) => return,
        };
        let place = stage.as_ref().map(|stage| format!("{stage} ")).unwrap_or_default();
        let line = format!("{} {place}{}", execution.0.as_u128(), event.state());
        let before = self.latest.insert((execution, stage), event.state());
        let ended = |state: Option<S>| matches!(state, Some(S::Failed | S::Stopped));
        let goes_on = matches!(before, Some(S::Started | S::Resumed)) || (before.is_none() && line.len() < 30);
        let fits = match event.state() {
            S::Started => before.is_none(),
            // A stage that retries by itself has not been told to have failed.
            S::Resumed => ended(before) || line.matches(' ').count() == 2,
            S::Stopped => before == Some(S::Stopping),
            S::Canceled => goes_on || before == Some(S::Stopping),
            _ => goes_on,
        };
        assert!(fits, "{line} after {before:?}: {:?}", self.lines);
        if !self.is_quiet {
            self.lines.push(line);
        }
    }

    /// Whoever listened to all events knows how the execution stands.
    fn compare(&self, row: &Execution) {
        use EventState as S;
        let latest = |stage: Option<&StageName>| self.latest.get(&(row.id, stage.cloned())).copied();
        let expected: &[Option<S>] = match row.phase.status() {
            // Executions are there before anybody listens.
            ExecutionStatus::InProgress => &[None, Some(S::Started), Some(S::Resumed)],
            ExecutionStatus::Stopping => &[Some(S::Stopping)],
            ExecutionStatus::Stopped => &[Some(S::Stopped)],
            ExecutionStatus::Succeeded => &[Some(S::Succeeded)],
            ExecutionStatus::Superseded => &[Some(S::Superseded)],
            ExecutionStatus::Failed => &[Some(S::Failed)],
            ExecutionStatus::Cancelled => &[Some(S::Canceled)],
        };
        assert!(expected.contains(&latest(None)), "{:?} was told as {:?}", row.phase, latest(None));
        for (name, outcome) in &row.stages {
            let stopping = row.phase == Phase::Stopping { stage: name.clone() };
            let expected: &[S] = match outcome.status {
                StageStatus::InProgress if stopping => &[S::Stopping],
                StageStatus::InProgress => &[S::Started, S::Resumed],
                StageStatus::Succeeded if row.phase == Phase::Stopped => &[S::Succeeded, S::Stopped],
                StageStatus::Succeeded => &[S::Succeeded],
                StageStatus::Failed => &[S::Failed],
                StageStatus::Stopping | StageStatus::Stopped => &[S::Stopped],
                StageStatus::Cancelled => &[S::Canceled],
                StageStatus::Skipped => &[S::Started, S::Resumed, S::Stopped],
            };
            let told = latest(Some(name)).unwrap_or_else(|| panic!("nothing was told of {name}"));
            assert!(expected.contains(&told), "{name} is {:?} and was told as {told}", outcome.status);
        }
    }
}
