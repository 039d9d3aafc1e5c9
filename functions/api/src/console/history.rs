//! Executions of a pipeline, newest first.

use askama::Template;
use domain::{Execution, ExecutionStatus, ExecutionType, PipelineName, RollbackCause};
use engine::{
    HasStore,
    ports::{PageRequest, Store},
};
use protocol::{Operation, PageToken};
use serde_json::json;

use super::{
    forms::query,
    frame::{Frame, Visit, render},
    parts::{Badge, ExecutionLink, Prose, When, person, revision, span, trigger_words},
    route::{ROOT, pipeline_path},
    stage::cause_words,
};
use crate::failure::Failure;

/// Executions on a page.
const ON_PAGE: usize = 25;
/// Executions read at once while a filter passes few of them, and reads for one page.
const READ_AT_ONCE: u32 = 50;
const READS_MAX: usize = 6;

#[derive(Template)]
#[template(path = "history.html")]
struct HistoryPage {
    frame: Frame,
    path: String,
    rows: Vec<Row>,
    status: &'static str,
    kind: &'static str,
    statuses: Vec<&'static str>,
    next: Option<String>,
    is_first: bool,
    /// Whether the reads ended before the page was full.
    looked_on: bool,
}

struct Row {
    link: ExecutionLink,
    status: Badge,
    is_rollback: bool,
    revision: String,
    trigger: Trigger,
    started: When,
    took: String,
    summary: Prose,
}

/// What started an execution, as CodePipeline's own history shows it.
pub(super) struct Trigger {
    pub(super) words: String,
    /// Who, or why.
    pub(super) detail: String,
    /// The execution that a rollback undoes.
    pub(super) undone: Option<ExecutionLink>,
    pub(super) target: Option<ExecutionLink>,
}

impl Trigger {
    pub(super) fn of(execution: &Execution) -> Self {
        let link = |id| ExecutionLink::new(&execution.pipeline, id);
        let words = trigger_words(execution.trigger.trigger_type);
        let Some(rollback) = &execution.rollback else {
            let detail = execution.trigger.trigger_detail.as_deref().unwrap_or_default();
            // Callers are worth naming; JSON of events is for machines.
            let by = match (detail.starts_with("arn:"), person(detail).strip_prefix("rule/")) {
                (true, Some(rule)) => format!("by rule {rule}"),
                (true, None) => format!("by {}", person(detail)),
                (false, _) => String::new(),
            };
            return Self { words, detail: by, undone: None, target: None };
        };
        let detail = match &rollback.cause {
            RollbackCause::Manual { .. } => cause_words(&rollback.cause),
            cause => format!("because {}", cause_words(cause)),
        };
        Self { words, detail, undone: rollback.undone.map(link), target: Some(link(rollback.target)) }
    }
}

/// A page of the history. Filters look at what is read; a page that found few says that there is more.
pub(super) async fn show<W: HasStore>(world: &W, visit: &Visit, name: &PipelineName) -> Result<String, Failure> {
    let (status, kind) = (status_named(visit.query.text("status")), kind_named(visit.query.text("type")));
    let status_text = status.map(ExecutionStatus::as_str).unwrap_or_default();
    let kind_text = kind.map(ExecutionType::as_str).unwrap_or_default();
    let asked = json!({ "pipelineName": name, "filter": { "status": status_text, "type": kind_text } });
    let token = PageToken::of(Operation::ListPipelineExecutions, &asked);
    let mut after = visit.query.given("after").map(|given| token.redeem(given)).transpose()?;
    let is_first = after.is_none();
    let filtered = status.is_some() || kind.is_some();
    let mut found = Vec::new();
    for _ in 0..if filtered { READS_MAX } else { 1 } {
        let limit = if filtered { READ_AT_ONCE } else { ON_PAGE as u32 };
        let page = world.store().list_executions(name, PageRequest { limit, after }).await?;
        after = page.next;
        let wanted = |one: &Execution| {
            status.is_none_or(|status| one.phase.status() == status)
                && kind.is_none_or(|kind| one.execution_type == kind)
        };
        found.extend(page.items.into_iter().filter(wanted));
        if after.is_none() || found.len() >= ON_PAGE {
            break;
        }
    }
    if found.is_empty() && is_first {
        // Only then is it worth a request to tell "nothing yet" from "no such pipeline".
        engine::load_view(world, name).await?;
    }
    let next = after.map(|after| token.issue(&after)).transpose()?;
    let path = format!("{}/history", pipeline_path(name));
    let rows: Vec<Row> = found.iter().map(|execution| row(execution, visit)).collect();
    render(&HistoryPage {
        frame: visit
            .frame("History")
            .under("Pipelines", ROOT)
            .under(name.to_string(), pipeline_path(name))
            .moving(found.iter().any(|one| !one.phase.is_ended())),
        looked_on: filtered && rows.len() < ON_PAGE && next.is_some(),
        next: next
            .map(|next| format!("{path}{}", query(&[("status", status_text), ("type", kind_text), ("after", &next)]))),
        statuses: STATUSES.iter().map(|status| status.as_str()).collect(),
        status: status_text,
        kind: kind_text,
        path,
        rows,
        is_first,
    })
}

const STATUSES: [ExecutionStatus; 7] = [
    ExecutionStatus::InProgress,
    ExecutionStatus::Succeeded,
    ExecutionStatus::Failed,
    ExecutionStatus::Stopping,
    ExecutionStatus::Stopped,
    ExecutionStatus::Superseded,
    ExecutionStatus::Cancelled,
];

fn status_named(name: &str) -> Option<ExecutionStatus> {
    STATUSES.into_iter().find(|status| status.as_str() == name)
}

fn kind_named(name: &str) -> Option<ExecutionType> {
    [ExecutionType::Standard, ExecutionType::Rollback].into_iter().find(|kind| kind.as_str() == name)
}

fn row(execution: &Execution, visit: &Visit) -> Row {
    let ended = execution.phase.is_ended();
    let until = if ended { execution.updated_at } else { visit.now };
    Row {
        link: ExecutionLink::new(&execution.pipeline, execution.id),
        status: Badge::from(execution.phase.status()),
        is_rollback: execution.execution_type == ExecutionType::Rollback,
        revision: revision(execution),
        trigger: Trigger::of(execution),
        started: execution.started_at.into(),
        took: span(until.duration_since(execution.started_at)),
        summary: Prose::new(&execution.pipeline, execution.status_summary.as_deref().unwrap_or_default()),
    }
}
