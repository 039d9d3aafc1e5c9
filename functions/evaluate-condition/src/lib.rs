//! Evaluates the conditions on the way into a stage and out of it.
//!
//! **May touch**: the table, pipeline definitions (to read), CloudWatch alarms (to read), Step Functions (to end a wait).
//!
//! **Architecture invariants**: what a rule says is in `domain`, what is read for it in `engine`; this is its door.

use contract::{ConditionInput, ConditionOutput};
use engine::{EngineError, HasAlarms, HasMachines, HasObjects, HasStore};

/// Handles `EvaluateCondition` and `WaitForCondition` of the `stage-run` machine.
///
/// # Errors
/// `Contended` and `Unavailable`, which the machine retries; `InvalidInput` and `Broken`, which it does not.
pub async fn handle<W: HasStore + HasObjects + HasAlarms + HasMachines>(
    world: &W,
    input: ConditionInput,
) -> Result<ConditionOutput, EngineError> {
    engine::evaluate_condition(world, &input).await
}
