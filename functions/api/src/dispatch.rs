//! Which operation is served by what.

use engine::{HasAlarms, HasFunctions, HasMachines, HasObjects, HasRoles, HasStore};
use protocol::{ErrorCode, Operation};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use crate::{
    action_types, actions, approvals, catalogue, compatibility, decisions, event::AskingAction, executions,
    failure::Failure, health, holds, jobs, kept, paging::Listing, pipelines, preview, revisions, revoked, rollback,
    rules, shadow, state, tags, targets, transitions, webhooks,
};

/// Pages hold this many items unless the caller says otherwise (spec 7).
const PAGE_ITEMS: u32 = 100;
/// A line of ListPipelines is small, and an account has at most 1000 of them (spec 1.10): one page holds all.
const PAGE_PIPELINES: u32 = 1000;
/// Each candidate for a rollback costs requests to S3, and people look at the newest.
const PAGE_CANDIDATES: u32 = 20;

/// Who asks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Origin<'a> {
    /// ARN of the caller.
    pub(crate) caller: &'a str,
    /// The action in whose name this installation asks itself.
    pub(crate) action: Option<&'a AskingAction>,
}

/// Carries out `operation`, whose `input` has passed the model, for whoever reached it at `endpoint`.
pub(crate) async fn answer<W>(
    world: &W,
    operation: Operation,
    input: Value,
    from: Origin<'_>,
    endpoint: &str,
) -> Result<Value, Failure>
where
    W: HasStore + HasMachines + HasAlarms + HasFunctions + HasObjects + HasRoles,
{
    let caller = from.caller;
    use Operation as O;
    match operation {
        O::CreatePipeline => write(pipelines::create(world, read(input)?, caller).await?),
        O::GetPipeline => write(pipelines::get(world, read(input)?).await?),
        O::UpdatePipeline => write(pipelines::update(world, read(input)?).await?),
        O::DeletePipeline => write(pipelines::delete(world, read(input)?).await?),
        O::ListPipelines => {
            pages(operation, input, PAGE_PIPELINES, async |listing, _| pipelines::list(world, &listing).await).await
        }
        O::StartPipelineExecution => write(executions::start(world, read(input)?, from).await?),
        O::StopPipelineExecution => write(executions::stop(world, read(input)?, caller).await?),
        O::RetryStageExecution => write(executions::retry(world, read(input)?, caller).await?),
        O::PutActionRevision => write(revisions::put(world, read(input)?).await?),
        O::GetPipelineExecution => write(executions::get(world, read(input)?).await?),
        O::ListPipelineExecutions => {
            pages(operation, input, PAGE_ITEMS, async |listing, input| {
                executions::list(world, &listing, read(input)?).await
            })
            .await
        }
        O::GetPipelineState => write(state::get(world, read(input)?).await?),
        O::ListActionExecutions => {
            pages(operation, input, PAGE_ITEMS, async |listing, input| {
                actions::list(world, &listing, read(input)?).await
            })
            .await
        }
        O::ListActionTypes => {
            pages(operation, input, PAGE_ITEMS, async |listing, input| {
                catalogue::list_action_types(world, &listing, read(input)?).await
            })
            .await
        }
        O::RollbackStage => write(rollback::start(world, read(input)?, caller).await?),
        O::StartRollback => write(rollback::start_with_reason(world, read(input)?, caller).await?),
        O::ListRollbackCandidates => {
            pages(operation, input, PAGE_CANDIDATES, async |listing, input| {
                rollback::list_candidates(world, &listing, read(input)?).await
            })
            .await
        }
        O::ReportCompatibility => write(compatibility::report(world, read(input)?).await?),
        O::TagResource => write(tags::add(world, read(input)?).await?),
        O::UntagResource => write(tags::remove(world, read(input)?).await?),
        O::ListTagsForResource => {
            pages(operation, input, PAGE_ITEMS, async |listing, input| tags::list(world, &listing, read(input)?).await)
                .await
        }
        O::PreviewRollback => write(preview::preview(world, read(input)?, caller).await?),
        O::ListRollbackDecisions => {
            pages(operation, input, PAGE_ITEMS, async |listing, input| {
                decisions::list(world, &listing, read(input)?).await
            })
            .await
        }
        O::ListIncidents => {
            pages(operation, input, PAGE_ITEMS, async |listing, _| decisions::list_incidents(world, &listing).await)
                .await
        }
        O::DescribeHealth => write(health::describe(world).await?),
        O::GetShadowScorecard => write(shadow::scorecard(world, read(input)?).await?),
        O::ListKeptArtifacts => write(kept::list(world, read(input)?).await?),
        O::ReplayDecision => write(decisions::replay(world, read(input)?).await?),
        O::ListRevokedRevisions => {
            pages(operation, input, PAGE_ITEMS, async |listing, _| revoked::list(world, &listing).await).await
        }
        O::ReinstateRevision => write(revoked::reinstate(world, read(input)?, caller).await?),
        O::ListHolds => {
            pages(operation, input, PAGE_ITEMS, async |listing, input| holds::list(world, &listing, read(input)?).await)
                .await
        }
        O::ReleaseHold => write(holds::release(world, read(input)?, caller).await?),
        O::EnableStageTransition => write(transitions::enable(world, read(input)?, caller).await?),
        O::DisableStageTransition => write(transitions::disable(world, read(input)?, caller).await?),
        O::PutApprovalResult => write(approvals::put(world, read(input)?, caller).await?),
        O::PutJobSuccessResult => write(jobs::succeed(world, read(input)?).await?),
        O::PutJobFailureResult => write(jobs::fail(world, read(input)?).await?),
        O::PollForJobs => write(jobs::poll(world, read(input)?).await?),
        O::AcknowledgeJob => write(jobs::acknowledge(world, read(input)?).await?),
        O::GetJobDetails => write(jobs::details(world, read(input)?).await?),
        O::PollForThirdPartyJobs => Err(jobs::no_partners(ErrorCode::ActionTypeNotFoundException)),
        O::AcknowledgeThirdPartyJob
        | O::GetThirdPartyJobDetails
        | O::PutThirdPartyJobFailureResult
        | O::PutThirdPartyJobSuccessResult => Err(jobs::no_partners(ErrorCode::JobNotFoundException)),
        O::CreateCustomActionType => write(action_types::create(world, read(input)?).await?),
        O::DeleteCustomActionType => write(action_types::delete(world, read(input)?).await?),
        O::GetActionType => write(action_types::get(world, read(input)?)?),
        O::UpdateActionType => write(action_types::update(&read(input)?)?),
        O::PutWebhook => write(webhooks::put(world, read(input)?, endpoint).await?),
        O::ListWebhooks => {
            pages(operation, input, PAGE_ITEMS, async |listing, _| webhooks::list(world, &listing, endpoint).await)
                .await
        }
        O::DeleteWebhook => write(webhooks::delete(world, read(input)?).await?),
        O::RegisterWebhookWithThirdParty => write(webhooks::register(world, read(input)?).await?),
        O::DeregisterWebhookWithThirdParty => write(webhooks::deregister(world, read(input)?).await?),
        O::ListRuleExecutions => {
            pages(operation, input, PAGE_ITEMS, async |listing, input| rules::list(world, &listing, read(input)?).await)
                .await
        }
        O::OverrideStageCondition => write(rules::override_condition(world, read(input)?, caller).await?),
        O::ListDeployActionExecutionTargets => {
            Listing::of(operation, &input, PAGE_ITEMS)?;
            write(targets::list(world, read(input)?).await?)
        }
        O::ListRuleTypes => write(catalogue::list_rule_types(world, read(input)?)),
    }
}

/// Carries out a listing. A page that is longer than an answer may be is read again, shorter: so nothing is lost, and what
/// is left out is on the next page.
async fn pages<T, F, Fut>(operation: Operation, input: Value, limit: u32, mut list: F) -> Result<Value, Failure>
where
    T: Serialize,
    F: FnMut(Listing, Value) -> Fut,
    Fut: Future<Output = Result<T, Failure>>,
{
    let mut listing = Listing::of(operation, &input, limit)?;
    loop {
        let output = write(Box::pin(list(listing.clone(), input.clone())).await?)?;
        match listing.shorter(&output) {
            Some(shorter) => listing = shorter,
            None => return Ok(output),
        }
    }
}

/// The input as its type. It has passed the model, so a failure is a defect, not the caller's fault.
fn read<T: DeserializeOwned>(input: Value) -> Result<T, Failure> {
    serde_json::from_value(input).map_err(|_| {
        let why = format!("{} cannot hold an input that its model allows", std::any::type_name::<T>());
        Failure::refused(ErrorCode::InternalFailure, why)
    })
}

fn write(output: impl Serialize) -> Result<Value, Failure> {
    serde_json::to_value(output).map_err(|error| Failure::refused(ErrorCode::InternalFailure, error.to_string()))
}
