//! How good the decisions of shadow mode were.

use std::collections::BTreeSet;

use domain::{ExecutionId, ShadowVerdict, failed_after, score_shadow};
use engine::{
    HasStore,
    ports::{DecisionList, PageRequest, Store},
};
use protocol::wire::shadow::{GetShadowScorecardInput, GetShadowScorecardOutput, ShadowScore};

use crate::failure::Failure;

/// Releases that are counted unless the caller says how many.
const RELEASES: u32 = 50;
/// Decisions of the stage that are looked through.
const DECISIONS_MAX: u32 = 1000;

/// GetShadowScorecard.
pub(crate) async fn scorecard<W: HasStore>(
    world: &W,
    input: GetShadowScorecardInput,
) -> Result<GetShadowScorecardOutput, Failure> {
    let GetShadowScorecardInput { pipeline_name: pipeline, stage_name: stage, releases } = input;
    let view = engine::load_view(world, &pipeline).await?;
    let index = engine::find_stage(&view, &stage)?;
    let newest = |limit: u32| PageRequest { limit, after: None };
    let limit = releases.unwrap_or(RELEASES);
    let successes = world.store().list_successes(&pipeline, &stage, newest(limit)).await?.items;
    let list = DecisionList::Stage(pipeline.clone(), stage.clone());
    let decisions = world.store().list_decisions(&list, newest(DECISIONS_MAX)).await?.items;
    // One request for most of them: executions are listed by when they started, which is nearly when they succeeded.
    let executions = world.store().list_executions(&pipeline, newest(limit)).await?.items;
    let failed: BTreeSet<ExecutionId> =
        executions.iter().filter(|one| failed_after(one, &stage)).map(|one| one.id).collect();
    let scores = score_shadow(&successes, &decisions, &failed, world.now());
    let count = |verdict: Option<ShadowVerdict>| {
        let of = scores.iter().filter(|score| verdict.is_none_or(|verdict| score.verdict == verdict));
        u32::try_from(of.count()).unwrap_or(u32::MAX)
    };
    let missed = count(Some(ShadowVerdict::Missed));
    Ok(GetShadowScorecardOutput {
        shadow: index.watches.iter().any(|rule| rule.shadow),
        releases: u32::try_from(successes.len()).unwrap_or(u32::MAX),
        would_have_rolled_back: count(None) - missed,
        confirmed: count(Some(ShadowVerdict::Confirmed)),
        unconfirmed: count(Some(ShadowVerdict::Unconfirmed)),
        open: count(Some(ShadowVerdict::Open)),
        missed,
        since: successes.last().map(|oldest| oldest.at.into()),
        entries: scores.into_iter().map(entry).collect(),
    })
}

fn entry(score: domain::ShadowScore) -> ShadowScore {
    ShadowScore {
        pipeline_execution_id: score.execution,
        verdict: score.verdict,
        decision_ids: score.decisions.iter().map(ToString::to_string).collect(),
        confirmation: score.confirmation,
    }
}
