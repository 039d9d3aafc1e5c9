//! Where an execution can be, and what can happen to it there.

use serde::{Deserialize, Serialize};

use crate::{ExecutionStatus, StageName};

/// Where an execution is. Each variant holds only what is true there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "name")]
pub enum Phase {
    /// Recorded; its state machine has not asked for a stage yet.
    Starting,
    /// Before a stage.
    Waiting {
        /// Which.
        stage: StageName,
    },
    /// Inside a stage.
    Running {
        /// Which.
        stage: StageName,
    },
    /// Inside a stage, to be stopped when its running actions are done.
    Stopping {
        /// Which.
        stage: StageName,
    },
    /// Every stage of its plan succeeded.
    Succeeded,
    /// A stage failed.
    Failed {
        /// Which, unless it never reached one.
        stage: Option<StageName>,
    },
    /// Stopped by a person.
    Stopped,
    /// A newer execution took its waiting place.
    Superseded,
    /// The structure changed, or a rollback took its stage.
    Cancelled,
}

/// What can happen to an execution.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PhaseEvent {
    /// It has to wait before a stage.
    Wait(StageName),
    /// It takes a stage.
    Enter(StageName),
    /// Its last stage succeeded.
    Complete,
    /// Its stage failed, or its driver died.
    Fail,
    /// A newer execution takes its waiting place.
    Supersede,
    /// Its structure is gone, or a rollback fences it.
    Cancel,
    /// A person asks for a stop.
    RequestStop,
    /// Its running actions are done after a stop was asked for.
    Stop,
    /// Its failed stage runs again.
    Retry(StageName),
}

/// An event that a phase does not take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Rejected {
    /// It cannot happen here: the caller is wrong.
    #[error("the event does not fit the execution's phase")]
    Illegal,
    /// It comes too late: the right to act has passed on.
    #[error("the execution has moved on")]
    Stale,
    /// It has happened already; for an at-least-once caller this is success.
    #[error("this has been done already")]
    AlreadyDone,
}

impl Phase {
    /// The phase after `event`.
    ///
    /// # Errors
    /// [`Rejected`] tells an illegal event from a late one and from a repeated one.
    pub fn after(&self, event: &PhaseEvent) -> Result<Self, Rejected> {
        #[cfg(test)]
        tests::meet(self, event);
        use {Phase as P, PhaseEvent as E};
        match (self, event) {
            (P::Waiting { stage }, E::Wait(to)) if stage == to => Err(Rejected::AlreadyDone),
            (P::Running { stage }, E::Enter(to)) if stage == to => Err(Rejected::AlreadyDone),
            (P::Starting | P::Running { .. }, E::Wait(to)) => Ok(P::Waiting { stage: to.clone() }),
            (P::Starting | P::Waiting { .. } | P::Running { .. }, E::Enter(to)) => Ok(P::Running { stage: to.clone() }),
            (P::Running { .. }, E::Complete) => Ok(P::Succeeded),
            (P::Starting, E::Fail) => Ok(P::Failed { stage: None }),
            (P::Waiting { stage } | P::Running { stage }, E::Fail) => Ok(P::Failed { stage: Some(stage.clone()) }),
            (P::Waiting { .. }, E::Supersede) => Ok(P::Superseded),
            (P::Starting | P::Waiting { .. } | P::Running { .. } | P::Stopping { .. }, E::Cancel) => Ok(P::Cancelled),
            (P::Starting | P::Waiting { .. }, E::RequestStop) => Ok(P::Stopped),
            (P::Running { stage }, E::RequestStop) => Ok(P::Stopping { stage: stage.clone() }),
            (P::Stopping { .. }, E::RequestStop) => Err(Rejected::AlreadyDone),
            (P::Stopping { .. }, E::Stop | E::Complete | E::Fail) => Ok(P::Stopped),
            (P::Stopping { .. }, E::Enter(_) | E::Wait(_)) => Err(Rejected::Stale),
            (P::Failed { .. } | P::Stopped, E::Retry(stage)) => Ok(P::Running { stage: stage.clone() }),
            (P::Succeeded, E::Complete)
            | (P::Failed { .. }, E::Fail)
            | (P::Superseded, E::Supersede)
            | (P::Cancelled, E::Cancel)
            | (P::Stopped, E::Stop) => Err(Rejected::AlreadyDone),
            (P::Succeeded | P::Failed { .. } | P::Stopped | P::Superseded | P::Cancelled, _) => Err(Rejected::Stale),
            (P::Starting | P::Waiting { .. } | P::Running { .. } | P::Stopping { .. }, _) => Err(Rejected::Illegal),
        }
    }

    /// The status CodePipeline's clients see: waiting is `InProgress` (spec 2.1).
    pub fn status(&self) -> ExecutionStatus {
        match self {
            Self::Starting | Self::Waiting { .. } | Self::Running { .. } => ExecutionStatus::InProgress,
            Self::Stopping { .. } => ExecutionStatus::Stopping,
            Self::Succeeded => ExecutionStatus::Succeeded,
            Self::Failed { .. } => ExecutionStatus::Failed,
            Self::Stopped => ExecutionStatus::Stopped,
            Self::Superseded => ExecutionStatus::Superseded,
            Self::Cancelled => ExecutionStatus::Cancelled,
        }
    }

    /// Whether nothing but a retry can happen any more.
    pub fn is_ended(&self) -> bool {
        !matches!(self.status(), ExecutionStatus::InProgress | ExecutionStatus::Stopping)
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Starting => "Starting",
            Self::Waiting { .. } => "Waiting",
            Self::Running { .. } => "Running",
            Self::Stopping { .. } => "Stopping",
            Self::Succeeded => "Succeeded",
            Self::Failed { .. } => "Failed",
            Self::Stopped => "Stopped",
            Self::Superseded => "Superseded",
            Self::Cancelled => "Cancelled",
        }
    }
}

/// The whole phase-by-event table as Markdown, for `statemachine/README.md`.
pub fn phase_table() -> String {
    // The names only have to be equal (a) or different (b).
    let (Ok(a), Ok(b)) = ("A".parse::<StageName>(), "B".parse::<StageName>()) else {
        return String::new();
    };
    let phases = [
        Phase::Starting,
        Phase::Waiting { stage: a.clone() },
        Phase::Running { stage: a.clone() },
        Phase::Stopping { stage: a.clone() },
        Phase::Succeeded,
        Phase::Failed { stage: Some(a.clone()) },
        Phase::Stopped,
        Phase::Superseded,
        Phase::Cancelled,
    ];
    let events = [
        ("Wait (other stage)", PhaseEvent::Wait(b.clone())),
        ("Enter (same stage)", PhaseEvent::Enter(a)),
        ("Enter (other stage)", PhaseEvent::Enter(b.clone())),
        ("Complete", PhaseEvent::Complete),
        ("Fail", PhaseEvent::Fail),
        ("Supersede", PhaseEvent::Supersede),
        ("Cancel", PhaseEvent::Cancel),
        ("RequestStop", PhaseEvent::RequestStop),
        ("Stop", PhaseEvent::Stop),
        ("Retry", PhaseEvent::Retry(b)),
    ];
    table_of(&phases, Phase::name, &events, Phase::after)
}

/// What each event makes of each state, in Markdown.
pub(crate) fn table_of<S, E>(
    states: &[S],
    name: impl Fn(&S) -> &'static str,
    events: &[(&str, E)],
    after: impl Fn(&S, &E) -> Result<S, Rejected>,
) -> String {
    let mut table = String::from("| event |");
    for state in states {
        table += &format!(" {} |", name(state));
    }
    table += "\n|---|";
    table += &"---|".repeat(states.len());
    for (event_name, event) in events {
        table += &format!("\n| {event_name} |");
        for state in states {
            let cell = match after(state, event) {
                Ok(next) => format!("**{}**", name(&next)),
                Err(Rejected::Illegal) => "illegal".to_owned(),
                Err(Rejected::Stale) => "stale".to_owned(),
                Err(Rejected::AlreadyDone) => "done".to_owned(),
            };
            table += &format!(" {cell} |");
        }
    }
    table + "\n"
}

#[cfg(test)]
pub(crate) mod tests {
    use std::{
        collections::BTreeSet,
        sync::{Mutex, PoisonError},
    };

    use super::*;

    /// Cells of the table that tests have met: event and phase.
    static MET: Mutex<BTreeSet<(&str, &str)>> = Mutex::new(BTreeSet::new());

    pub(super) fn meet(phase: &Phase, event: &PhaseEvent) {
        let mut met = MET.lock().unwrap_or_else(PoisonError::into_inner);
        met.insert((row(phase, event), phase.name()));
    }

    /// The row of `event` in the table.
    fn row(phase: &Phase, event: &PhaseEvent) -> &'static str {
        let is_here = |to: &StageName| match phase {
            Phase::Waiting { stage } | Phase::Running { stage } | Phase::Stopping { stage } => stage == to,
            _ => false,
        };
        match event {
            PhaseEvent::Wait(to) if is_here(to) => "Wait (same stage)",
            PhaseEvent::Wait(_) => "Wait (other stage)",
            PhaseEvent::Enter(to) if is_here(to) => "Enter (same stage)",
            PhaseEvent::Enter(_) => "Enter (other stage)",
            PhaseEvent::Complete => "Complete",
            PhaseEvent::Fail => "Fail",
            PhaseEvent::Supersede => "Supersede",
            PhaseEvent::Cancel => "Cancel",
            PhaseEvent::RequestStop => "RequestStop",
            PhaseEvent::Stop => "Stop",
            PhaseEvent::Retry(_) => "Retry",
        }
    }

    /// How many cells of the table that change a phase were met, of how many, and which were not.
    pub(crate) fn coverage() -> (usize, usize, Vec<String>) {
        let met = MET.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let table = phase_table();
        let mut lines = table.lines().map(|line| line.split('|').map(str::trim).collect::<Vec<_>>());
        let phases = lines.next().unwrap();
        let (mut all, mut missed) = (0, Vec::new());
        for cells in lines.skip(1) {
            for (phase, cell) in phases.iter().zip(&cells).filter(|(_, cell)| cell.starts_with("**")) {
                if (cells[1], *phase) == ("Enter (same stage)", "Starting") {
                    // Whoever starts is at no stage: every stage is another.
                    continue;
                }
                all += 1;
                if !met.contains(&(cells[1], *phase)) {
                    missed.push(format!("{} in {phase}: {cell}", cells[1]));
                }
            }
        }
        (all - missed.len(), all, missed)
    }

    #[test]
    fn ended_phases_absorb_everything_but_a_retry() {
        let stage: StageName = "S".parse().unwrap();
        let events = [PhaseEvent::Enter(stage.clone()), PhaseEvent::Cancel, PhaseEvent::Fail, PhaseEvent::Supersede];
        for phase in
            [Phase::Succeeded, Phase::Superseded, Phase::Cancelled, Phase::Failed { stage: None }, Phase::Stopped]
        {
            assert!(phase.is_ended());
            for event in &events {
                assert!(phase.after(event).is_err(), "{phase:?} {event:?}");
            }
        }
        assert!(Phase::Failed { stage: None }.after(&PhaseEvent::Retry(stage.clone())).is_ok());
        assert_eq!(Phase::Succeeded.after(&PhaseEvent::Retry(stage)), Err(Rejected::Stale));
    }

    #[test]
    fn only_a_waiting_execution_is_ever_superseded() {
        let stage: StageName = "S".parse().unwrap();
        assert_eq!(Phase::Waiting { stage: stage.clone() }.after(&PhaseEvent::Supersede), Ok(Phase::Superseded));
        assert_eq!(Phase::Running { stage }.after(&PhaseEvent::Supersede), Err(Rejected::Illegal));
    }

    #[test]
    fn the_table_has_a_cell_for_every_pair() {
        let table = phase_table();
        assert_eq!(table.lines().count(), 12);
        assert!(table.lines().all(|line| line.matches('|').count() == 11), "{table}");
    }
}
