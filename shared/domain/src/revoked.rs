//! Revoked content: what a rollback went back from is recognised wherever it comes again, in every pipeline and under
//! every name, and stopped at the gate until a person reinstates it.

mod content;
mod door;
mod hold;

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use content::ContentId;
pub(crate) use door::{Door, Look, turn_away};
pub(crate) use hold::{awaits_other_content, let_other_content_pass, went_in_as_other_content};

use crate::{
    ActionName, Changes, Execution, ExecutionId, ExecutionType, PipelineIndex, PipelineName, Rejected, RollbackCause,
    RollbackDecision, RollbackOrder, RollbackOutcome, SourceRevision, StageName, changes::Board, rollback,
};

/// Content that was rolled back from. There is one row for each; it has no end but that a person reinstates it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RevokedContent {
    /// What is recognised.
    pub content: ContentId,
    /// The pipeline it was rolled back from in.
    pub pipeline: PipelineName,
    /// The stage.
    pub stage: StageName,
    /// The rollback.
    pub rollback: ExecutionId,
    /// The execution that was undone.
    pub undone: ExecutionId,
    /// Why, and by whom.
    pub cause: RollbackCause,
    /// The revisions it is, as the undone execution had them: one, or several of which nobody knows which is bad.
    pub revisions: Vec<SourceRevision>,
    /// Since when.
    pub since: Timestamp,
}

/// Longest reason of a stop, in characters (spec 6.1).
const STOP_REASON_MAX: usize = 200;

impl RevokedContent {
    /// Why the execution goes no further, and what to do, for people.
    pub(crate) fn why(&self, stage: &StageName) -> String {
        let names: Vec<&str> = self.revisions.iter().map(|revision| revision.action_name.as_str()).collect();
        let by = match &self.cause {
            RollbackCause::Manual { by, .. } => format!(" by {by}"),
            RollbackCause::StageFailed { .. } | RollbackCause::Alarm { .. } => String::new(),
        };
        format!(
            "It may not go into stage {stage}: what {} took was rolled back from in stage {} of pipeline {} at {} ({}{by}; \
             rollback {}, undone execution {}). Release a fix, or take the verdict back with ReinstateRevision of {}.",
            names.join(" and "),
            self.stage,
            self.pipeline,
            self.since,
            rollback::said(&self.cause),
            self.rollback,
            self.undone,
            self.content,
        )
    }

    /// The same in as many characters as the reason of a stop may have.
    pub(super) fn why_in_short(&self) -> String {
        let why = format!(
            "Revoked content: rolled back from in {} of {} ({}). ReinstateRevision takes it back.",
            self.stage,
            self.pipeline,
            rollback::said(&self.cause)
        );
        why.chars().take(STOP_REASON_MAX).collect()
    }
}

/// By what an execution may be recognised as revoked: each of its contents, and all of them together. A rollback has them
/// too, though it is never stopped for them: it is a cure.
pub fn contents_of(execution: &Execution) -> Vec<ContentId> {
    let mut contents = with_all(execution.contents.values());
    if !execution.earlier_contents.is_empty() {
        let earlier = |(action, content)| execution.earlier_contents.get(action).unwrap_or(content);
        contents.extend(with_all(execution.contents.iter().map(earlier)));
    }
    contents
}

/// What a rollback may revoke at any moment of what `execution` carries. By its earlier contents only those of executions
/// are revoked that an earlier version has begun: these are looked up, and cost no condition in every transaction.
pub(crate) fn revocable(execution: &Execution) -> Vec<ContentId> {
    with_all(execution.contents.values())
}

/// Each of `contents`, and as the last one all of them together where they are several.
fn with_all<'a>(contents: impl Iterator<Item = &'a ContentId>) -> Vec<ContentId> {
    let mut contents: Vec<ContentId> = contents.cloned().collect();
    contents.sort();
    contents.dedup();
    if contents.len() > 1 {
        contents.push(ContentId::of_all(&contents));
    }
    contents
}

/// Whether both took the same at `action`, as far as anything they are recognised by tells.
fn took_the_same(one: &Execution, other: &Execution, action: &ActionName) -> bool {
    let known = |of: &Execution| [of.contents.get(action).cloned(), of.earlier_contents.get(action).cloned()];
    let others = known(other);
    known(one).into_iter().flatten().any(|content| others.contains(&Some(content)))
}

/// What `undone` is to blame for beside `target`: its sources that the target has otherwise, and what they are
/// recognised by. None where nothing differs, or where it is not known what the undone execution carried.
///
/// | differs | revoked |
/// | --- | --- |
/// | one source | that content, whatever it comes with |
/// | several | all content of the execution together: nobody knows which is bad, and a fix of one must pass |
/// | none | nothing: the same content was good before |
pub fn culprit(undone: &Execution, target: &Execution) -> Option<(ContentId, Vec<ActionName>)> {
    let differs = |(action, _): &(&ActionName, &ContentId)| !took_the_same(undone, target, action);
    let differing: Vec<(&ActionName, &ContentId)> = undone.contents.iter().filter(differs).collect();
    let names = || differing.iter().map(|(action, _)| (*action).clone()).collect();
    match differing.as_slice() {
        [] => None,
        [(_, content)] => Some(((*content).clone(), names())),
        _ => Some((revocable(undone).pop()?, names())),
    }
}

/// What a rollback revokes. A person's verdict and an alarm's count everywhere. A stage that failed does not: a
/// deployment can fail for reasons of its own, and must not ban the release for all pipelines; the stage's own checks
/// would catch it again.
pub(crate) fn revoked_by(
    pipeline: &PipelineName,
    order: &RollbackOrder<'_>,
    undone: Option<&Execution>,
    now: Timestamp,
) -> Option<RevokedContent> {
    let undone = undone.filter(|_| !order.cause.is_stage_failure())?;
    let (content, actions) = culprit(undone, order.target)?;
    let revisions = undone.revisions.iter().filter(|revision| actions.contains(&revision.action_name));
    Some(RevokedContent {
        content,
        pipeline: pipeline.clone(),
        stage: order.stage.clone(),
        rollback: order.id,
        undone: undone.id,
        cause: order.cause.clone(),
        revisions: revisions.cloned().collect(),
        since: now,
    })
}

/// Why `execution` may not go into stage `name`: it carries revoked content, and the stage is not the first, which only
/// takes revisions.
pub(crate) fn barred<'a>(
    index: &PipelineIndex,
    execution: &'a Execution,
    name: &StageName,
) -> Option<&'a RevokedContent> {
    let is_first = index.stages.first().is_some_and(|first| first.name == *name);
    execution.revoked.as_deref().filter(|_| !is_first && execution.execution_type == ExecutionType::Standard)
}

/// Notes that `execution` goes into stage `name` because its content is not revoked: it must still not be when that is
/// stored.
pub(crate) fn demand_unrevoked(board: &mut Board<'_>, id: ExecutionId, name: &StageName) -> Result<(), Rejected> {
    let view = board.view;
    let index = view.index_of(board.execution(id)?);
    let is_first = index.stages.first().is_some_and(|first| first.name == *name);
    if !is_first {
        let execution = board.execution(id)?;
        // A rollback is a cure.
        let is_cure = execution.execution_type == ExecutionType::Rollback;
        let contents = if is_cure { Vec::new() } else { revocable(execution) };
        board.changes.unrevoked.extend(contents);
    }
    Ok(())
}

/// Takes the verdict on `revoked` back because a person says so. The decision is kept where the verdict was: with the
/// pipeline, if that `is_there`.
pub fn reinstate(revoked: &RevokedContent, is_there: bool, by: &str, reason: &str, now: Timestamp) -> Changes {
    let mut changes = Changes { reinstated: vec![revoked.clone()], ..Changes::default() };
    if is_there {
        changes.decisions.push(RollbackDecision {
            pipeline: revoked.pipeline.clone(),
            stage: revoked.stage.clone(),
            at: now,
            execution: revoked.undone,
            cause: RollbackCause::by(by),
            undone: None,
            outcome: RollbackOutcome::Reinstated {
                rollback: revoked.rollback,
                content: revoked.content.clone(),
                comment: reason.to_owned(),
            },
            evidence: None,
            series: Vec::new(),
        });
    }
    changes
}

/// What is revoked of what `execution` carries, among `found`.
pub fn find_revoked<'a>(
    execution: &Execution,
    found: &'a BTreeMap<ContentId, RevokedContent>,
) -> Option<&'a RevokedContent> {
    contents_of(execution).iter().find_map(|content| found.get(content))
}
