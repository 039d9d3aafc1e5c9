//! One pipeline: its stages and actions as they stand, and everything a person can do in it.

use std::collections::BTreeMap;

use askama::Template;
use domain::{
    ActionIndex, ActionRun, ActionStatus, ConditionKind, ExecutionMode, PipelineName, PipelineView, StageIndex,
    StageStatus, stage_page,
};
use engine::HasStore;

use super::{
    conditions::{ConditionCard, safe_link},
    frame::{Frame, Visit, render},
    parts::{Age, Badge, ExecutionLink, person},
    route::{ROOT, pipeline_path},
    stage::{StageGlance, load_all, named_by},
};
use crate::{failure::Failure, state};

#[derive(Template)]
#[template(path = "pipeline.html")]
struct PipelinePage {
    frame: Frame,
    name: PipelineName,
    path: String,
    mode: ExecutionMode,
    version: u32,
    changed: Age,
    stages: Vec<StageCard>,
}

struct StageCard {
    glance: StageGlance,
    path: String,
    is_first: bool,
    /// Who closed or opened the way in last, and when.
    changed_by: Option<(String, Age)>,
    groups: Vec<ActionGroup>,
    conditions: Vec<ConditionCard>,
    waiting: Vec<(ExecutionLink, Age)>,
    /// The execution that can be retried.
    retry: Option<String>,
    /// The execution that can be stopped.
    stop: Option<String>,
    retries: Option<String>,
}

/// Actions of one run order, which run side by side.
struct ActionGroup {
    order: u16,
    actions: Vec<ActionCard>,
}

struct ActionCard {
    name: String,
    provider: String,
    status: Badge,
    changed: Option<Age>,
    summary: String,
    error: String,
    percent: Option<u8>,
    href: Option<String>,
    log: Option<String>,
    /// The token that answers an approval, while it waits.
    approval: Option<String>,
}

/// The pipeline's page: one request for its state, and one for the revisions that are live.
pub(super) async fn show<W: HasStore>(world: &W, visit: &Visit, name: &PipelineName) -> Result<String, Failure> {
    let view = engine::load_view(world, name).await?;
    let executions = load_all(world, named_by([&view])).await?;
    let region = &world.settings().region;
    let stages: Vec<StageCard> = view
        .index
        .stages
        .iter()
        .enumerate()
        .map(|(at, index)| {
            let glance = StageGlance::of(&view, index, &executions, visit.now);
            StageCard::of(&view, index, at == 0, glance, visit, region)
        })
        .collect();
    let moves = stages.iter().any(|stage| stage.glance.moves);
    render(&PipelinePage {
        frame: visit.frame(name.to_string()).under("Pipelines", ROOT).moving(moves),
        path: pipeline_path(name),
        mode: view.index.mode,
        version: view.index.pipeline_version,
        changed: Age::of(view.index.updated_at, visit.now),
        name: name.clone(),
        stages,
    })
}

impl StageCard {
    fn of(
        view: &PipelineView,
        index: &StageIndex,
        is_first: bool,
        glance: StageGlance,
        visit: &Visit,
        region: &str,
    ) -> Self {
        let stage = view.stage(&index.name);
        let link = |id| ExecutionLink::new(&view.index.name, id);
        let latest = stage.latest.as_ref().filter(|_| view.index.mode != ExecutionMode::Parallel);
        let ended_badly = |status| matches!(status, StageStatus::Failed | StageStatus::Stopped);
        let retry = latest.filter(|latest| ended_badly(latest.status) && stage.occupant.is_none());
        let changed_by = stage.inbound.changed_by.clone().zip(stage.inbound.changed_at);
        let waiting = view.waiting_for(&index.name).map(|one| (link(one.execution), Age::of(one.since, visit.now)));
        Self {
            path: stage_page(&view.index.name, &index.name),
            is_first,
            changed_by: changed_by.map(|(by, at)| (person(&by).to_owned(), Age::of(at, visit.now))),
            groups: groups(view, index, visit, region),
            conditions: ConditionCard::all_of(view, index, visit),
            waiting: waiting.collect(),
            retry: retry.map(|latest| latest.execution.to_string()),
            stop: stage.occupant.as_ref().map(|inside| inside.execution.to_string()),
            retries: latest
                .map(|latest| latest.auto_retries + latest.manual_retries)
                .filter(|count| *count > 0)
                .map(|count| if count == 1 { "retried once".to_owned() } else { format!("retried {count} times") }),
            glance,
        }
    }
}

fn groups(view: &PipelineView, index: &StageIndex, visit: &Visit, region: &str) -> Vec<ActionGroup> {
    let mut groups: BTreeMap<u16, Vec<ActionCard>> = BTreeMap::new();
    for action in &index.actions {
        let run = view.actions.iter().find(|run| run.stage == index.name && run.action == action.name);
        let run = run.filter(|_| view.index.mode != ExecutionMode::Parallel);
        groups.entry(action.run_order).or_default().push(ActionCard::of(action, run, visit, region));
    }
    groups.into_iter().map(|(order, actions)| ActionGroup { order, actions }).collect()
}

impl ActionCard {
    fn of(action: &ActionIndex, run: Option<&ActionRun>, visit: &Visit, region: &str) -> Self {
        let approval = run.filter(|run| run.status == ActionStatus::InProgress);
        Self {
            name: action.name.to_string(),
            provider: format!("{} · {}", action.action_type.category, action.action_type.provider),
            status: match run {
                Some(run) if run.approval_token.is_some() && run.status == ActionStatus::InProgress => {
                    Badge::new("hold", "Waits for approval")
                }
                Some(run) => Badge::from(run.status),
                None => Badge::never(),
            },
            changed: run.map(|run| Age::of(run.updated_at, visit.now)),
            // Who is asked reads what about.
            summary: run
                .and_then(|run| run.summary.clone().or_else(|| run.resolved_configuration.get("CustomData").cloned()))
                .unwrap_or_default(),
            error: run.and_then(|run| run.error_message.clone()).unwrap_or_default(),
            percent: run.and_then(|run| run.percent_complete),
            href: run.and_then(|run| state::entity_url(run, region)).and_then(|url| safe_link(&url)),
            log: run.and_then(ActionRun::execution_url).and_then(|url| safe_link(&url)),
            approval: approval.and_then(|run| run.approval_token.clone()),
        }
    }
}
