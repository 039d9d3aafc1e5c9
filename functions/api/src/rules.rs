//! Conditions of stages: what their rules found, and overriding them.

use domain::{ConditionKind, ExecutionId, PipelineName, RuleRun};
use engine::{
    HasAlarms, HasMachines, HasStore,
    ports::{Page, PageRequest, Store},
};
use protocol::wire::{
    actions::StartTimeRange,
    rules::{
        ListRuleExecutionsInput, ListRuleExecutionsOutput, RuleExecutionDetail, RuleExecutionInput,
        RuleExecutionOutput, RuleExecutionResult,
    },
    state::{ConditionType, ErrorDetails, OverrideStageConditionInput},
};

use crate::{
    actions::artifacts,
    failure::Failure,
    paging::Listing,
    runs::{Filter, READ_AT_ONCE, check_known, latest},
};

/// OverrideStageCondition.
pub(crate) async fn override_condition<W: HasStore + HasMachines + HasAlarms>(
    world: &W,
    input: OverrideStageConditionInput,
    caller: &str,
) -> Result<(), Failure> {
    let kind = match input.condition_type {
        ConditionType::BeforeEntry => ConditionKind::BeforeEntry,
        ConditionType::OnSuccess => ConditionKind::OnSuccess,
    };
    let (pipeline, stage, execution) = (&input.pipeline_name, &input.stage_name, input.pipeline_execution_id);
    Ok(engine::override_condition(world, pipeline, stage, execution, kind, caller).await?)
}

/// ListRuleExecutions: executions newest first, and the evaluations of each newest first.
pub(crate) async fn list<W: HasStore>(
    world: &W,
    listing: &Listing,
    input: ListRuleExecutionsInput,
) -> Result<ListRuleExecutionsOutput, Failure> {
    let pipeline = &input.pipeline_name;
    let Filter { execution, range } = Filter::of(input.filter.unwrap_or_default())?;
    let page = match (execution, range) {
        (Some(execution), StartTimeRange::Latest) => list_latest(world, listing, pipeline, execution).await?,
        (execution, _) => world.store().list_rule_runs(pipeline, execution, listing.page()).await?,
    };
    if page.items.is_empty() {
        check_known(world, pipeline, execution).await?;
    }
    Ok(ListRuleExecutionsOutput {
        rule_execution_details: page.items.into_iter().map(detail).collect(),
        next_token: listing.token(page.next)?,
    })
}

/// The newest evaluation of each rule in `execution`. An execution has at most 50 stages with 3 conditions of 5 rules,
/// and evaluates them anew with each retry, so one read holds them.
async fn list_latest<W: HasStore>(
    world: &W,
    listing: &Listing,
    pipeline: &PipelineName,
    execution: ExecutionId,
) -> Result<Page<RuleRun>, Failure> {
    let request = PageRequest { limit: READ_AT_ONCE, after: None };
    let runs = world.store().list_rule_runs(pipeline, Some(execution), request).await?.items;
    let rule = |run: &RuleRun| (run.stage.clone(), run.kind, run.state.name.clone());
    Ok(latest(runs, listing, rule, |run| format!("{:017} {}", run.started_at.as_microsecond().max(0), run.state.id)))
}

fn detail(run: RuleRun) -> RuleExecutionDetail {
    let state = run.state;
    let error_details = state
        .error_code
        .is_some()
        .then(|| ErrorDetails { code: state.error_code.clone(), message: state.summary.clone() });
    let result = RuleExecutionResult {
        external_execution_id: state.external_execution_id(),
        external_execution_summary: state.summary,
        external_execution_url: state.external_url,
        error_details,
    };
    RuleExecutionDetail {
        pipeline_execution_id: run.execution,
        rule_execution_id: state.id.to_string(),
        pipeline_version: run.pipeline_version,
        stage_name: run.stage,
        rule_name: state.name,
        start_time: run.started_at.into(),
        last_update_time: state.changed_at.into(),
        status: state.status,
        updated_by: state.updated_by,
        input: Some(RuleExecutionInput {
            rule_type_id: run.rule_type,
            configuration: Some(run.configuration),
            resolved_configuration: Some(run.resolved_configuration),
            role_arn: Some(run.role_arn),
            region: Some(run.region),
            input_artifacts: Some(artifacts(run.inputs)),
        }),
        output: Some(RuleExecutionOutput { execution_result: Some(result) }),
    }
}
