//! Conditions of a stage as GetPipelineState shows them.

use domain::{
    ConditionIndex, ConditionKind, ConditionRun, ConditionStatus, ExecutionMode, PipelineView, RuleState as Evaluated,
    StageIndex, WatchState, watch_state,
};
use jiff::Timestamp;
use protocol::wire::state::{
    ConditionExecution, ConditionState, ErrorDetails, RuleExecution, RuleState, StageConditionState,
    StageConditionsExecution,
};

/// What is known of a stage's condition: its declared rules, and their latest evaluation. A stage has at most one
/// condition of a kind, so that its status is the stage's.
pub(crate) fn condition_state(
    view: &PipelineView,
    index: &StageIndex,
    kind: ConditionKind,
    now: Timestamp,
) -> Option<StageConditionState> {
    let declared = index.condition(kind)?;
    let shows_executions = view.index.mode != ExecutionMode::Parallel;
    let run = view.condition(&index.name, kind).filter(|_| shows_executions);
    let run = run.map(|run| run.seen_in(&view.stage(&index.name)));
    let latest = run.as_ref().map(|run| (run.status, run.summary.clone()));
    let evaluated = |(status, summary): (ConditionStatus, Option<String>)| StageConditionsExecution { status, summary };
    Some(StageConditionState {
        latest_execution: latest.map(evaluated),
        condition_states: Some(vec![ConditionState {
            latest_execution: run.as_ref().map(condition_execution),
            rule_states: Some(rule_states(view, index, declared, run.as_ref(), now)),
        }]),
    })
}

fn condition_execution(run: &ConditionRun) -> ConditionExecution {
    ConditionExecution {
        status: run.status,
        summary: run.summary.clone(),
        last_status_change: Some(run.changed_at.into()),
    }
}

fn rule_states(
    view: &PipelineView,
    index: &StageIndex,
    declared: &ConditionIndex,
    run: Option<&ConditionRun>,
    now: Timestamp,
) -> Vec<RuleState> {
    let stage = view.stage(&index.name);
    let rules = declared.rules.iter().map(|name| {
        let evaluated = run.and_then(|run| run.rules.iter().find(|rule| rule.name == *name));
        // A rule that watches is evaluated by nobody: it begins when the stage is left.
        let watches = index.watches.iter().find(|rule| rule.rule == *name && declared.kind == ConditionKind::OnSuccess);
        let watch = watches.and_then(|rule| watch_state(&stage, rule, now));
        RuleState {
            rule_name: name.clone(),
            current_revision: None,
            latest_execution: evaluated.map(rule_execution).or(watch.map(watch_execution)),
            entity_url: evaluated.and_then(|rule| rule.entity_url.clone()),
            revision_url: None,
        }
    });
    rules.collect()
}

fn watch_execution(watch: WatchState) -> RuleExecution {
    RuleExecution {
        rule_execution_id: watch.id.to_string(),
        status: watch.status,
        summary: Some(watch.summary),
        last_status_change: Some(watch.changed_at.into()),
        token: None,
        last_updated_by: None,
        external_execution_id: None,
        external_execution_url: None,
        error_details: None,
    }
}

fn rule_execution(rule: &Evaluated) -> RuleExecution {
    RuleExecution {
        rule_execution_id: rule.id.to_string(),
        status: rule.status,
        summary: rule.summary.clone(),
        last_status_change: Some(rule.changed_at.into()),
        token: None,
        last_updated_by: rule.updated_by.clone(),
        external_execution_id: rule.external_execution_id(),
        external_execution_url: rule.external_url.clone(),
        error_details: rule
            .error_code
            .is_some()
            .then(|| ErrorDetails { code: rule.error_code.clone(), message: rule.summary.clone() }),
    }
}
