//! A stage failed: retry it, roll it back to the last good execution, or leave it.
//!
//! **May touch**: the table, Step Functions (to start the rollback), artifacts (to see that they are there), CloudWatch
//! (for whoever enters the stage next).
//!
//! **Architecture invariants**: the decision is `domain::decide_failure` and `domain::settle_failure`; this is its door.

use contract::{FailureInput, FailureOutput};
use engine::{EngineError, HasAlarms, HasMachines, HasObjects, HasStore};
use tracing::Instrument;

/// Handles `SettleFailure` of the `stage-run` machine.
///
/// # Errors
/// `Contended` and `Unavailable`, which the machine retries; `InvalidInput` and `Broken`, which it does not.
pub async fn handle<W: HasStore + HasMachines + HasAlarms + HasObjects>(
    world: &W,
    input: FailureInput,
) -> Result<FailureOutput, EngineError> {
    let span = tracing::info_span!(
        "failure",
        pipeline.name = %input.pipeline,
        execution.id = %input.execution_id,
        stage.name = %input.stage
    );
    engine::evaluate_failure(world, &input).instrument(span).await
}
