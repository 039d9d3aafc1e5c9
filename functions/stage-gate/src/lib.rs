//! Lets pipeline executions into stages and out of them.
//!
//! **May touch**: the table, Step Functions (to answer who waits), CloudWatch (to see how alarms stand at entry), artifacts
//! (to look at those a rollback would need, and to mark them).
//!
//! **Architecture invariants**: the decision is `domain::pass_gate`; this is its door.

use contract::GateInput;
use engine::{EngineError, HasAlarms, HasMachines, HasObjects, HasStore};
use tracing::Instrument;

/// Handles `PassGate` of the `pipeline-execution` machine. The answer goes to the task token, not to the caller.
///
/// # Errors
/// `Contended` and `Unavailable`, which the machine retries; `InvalidInput` and `Broken`, which it does not.
pub async fn handle<W: HasStore + HasMachines + HasAlarms + HasObjects>(
    world: &W,
    input: GateInput,
) -> Result<(), EngineError> {
    let span = tracing::info_span!("gate", pipeline.name = %input.pipeline, execution.id = %input.execution_id);
    engine::pass_gate(world, &input).instrument(span).await
}
