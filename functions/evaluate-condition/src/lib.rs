//! Evaluates the conditions on the way into a stage and out of it.
//!
//! **May touch**: the table and pipeline definitions (to read), CloudWatch alarms (to read).
//!
//! **Architecture invariants**: writes nothing; what a rule says is in `engine`, this is its door.

use contract::{ConditionInput, ConditionOutput};
use engine::{EngineError, HasAlarms, HasObjects, HasStore};

/// Handles `EvaluateCondition` of the `stage-run` machine.
///
/// # Errors
/// `Unavailable`, which the machine retries; `InvalidInput` and `Broken`, which it does not.
pub async fn handle<W: HasStore + HasObjects + HasAlarms>(
    world: &W,
    input: ConditionInput,
) -> Result<ConditionOutput, EngineError> {
    engine::evaluate_condition(world, &input).await
}
