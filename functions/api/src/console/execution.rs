//! One execution: what happened when, what it carried, and what was decided about it.

use std::collections::BTreeMap;

use askama::Template;
use domain::{
    ActionName, ActionRun, ActionStatus, Execution, ExecutionId, ExecutionType, PipelineName, Record, StageName, mask,
    stage_page,
};
use engine::{
    HasStore,
    ports::{DecisionList, PageRequest, Store},
};

use super::{
    conditions::safe_link,
    decision::DecisionCard,
    frame::{Frame, Visit, render},
    gantt::{Gantt, UNITS},
    history::Trigger,
    parts::{Badge, ExecutionLink, Prose, When, person, short, words},
    route::{ROOT, execution_path, pipeline_path},
};
use crate::{executions::missing, failure::Failure, state};

/// Runs, records and decisions that are shown; the rest is the API's to list.
const RUNS_MAX: u32 = 200;
const DECISIONS_MAX: u32 = 20;

#[derive(Template)]
#[template(path = "execution.html")]
struct ExecutionPage {
    frame: Frame,
    id: ExecutionId,
    path: String,
    status: Badge,
    is_open: bool,
    summary: Prose,
    trigger: Trigger,
    started: When,
    version: u32,
    stop: Option<String>,
    /// Rollbacks that took its successes back, with the stage.
    taken_back: Vec<(String, ExecutionLink)>,
    /// Approvals that wait, which may be answered here: in PARALLEL mode nowhere else.
    approvals: Vec<ApprovalCard>,
    revisions: Vec<RevisionCard>,
    variables: BTreeMap<String, String>,
    gantt: Gantt,
    units: i64,
    decisions: Vec<DecisionCard>,
    runs: Vec<RunCard>,
    records: Vec<RecordCard>,
}

struct RevisionCard {
    action: String,
    artifacts: String,
    id: String,
    summary: String,
}

struct ApprovalCard {
    stage: StageName,
    action: ActionName,
    path: String,
    token: String,
    asks: String,
    href: Option<String>,
}

struct RunCard {
    stage: String,
    action: String,
    status: Badge,
    started: When,
    summary: String,
    error: String,
    /// Never that of an approval, which is the token that answers it: who may only look would have it.
    external_id: String,
    links: Vec<(&'static str, String)>,
    configuration: BTreeMap<String, String>,
    outputs: BTreeMap<String, String>,
}

struct RecordCard {
    at: When,
    what: String,
    stage: String,
    detail: Prose,
}

/// The execution's page.
pub(super) async fn show<W: HasStore>(
    world: &W,
    visit: &Visit,
    pipeline: &PipelineName,
    id: ExecutionId,
) -> Result<String, Failure> {
    let store = world.store();
    let Some(execution) = store.load_execution(pipeline, id).await? else {
        return Err(missing(world, pipeline, id).await?);
    };
    let first = |limit| PageRequest { limit, after: None };
    let list = DecisionList::Execution(id);
    let (actions, rules, decisions, records) = futures::try_join!(
        store.list_action_runs(pipeline, Some(id), first(RUNS_MAX)),
        store.list_rule_runs(pipeline, Some(id), first(RUNS_MAX)),
        store.list_decisions(&list, first(DECISIONS_MAX)),
        store.list_records(id, first(RUNS_MAX)),
    )?;
    let (actions, rules, mut decisions, records) = (actions.items, rules.items, decisions.items, records.items);
    decisions.retain(|decision| decision.pipeline == *pipeline);
    let region = &world.settings().region;
    let gantt = Gantt::of(&execution, &actions, &rules, &decisions, visit.now);
    render(&page(visit, execution, gantt, |page| {
        page.decisions = decisions.into_iter().map(DecisionCard::of).collect();
        page.approvals = actions.iter().filter_map(approval).collect();
        page.runs = actions.into_iter().rev().map(|run| run_card(run, region)).collect();
        page.records = records.into_iter().map(|one| record(pipeline, one)).collect();
    }))
}

fn page(visit: &Visit, execution: Execution, gantt: Gantt, fill: impl FnOnce(&mut ExecutionPage)) -> ExecutionPage {
    let (pipeline, id) = (&execution.pipeline, execution.id);
    let is_open = !execution.phase.is_ended();
    let is_rollback = execution.execution_type == ExecutionType::Rollback;
    let taken_back = execution.stages.iter().filter_map(|(stage, outcome)| {
        outcome.revoked_by.map(|rollback| (stage.to_string(), ExecutionLink::new(pipeline, rollback)))
    });
    let kind = if is_rollback { "Rollback" } else { "Execution" };
    let mut page = ExecutionPage {
        frame: visit
            .frame(format!("{kind} {}", short(id)))
            .under("Pipelines", ROOT)
            .under(pipeline.to_string(), pipeline_path(pipeline))
            .under("History", format!("{}/history", pipeline_path(pipeline)))
            .moving(is_open),
        path: execution_path(pipeline, id),
        status: Badge::from(execution.phase.status()),
        trigger: Trigger::of(&execution),
        started: execution.started_at.into(),
        version: execution.pipeline_version,
        stop: execution.stop.as_ref().map(|stop| match &stop.reason {
            Some(reason) => format!("{} stopped it: {reason}", person(&stop.by)),
            None => format!("{} stopped it", person(&stop.by)),
        }),
        taken_back: taken_back.collect(),
        revisions: execution.revisions.iter().map(revision_card).collect(),
        summary: Prose::new(pipeline, execution.status_summary.as_deref().unwrap_or_default()),
        variables: execution.variables,
        units: UNITS,
        approvals: Vec::new(),
        decisions: Vec::new(),
        runs: Vec::new(),
        records: Vec::new(),
        id,
        is_open,
        gantt,
    };
    fill(&mut page);
    page
}

fn revision_card(revision: &domain::SourceRevision) -> RevisionCard {
    RevisionCard {
        action: revision.action_name.to_string(),
        artifacts: revision.artifacts().collect::<Vec<_>>().join(", "),
        id: revision.revision_id.clone(),
        summary: revision.revision_summary.clone().unwrap_or_default(),
    }
}

/// What is asked by a run that waits for a person.
fn approval(run: &ActionRun) -> Option<ApprovalCard> {
    let token = run.approval_token.clone().filter(|_| run.status == ActionStatus::InProgress)?;
    let setting = |key: &str| run.resolved_configuration.get(key);
    Some(ApprovalCard {
        stage: run.stage.clone(),
        action: run.action.clone(),
        path: stage_page(&run.pipeline, &run.stage),
        token,
        asks: setting("CustomData").cloned().unwrap_or_default(),
        href: setting("ExternalEntityLink").and_then(|url| safe_link(url)),
    })
}

/// A run with its configuration as it was used; values that only whoever does the work may see are masked.
fn run_card(mut run: ActionRun, region: &str) -> RunCard {
    let links = [
        ("what it works on", state::entity_url(&run, region)),
        ("its work at the provider", run.execution_url()),
        ("revision", run.revision_url()),
    ];
    let links = links.into_iter().filter_map(|(name, url)| Some((name, safe_link(&url?)?)));
    mask(&mut run.resolved_configuration, &run.secret_keys);
    let is_approval = run.action_type.category == "Approval";
    RunCard {
        links: links.collect(),
        stage: run.stage.to_string(),
        action: run.action.to_string(),
        status: Badge::from(run.status),
        started: run.started_at.into(),
        summary: run.summary.unwrap_or_default(),
        error: run.error_message.unwrap_or_default(),
        external_id: run.external_id.filter(|_| !is_approval).unwrap_or_default(),
        configuration: run.resolved_configuration,
        outputs: run.output_variables,
    }
}

fn record(pipeline: &PipelineName, record: Record) -> RecordCard {
    RecordCard {
        detail: Prose::new(pipeline, &record.detail),
        at: record.at.into(),
        what: words(&record.event),
        stage: record.stage.map(|stage| stage.to_string()).unwrap_or_default(),
    }
}
