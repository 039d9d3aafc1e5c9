//! Starts, performs and finishes one action.
//!
//! **May touch**: the table, Step Functions, artifacts and deploy targets in S3, the user's Lambda functions, topics
//! of SNS, repositories at GitHub, the roles of pipelines, CloudWatch alarms (of conditions that wait for a report).
//!
//! **Architecture invariants**: what an action does is in `engine`; this is its door.

use contract::{ActionInput, ActionOutput};
use engine::{
    EngineError, HasAlarms, HasFunctions, HasMachines, HasNotifications, HasObjects, HasRepositories, HasRoles,
    HasStore,
};
use tracing::Instrument;

/// Time of an invocation that is kept back for storing how far an action has come, in milliseconds.
pub const RESERVE_MS: i64 = 20_000;

/// Handles `RunAction` and `ExpireAction` of the `stage-run` machine, and what the machines of providers report and read. `out_of_time` says when the
/// invocation should begin nothing more.
///
/// # Errors
/// `ActionUnfinished`, `Contended` and `Unavailable`, which the machine retries; `InvalidInput` and `Broken`, which it
/// does not. An action that fails is an output, not an error.
pub async fn handle<W>(
    world: &W,
    input: ActionInput,
    out_of_time: &(dyn Fn() -> bool + Send + Sync),
) -> Result<ActionOutput, EngineError>
where
    W: HasStore + HasObjects + HasAlarms + HasMachines + HasFunctions + HasNotifications + HasRepositories + HasRoles,
{
    let span = tracing::info_span!(
        "action",
        pipeline.name = %input.pipeline,
        execution.id = %input.execution_id,
        stage.name = %input.stage,
        action.name = %input.action
    );
    engine::run_action(world, &input, out_of_time).instrument(span).await
}
