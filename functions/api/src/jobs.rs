//! Answers of workers to their jobs.

use engine::{HasFunctions, HasMachines, HasRoles, HasStore, JobSuccess};
use protocol::{
    ErrorCode,
    wire::jobs::{PutJobFailureResultInput, PutJobSuccessResultInput},
};
use uuid::Uuid;

use crate::failure::Failure;

/// PutJobSuccessResult. Its `currentRevision` is for custom sources, which there are none of.
pub(crate) async fn succeed<W: HasStore + HasMachines + HasFunctions + HasRoles>(
    world: &W,
    input: PutJobSuccessResultInput,
) -> Result<(), Failure> {
    let details = input.execution_details.unwrap_or_default();
    let success = JobSuccess {
        continuation: input.continuation_token,
        external_id: details.external_execution_id,
        summary: details.summary,
        variables: input.output_variables.unwrap_or_default(),
    };
    Ok(engine::succeed_job(world, job_id(&input.job_id)?, success).await?)
}

/// PutJobFailureResult.
pub(crate) async fn fail<W: HasStore + HasMachines>(world: &W, input: PutJobFailureResultInput) -> Result<(), Failure> {
    let details = input.failure_details;
    let (code, id) = (details.failure_type.as_str(), job_id(&input.job_id)?);
    Ok(engine::fail_job(world, id, code, &details.message, details.external_execution_id).await?)
}

/// Jobs have UUIDs; whatever else fits the model's pattern names none.
fn job_id(text: &str) -> Result<Uuid, Failure> {
    text.parse().map_err(|_| Failure::refused(ErrorCode::JobNotFoundException, format!("There is no job '{text}'.")))
}
