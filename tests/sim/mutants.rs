//! Rules broken on purpose, each at the table: a simulator that does not find them proves nothing.

use std::{fmt, str::FromStr};

use domain::{Effect, Execution, Job, Phase, Success, Tokens, Waiting};
use engine::ports::{Precondition, Row, Upload, Write};

/// What people mostly do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Habit {
    /// A little of everything.
    Usual,
    /// They go back to an earlier release again and again, and lift the hold that it leaves.
    GoingBack,
}

/// One broken rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mutant {
    /// Stages are stored whoever changed them meanwhile.
    StageWithoutPrecondition,
    /// Executions are stored whoever changed them meanwhile.
    ExecutionWithoutPrecondition,
    /// Nobody asks whether the stage, at the generation that was decided on, and the execution are still as they were.
    FenceForgotten,
    /// The generation stays when a stage changes hands.
    GenerationKept,
    /// A stage is free as soon as somebody is inside.
    LockReleasedEarly,
    /// Successes that were taken back do not say so.
    RevocationForgotten,
    /// Candidates come oldest first.
    CandidatesReversed,
    /// The outbox keeps nothing.
    OutboxEmpty,
    /// State machines that are to start are forgotten after a crash.
    StartForgotten,
    /// Those who waited stay in the list of those who wait.
    WaitingKept,
    /// The reconciler does not know who is under way.
    OpenForgotten,
    /// Places are never given back.
    SlotKept,
    /// What a token started is forgotten.
    StartMarkerForgotten,
    /// Runs of actions are stored whoever changed them meanwhile.
    RunWithoutPrecondition,
    /// Jobs are given away whoever has them.
    JobWithoutPrecondition,
    /// Of the tokens that wait for one answer, the one that came last is remembered.
    OneTokenKept,
    /// What a rollback goes back from is not remembered.
    RevokedContentForgotten,
    /// Whoever deploys leaves alone what others have begun to write.
    EarlierUploadsLeft,
}

impl Mutant {
    /// All of them.
    pub const ALL: [Self; 18] = [
        Self::StageWithoutPrecondition,
        Self::ExecutionWithoutPrecondition,
        Self::FenceForgotten,
        Self::GenerationKept,
        Self::LockReleasedEarly,
        Self::RevocationForgotten,
        Self::CandidatesReversed,
        Self::OutboxEmpty,
        Self::StartForgotten,
        Self::WaitingKept,
        Self::OpenForgotten,
        Self::SlotKept,
        Self::StartMarkerForgotten,
        Self::RunWithoutPrecondition,
        Self::JobWithoutPrecondition,
        Self::OneTokenKept,
        Self::RevokedContentForgotten,
        Self::EarlierUploadsLeft,
    ];

    /// What people have to do for it to matter soon.
    pub(crate) fn habit(self) -> Habit {
        match self {
            Self::FenceForgotten | Self::EarlierUploadsLeft => Habit::GoingBack,
            _ => Habit::Usual,
        }
    }

    pub(crate) fn spoil_successes(self, successes: &mut [Success]) {
        match self {
            Self::CandidatesReversed => successes.reverse(),
            Self::RevocationForgotten => successes.iter_mut().for_each(|success| success.revoked_by = None),
            _ => {}
        }
    }

    pub(crate) fn spoil_uploads(self, uploads: &mut Vec<Upload>) {
        if self == Self::EarlierUploadsLeft {
            uploads.clear();
        }
    }

    pub(crate) fn spoil_writes(self, writes: &mut Vec<Write>) {
        match self {
            Self::StageWithoutPrecondition => demand_nothing(writes, |row| matches!(row, Row::Stage(_))),
            Self::ExecutionWithoutPrecondition => demand_nothing(writes, |row| matches!(row, Row::Execution(_))),
            Self::RunWithoutPrecondition => {
                demand_nothing(writes, |row| matches!(row, Row::ActionRun(_) | Row::LatestAction(_)));
            }
            Self::JobWithoutPrecondition => demand_nothing(writes, |row| matches!(row, Row::Job(_))),
            Self::FenceForgotten => {
                writes.retain(|write| {
                    !matches!(write, Write::Check(_, Precondition::Generation(_)) | Write::Check(Row::Execution(_), _))
                });
            }
            Self::GenerationKept => each_put(writes, |row| {
                if let Row::Stage(stage) = row {
                    stage.generation.0 = stage.generation.0.min(1);
                }
            }),
            Self::LockReleasedEarly => each_put(writes, |row| {
                if let Row::Stage(stage) = row {
                    stage.occupant = None;
                }
            }),
            Self::RevocationForgotten => each_put(writes, |row| {
                if let Row::Execution(execution) = row {
                    forget_revocation(execution);
                }
            }),
            Self::OutboxEmpty => writes.retain(|write| !matches!(write, Write::Put(Row::Effect(_), _))),
            Self::StartForgotten => writes.retain(|write| match write {
                Write::Put(Row::Effect(pending), _) => !matches!(pending.effect, Effect::StartMachine { .. }),
                Write::Put(Row::OpenExecution(_), _) => false,
                _ => true,
            }),
            Self::WaitingKept => writes.retain(|write| !matches!(write, Write::Delete(Row::Waiting(_)))),
            Self::OpenForgotten => writes.retain(|write| !matches!(write, Write::Put(Row::OpenExecution(_), _))),
            Self::SlotKept => writes.retain(|write| !matches!(write, Write::Delete(Row::Slot(_)))),
            Self::StartMarkerForgotten => writes.retain(|write| !matches!(write, Write::Put(Row::Start(_), _))),
            Self::OneTokenKept => each_put(writes, |row| {
                if let Row::Waiting(Waiting { token, .. }) | Row::Job(Job { token, .. }) = row {
                    *token = token.iter().last().map_or_else(Tokens::none, Tokens::of);
                }
            }),
            Self::RevokedContentForgotten => writes.retain(|write| !matches!(write, Write::Put(Row::Revoked(_), _))),
            Self::CandidatesReversed | Self::EarlierUploadsLeft => {}
        }
    }
}

fn forget_revocation(execution: &mut Execution) {
    if !matches!(execution.phase, Phase::Starting) {
        execution.stages.values_mut().for_each(|outcome| outcome.revoked_by = None);
    }
}

fn demand_nothing(writes: &mut [Write], of: impl Fn(&Row) -> bool) {
    for write in writes {
        if let Write::Put(row, precondition) = write
            && of(row)
        {
            *precondition = Precondition::None;
        }
    }
}

fn each_put(writes: &mut [Write], spoil: impl Fn(&mut Row)) {
    for write in writes {
        if let Write::Put(row, _) = write {
            spoil(row);
        }
    }
}

impl fmt::Display for Mutant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

impl FromStr for Mutant {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|mutant| mutant.to_string() == name);
        found.ok_or_else(|| format!("there is no mutant {name}; there are {:?}", Self::ALL))
    }
}
