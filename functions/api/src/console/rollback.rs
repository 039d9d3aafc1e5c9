//! Going back in a stage: the candidates, what a rollback would do, and the button.

use askama::Template;
use domain::{
    ActionPreview, ArtifactState, ExecutionId, PipelineName, RollbackCause, StageName, StageStatus, stage_page,
};
use engine::{Candidate, HasObjects, HasStore, RollbackPreview, TargetPreview, ports::PageRequest};
use jiff::SignedDuration;
use protocol::{ErrorCode, Operation, PageToken};
use serde_json::json;

use super::{
    forms::query,
    frame::{Frame, Visit, render},
    parts::{Age, Badge, ExecutionLink, Prose, revision, span},
    route::{ROOT, pipeline_path},
};
use crate::failure::Failure;

/// Candidates on a page: each may cost a request to S3, and people look at the newest.
const ON_PAGE: u32 = 15;

#[derive(Template)]
#[template(path = "rollback.html")]
struct RollbackPage {
    frame: Frame,
    path: String,
    stage: StageName,
    candidates: Vec<CandidateRow>,
    next: Option<String>,
    chosen: Option<Preview>,
    reason: String,
    force: bool,
}

struct CandidateRow {
    link: ExecutionLink,
    id: ExecutionId,
    choose: String,
    is_chosen: bool,
    is_live: bool,
    status: Badge,
    revision: String,
    succeeded: Option<Age>,
    reasons: Vec<Prose>,
    revoked: bool,
}

struct Preview {
    target: ExecutionId,
    link: ExecutionLink,
    revision: String,
    revoked: bool,
    reasons: Vec<Prose>,
    is_eligible: bool,
    /// Whether force would take the reasons away.
    can_force: bool,
    undone: Option<ExecutionLink>,
    revokes: Vec<ExecutionLink>,
    holds: bool,
    fences: Option<ExecutionLink>,
    waiting: usize,
    expected: Option<String>,
    actions: Vec<ActionRow>,
    artifacts: Vec<(String, Badge)>,
}

struct ActionRow {
    name: String,
    provider: String,
    order: u16,
    error: String,
    /// Key, what is live, what would be.
    differences: Vec<(String, String, String)>,
    is_compared: bool,
}

/// The page: the candidates, and the preview of the one that was chosen.
pub(super) async fn show<W: HasStore + HasObjects>(
    world: &W,
    visit: &Visit,
    pipeline: &PipelineName,
    stage: &StageName,
) -> Result<String, Failure> {
    let path = format!("{}/rollback", stage_page(pipeline, stage));
    let asked = json!({ "pipelineName": pipeline, "stageName": stage });
    let token = PageToken::of(Operation::ListRollbackCandidates, &asked);
    let after = visit.query.given("after").map(|given| token.redeem(given)).transpose()?;
    let page = engine::list_candidates(world, pipeline, stage, PageRequest { limit: ON_PAGE, after }).await?;
    let live = engine::load_view(world, pipeline).await?.stage(stage).live.map(|live| live.revision_of);
    // A form that was refused named its target in a field, a link in the query.
    let given = if visit.is_refused() { Some(visit.typed("target")) } else { visit.query.given("target") };
    let target = given.map(named).transpose()?;
    let force = if visit.is_refused() { visit.typed("force") == "yes" } else { visit.query.is_on("force") };
    let chosen = match target {
        Some(target) => Some(Box::pin(preview(world, visit, pipeline, stage, target, force)).await?),
        None => None,
    };
    let next = page.next.map(|next| token.issue(&next)).transpose()?;
    let row = |one: Candidate| CandidateRow {
        link: ExecutionLink::new(pipeline, one.execution.id),
        id: one.execution.id,
        choose: format!("{path}{}#preview", query(&[("target", &one.execution.id.to_string())])),
        is_chosen: target == Some(one.execution.id),
        is_live: live == Some(one.execution.id),
        status: Badge::from(one.execution.phase.status()),
        revision: revision(&one.execution),
        succeeded: one
            .execution
            .stages
            .get(stage)
            .filter(|outcome| outcome.status == StageStatus::Succeeded)
            .and_then(|outcome| outcome.left_at)
            .map(|at| Age::of(at, visit.now)),
        reasons: one.reasons.iter().map(|reason| Prose::new(pipeline, &reason.to_string())).collect(),
        revoked: one.revoked_by.is_some(),
    };
    render(&RollbackPage {
        frame: visit
            .frame(format!("Go back in {stage}"))
            .under("Pipelines", ROOT)
            .under(pipeline.to_string(), pipeline_path(pipeline)),
        candidates: page.items.into_iter().map(row).collect(),
        next: next.map(|next| format!("{path}{}", query(&[("after", &next)]))),
        reason: visit.typed("reason").to_owned(),
        stage: stage.clone(),
        chosen,
        path,
        force,
    })
}

fn named(id: &str) -> Result<ExecutionId, Failure> {
    id.parse().map_err(|_| {
        let why = "The target is no id of an execution. Choose one of the candidates.";
        Failure::refused(ErrorCode::ValidationException, why)
    })
}

async fn preview<W: HasStore + HasObjects>(
    world: &W,
    visit: &Visit,
    pipeline: &PipelineName,
    stage: &StageName,
    target: ExecutionId,
    force: bool,
) -> Result<Preview, Failure> {
    let cause = |forced| RollbackCause::Manual { by: visit.viewer.caller.clone(), reason: None, forced };
    let look = async |forced| engine::preview_rollback(world, pipeline, stage, Some(target), cause(forced)).await;
    let found = Box::pin(look(force)).await?;
    // Whether it is worth offering: only where it changes the answer.
    let can_force = force || (!found.reasons.is_empty() && Box::pin(look(true)).await?.reasons.is_empty());
    Ok(Preview::of(found, pipeline, target, can_force))
}

impl Preview {
    fn of(found: RollbackPreview, pipeline: &PipelineName, id: ExecutionId, can_force: bool) -> Self {
        let link = |id| ExecutionLink::new(pipeline, id);
        let RollbackPreview { reasons, target, plan, waiting, expected } = found;
        let undone = target.as_ref().and_then(|target| target.undone).map(link);
        let (revision, revoked, actions, artifacts) = target.map(parts_of).unwrap_or_default();
        Self {
            is_eligible: reasons.is_empty(),
            link: link(id),
            target: id,
            revokes: plan.iter().flat_map(|plan| &plan.revoked).map(|success| link(success.execution)).collect(),
            holds: plan.as_ref().is_some_and(|plan| plan.holds),
            fences: plan.and_then(|plan| plan.fenced).map(|inside| link(inside.execution)),
            waiting: waiting.len(),
            expected: expected.map(|time| {
                let runs = if time.runs == 1 { "one run".to_owned() } else { format!("{} runs", time.runs) };
                format!("about {}, as the median of {runs}", span(SignedDuration::from_secs(time.seconds.into())))
            }),
            undone,
            revision,
            revoked,
            actions,
            artifacts,
            reasons: reasons.iter().map(|reason| Prose::new(pipeline, reason)).collect(),
            can_force,
        }
    }
}

type Parts = (String, bool, Vec<ActionRow>, Vec<(String, Badge)>);

fn parts_of(target: TargetPreview) -> Parts {
    let artifacts = target.artifacts.iter().map(|artifact| {
        let badge = match artifact.state() {
            ArtifactState::Present => Badge::new("good", "There"),
            ArtifactState::Gone => Badge::new("bad", "Gone"),
            ArtifactState::Altered => Badge::new("bad", "Altered"),
            ArtifactState::Unreadable => Badge::new("bad", "Cannot be read"),
        };
        (artifact.name.clone(), badge)
    });
    let artifacts = artifacts.collect();
    let actions = target.actions.into_iter().map(action_row).collect();
    (revision(&target.execution), target.is_revoked, actions, artifacts)
}

fn action_row(action: ActionPreview) -> ActionRow {
    let differences = action.differences.into_iter().map(|one| {
        let shown = |value: Option<String>| value.unwrap_or_else(|| "—".to_owned());
        (one.key, shown(one.live), shown(one.planned))
    });
    ActionRow {
        name: action.name.to_string(),
        provider: action.action_type.provider,
        order: action.run_order,
        differences: differences.collect(),
        is_compared: action.compared_with.is_some(),
        error: action.resolved.err().unwrap_or_default(),
    }
}
