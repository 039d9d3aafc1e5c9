//! The typed structures hold exactly what the model has: nothing of a largest value is lost on the way through.

use protocol::Operation;
use protocol::wire::{
    action_types::*, actions::*, approvals::*, decisions::*, executions::*, health::*, holds::*, jobs::*, kept::*,
    pipelines::*, preview::*, revoked::*, rollback::*, rules::*, shadow::*, state::*, tags::*, targets::*,
    transitions::*, webhooks::*,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::samples::{maximal, minimal};
use crate::table::{input, output};

fn through<T: DeserializeOwned + Serialize>(value: &Value) -> Value {
    let typed: T = serde_json::from_value(value.clone())
        .unwrap_or_else(|error| panic!("{}: {error} in {value}", std::any::type_name::<T>()));
    serde_json::to_value(typed).unwrap()
}

fn check_input<T: DeserializeOwned + Serialize>(operation: Operation) {
    let largest = maximal(input(operation));
    let lost = lost(&largest, &through::<T>(&largest), operation.name());
    assert_eq!(lost, None);
    // Defaults may be filled in, but the least value must be readable.
    through::<T>(&minimal(input(operation)));
}

fn check_output<T: DeserializeOwned + Serialize>(operation: Operation) {
    let largest = maximal(output(operation).unwrap());
    let lost = lost(&largest, &through::<T>(&largest), operation.name());
    assert_eq!(lost, None);
}

/// The first place where `after` lacks or changes something of `before`; it may have more, which are defaults.
fn lost(before: &Value, after: &Value, place: &str) -> Option<String> {
    match (before, after) {
        (Value::Object(before), Value::Object(after)) => before.iter().find_map(|(name, value)| {
            let place = format!("{place}.{name}");
            match after.get(name) {
                Some(after) => lost(value, after, &place),
                None => Some(place),
            }
        }),
        (Value::Array(before), Value::Array(after)) if before.len() == after.len() => before
            .iter()
            .zip(after)
            .enumerate()
            .find_map(|(index, (before, after))| lost(before, after, &format!("{place}[{index}]"))),
        _ => (before != after).then(|| place.to_owned()),
    }
}

macro_rules! check {
    ($($operation:ident: $input:ty $(=> $output:ty)?;)+) => { $(
        check_input::<$input>(Operation::$operation);
        $(check_output::<$output>(Operation::$operation);)?
        assert_eq!(output(Operation::$operation).is_some(), false $(|| !std::any::type_name::<$output>().is_empty())?);
    )+ };
}

#[test]
fn typed_inputs_and_outputs_lose_nothing() {
    check! {
        AcknowledgeJob: AcknowledgeJobInput => AcknowledgeJobOutput;
        CreateCustomActionType: CreateCustomActionTypeInput => CreateCustomActionTypeOutput;
        CreatePipeline: CreatePipelineInput => CreatePipelineOutput;
        DeleteCustomActionType: DeleteCustomActionTypeInput;
        DeletePipeline: DeletePipelineInput;
        DeleteWebhook: DeleteWebhookInput => DeleteWebhookOutput;
        DeregisterWebhookWithThirdParty: DeregisterWebhookWithThirdPartyInput => DeregisterWebhookWithThirdPartyOutput;
        DescribeHealth: DescribeHealthInput => DescribeHealthOutput;
        DisableStageTransition: DisableStageTransitionInput;
        EnableStageTransition: EnableStageTransitionInput;
        GetActionType: GetActionTypeInput => GetActionTypeOutput;
        GetJobDetails: GetJobDetailsInput => GetJobDetailsOutput;
        GetPipeline: GetPipelineInput => GetPipelineOutput;
        GetPipelineExecution: GetPipelineExecutionInput => GetPipelineExecutionOutput;
        GetShadowScorecard: GetShadowScorecardInput => GetShadowScorecardOutput;
        GetPipelineState: GetPipelineStateInput => GetPipelineStateOutput;
        ListActionExecutions: ListActionExecutionsInput => ListActionExecutionsOutput;
        ListActionTypes: ListActionTypesInput => ListActionTypesOutput;
        ListDeployActionExecutionTargets: ListDeployActionExecutionTargetsInput
            => ListDeployActionExecutionTargetsOutput;
        ListHolds: ListHoldsInput => ListHoldsOutput;
        ListIncidents: ListIncidentsInput => ListIncidentsOutput;
        ListKeptArtifacts: ListKeptArtifactsInput => ListKeptArtifactsOutput;
        ListPipelineExecutions: ListPipelineExecutionsInput => ListPipelineExecutionsOutput;
        ListPipelines: ListPipelinesInput => ListPipelinesOutput;
        ListRevokedRevisions: ListRevokedRevisionsInput => ListRevokedRevisionsOutput;
        ListRollbackCandidates: ListRollbackCandidatesInput => ListRollbackCandidatesOutput;
        ListRollbackDecisions: ListRollbackDecisionsInput => ListRollbackDecisionsOutput;
        ListRuleExecutions: ListRuleExecutionsInput => ListRuleExecutionsOutput;
        ListTagsForResource: ListTagsForResourceInput => ListTagsForResourceOutput;
        ListWebhooks: ListWebhooksInput => ListWebhooksOutput;
        OverrideStageCondition: OverrideStageConditionInput;
        PollForJobs: PollForJobsInput => PollForJobsOutput;
        PreviewRollback: PreviewRollbackInput => PreviewRollbackOutput;
        PutActionRevision: PutActionRevisionInput => PutActionRevisionOutput;
        PutApprovalResult: PutApprovalResultInput => PutApprovalResultOutput;
        PutJobFailureResult: PutJobFailureResultInput;
        PutJobSuccessResult: PutJobSuccessResultInput;
        PutWebhook: PutWebhookInput => PutWebhookOutput;
        RegisterWebhookWithThirdParty: RegisterWebhookWithThirdPartyInput => RegisterWebhookWithThirdPartyOutput;
        ReinstateRevision: ReinstateRevisionInput => ReinstateRevisionOutput;
        ReleaseHold: ReleaseHoldInput => ReleaseHoldOutput;
        ReplayDecision: ReplayDecisionInput => ReplayDecisionOutput;
        RetryStageExecution: RetryStageExecutionInput => RetryStageExecutionOutput;
        RollbackStage: RollbackStageInput => RollbackStageOutput;
        StartPipelineExecution: StartPipelineExecutionInput => StartPipelineExecutionOutput;
        StartRollback: StartRollbackInput => StartRollbackOutput;
        StopPipelineExecution: StopPipelineExecutionInput => StopPipelineExecutionOutput;
        TagResource: TagResourceInput => TagResourceOutput;
        UntagResource: UntagResourceInput => UntagResourceOutput;
        UpdateActionType: UpdateActionTypeInput;
        UpdatePipeline: UpdatePipelineInput => UpdatePipelineOutput;
    }
}
