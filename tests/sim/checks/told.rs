//! That every change of a state is told once, in order, and in the transaction that makes it.

use std::collections::BTreeMap;

use domain::{
    ActionExecutionId, ActionStatus, Effect, Event, EventState, Execution, ExecutionId, ExecutionStatus, Phase,
    StageName, StageStatus, StateChange,
};
use engine::ports::{PendingEffect, Row};
use store::Change;
use uuid::Uuid;

use super::{Broken, holds};
use crate::cloud::State;

/// Whose state is told.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Subject {
    Execution(ExecutionId),
    Stage(ExecutionId, StageName),
    Run(ActionExecutionId),
    Decision(Uuid),
}

/// What is to be told, in the order of the transactions.
#[derive(Default)]
pub(super) struct Told {
    /// The latest state of each.
    latest: BTreeMap<Subject, EventState>,
    events: BTreeMap<Uuid, Event>,
}

impl Told {
    /// Takes in the events that a transaction leaves to be told, and compares them with what it changed.
    pub(super) fn listen(&mut self, changes: &[Change]) -> Result<(), Broken> {
        for change in changes {
            if let (None, Some(Row::Effect(PendingEffect { effect: Effect::PublishEvents { events, .. }, .. }))) =
                (&change.before, &change.after)
            {
                events.iter().try_for_each(|event| self.take(event))?;
            }
        }
        for change in changes {
            match &change.after {
                Some(Row::Execution(execution)) => self.check_execution(execution)?,
                Some(Row::ActionRun(run)) => {
                    let expected = match run.status {
                        ActionStatus::InProgress => EventState::Started,
                        ActionStatus::Succeeded => EventState::Succeeded,
                        ActionStatus::Failed => EventState::Failed,
                        ActionStatus::Abandoned => EventState::Abandoned,
                    };
                    self.check(&Subject::Run(run.id), &[expected])?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn take(&mut self, event: &Event) -> Result<(), Broken> {
        let next = event.state();
        let (subject, follows) = match &event.change {
            StateChange::Pipeline(of) => (Subject::Execution(of.execution_id), execution_goes as Goes),
            StateChange::Stage(of) => (Subject::Stage(of.execution_id, of.stage.clone()), stage_goes as Goes),
            StateChange::Action(of) => (Subject::Run(of.action_execution_id), run_goes as Goes),
            // A decision is told once and stays as it is.
            StateChange::Rollback(of) => (Subject::Decision(of.decision_id), decision_goes as Goes),
            // Nothing is lost where artifacts are kept for good.
            StateChange::Artifact(of) => return Err(format!("{of:?} is told")),
        };
        let before = self.latest.insert(subject.clone(), next);
        holds(follows(before, next), || format!("of {subject:?} {next} is told after {before:?}"))?;
        let known = self.events.insert(event.id(), event.clone());
        holds(known.is_none(), || format!("two events about {subject:?} have one id"))
    }

    fn check_execution(&self, execution: &Execution) -> Result<(), Broken> {
        use EventState as E;
        let expected: &[E] = match execution.phase.status() {
            ExecutionStatus::InProgress => &[E::Started, E::Resumed],
            ExecutionStatus::Stopping => &[E::Stopping],
            ExecutionStatus::Stopped => &[E::Stopped],
            ExecutionStatus::Succeeded => &[E::Succeeded],
            ExecutionStatus::Superseded => &[E::Superseded],
            ExecutionStatus::Failed => &[E::Failed],
            ExecutionStatus::Cancelled => &[E::Canceled],
        };
        self.check(&Subject::Execution(execution.id), expected)?;
        for (name, outcome) in &execution.stages {
            let is_stopping = matches!(&execution.phase, Phase::Stopping { stage } if stage == name);
            let expected: &[E] = match outcome.status {
                StageStatus::InProgress if is_stopping => &[E::Stopping],
                StageStatus::InProgress => &[E::Started, E::Resumed],
                StageStatus::Stopping => &[E::Stopping],
                // Where all work was done when a stop took effect, it shows as stopped.
                StageStatus::Succeeded => &[E::Succeeded, E::Stopped],
                // As in CodePipeline, nobody hears of the end of a stage that is skipped.
                StageStatus::Skipped => &[E::Started, E::Resumed, E::Stopped],
                StageStatus::Failed => &[E::Failed],
                StageStatus::Stopped => &[E::Stopped],
                StageStatus::Cancelled => &[E::Canceled],
            };
            self.check(&Subject::Stage(execution.id, name.clone()), expected)?;
        }
        Ok(())
    }

    fn check(&self, subject: &Subject, expected: &[EventState]) -> Result<(), Broken> {
        let told = self.latest.get(subject);
        holds(told.is_some_and(|told| expected.contains(told)), || {
            format!("of {subject:?} {told:?} is told, not one of {expected:?}")
        })
    }

    /// Whoever listens to the bus has heard all of it and nothing else, whatever was lost on the way.
    pub(super) fn check_published(&self, cloud: &State) -> Result<(), Broken> {
        if let Some(id) = cloud.retold {
            return Err(format!("event {id} was published in two versions"));
        }
        for (id, event) in &self.events {
            let published = cloud.published.get(id);
            holds(published == Some(event), || format!("of {event:?} was published: {published:?}"))?;
        }
        holds(cloud.published.len() == self.events.len(), || "something was published that did not happen".to_owned())
    }
}

type Goes = fn(Option<EventState>, EventState) -> bool;

fn execution_goes(before: Option<EventState>, next: EventState) -> bool {
    use EventState as E;
    match before {
        None => next == E::Started,
        Some(E::Started | E::Resumed) => {
            matches!(next, E::Succeeded | E::Failed | E::Superseded | E::Canceled | E::Stopping)
        }
        Some(E::Stopping) => matches!(next, E::Stopped | E::Canceled),
        Some(E::Failed | E::Stopped) => next == E::Resumed,
        Some(_) => false,
    }
}

fn stage_goes(before: Option<EventState>, next: EventState) -> bool {
    use EventState as E;
    match before {
        None => next == E::Started,
        Some(E::Started | E::Resumed) => {
            matches!(next, E::Succeeded | E::Failed | E::Canceled | E::Stopping | E::Resumed)
        }
        Some(E::Stopping) => matches!(next, E::Stopped | E::Canceled | E::Failed),
        Some(E::Failed | E::Stopped) => next == E::Resumed,
        Some(_) => false,
    }
}

fn decision_goes(before: Option<EventState>, _: EventState) -> bool {
    before.is_none()
}

fn run_goes(before: Option<EventState>, next: EventState) -> bool {
    use EventState as E;
    match before {
        None => next == E::Started,
        Some(E::Started) => matches!(next, E::Succeeded | E::Failed | E::Abandoned),
        Some(_) => false,
    }
}
