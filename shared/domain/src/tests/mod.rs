//! The decisions together, applied to rows as a store would apply them.

mod condition;
mod digest;
mod events;
mod failure;
mod gate;
mod kept;
mod preview;
mod retry;
mod revoked;
mod rollback;
mod shared;
mod stop;
mod table;
mod told;
mod transition;
mod versions;
mod walk;
mod watch;
mod world;

use jiff::Timestamp;
use uuid::Uuid;

use crate::{
    Execution, ExecutionId, ExecutionMode, ExecutionType, Generation, Phase, RollbackCause, StageName, StageReport,
    StageResult, Trigger, TriggerType,
};

pub(crate) fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

pub(crate) fn id(n: u128) -> ExecutionId {
    ExecutionId(Uuid::from_u128(n))
}

fn stage(name: &str) -> StageName {
    name.parse().unwrap()
}

fn report(name: &str, generation: u64, status: StageResult) -> StageReport {
    StageReport { stage: stage(name), generation: Generation(generation), status }
}

fn waiting_before(name: &str) -> Phase {
    Phase::Waiting { stage: stage(name) }
}

fn running_in(name: &str) -> Phase {
    Phase::Running { stage: stage(name) }
}

fn manual() -> RollbackCause {
    RollbackCause::by("arn:aws:sts::111122223333:assumed-role/oncall/ana")
}

fn stage_failed() -> RollbackCause {
    RollbackCause::StageFailed { gate: None }
}

/// An execution that was recorded and has not asked for anything.
pub(crate) fn execution(n: u128, mode: ExecutionMode) -> Execution {
    Execution {
        id: id(n),
        pipeline: "shop".parse().unwrap(),
        pipeline_version: 1,
        execution_type: ExecutionType::Standard,
        mode,
        trigger: Trigger { trigger_type: TriggerType::StartPipelineExecution, trigger_detail: None, starter: None },
        started_at: at(0),
        updated_at: at(0),
        phase: Phase::Starting,
        status_summary: None,
        attempt: 1,
        stop: None,
        variables: Default::default(),
        pins: Default::default(),
        digests: Default::default(),
        revisions: Vec::new(),
        contents: Default::default(),
        earlier_contents: Default::default(),
        revoked: None,
        outputs: Default::default(),
        artifacts: Default::default(),
        stages: Default::default(),
        rollback: None,
        slot: None,
        pipeline_created_at: None,
        version: 0,
    }
}
