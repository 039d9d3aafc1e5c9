//! Evaluates the conditions on the way into a stage and out of it.
//!
//! **May touch**: the table, pipeline definitions (to read), CloudWatch alarms (to read), Step Functions (to end a wait),
//! the user's functions (those that a rule asks) and roles (for the keys these get).
//!
//! **Architecture invariants**: what a rule says is in `domain`, what is read for it in `engine`; this is its door.

use contract::{ConditionInput, ConditionOutput};
use engine::{EngineError, HasAlarms, HasFunctions, HasMachines, HasObjects, HasRoles, HasStore};
use tracing::Instrument;

/// Handles `EvaluateCondition` and `WaitForCondition` of the `stage-run` machine.
///
/// # Errors
/// `Contended` and `Unavailable`, which the machine retries; `InvalidInput` and `Broken`, which it does not.
pub async fn handle<W>(world: &W, input: ConditionInput) -> Result<ConditionOutput, EngineError>
where
    W: HasStore + HasObjects + HasAlarms + HasMachines + HasFunctions + HasRoles,
{
    let span = tracing::info_span!(
        "condition",
        pipeline.name = %input.pipeline,
        execution.id = %input.execution_id,
        stage.name = %input.stage
    );
    engine::evaluate_condition(world, &input).instrument(span).await
}
