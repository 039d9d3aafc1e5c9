//! What going back changes.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    Choice, Execution, ExecutionId, ExecutionType, Hold, Occupant, OpenHold, Phase, PhaseEvent, Rejected, RollbackOf,
    RollbackOutcome, StageName, StageStatus, Success, Trigger, TriggerType,
    changes::{Board, Effect},
    revoked::{revocable, revoked_by},
    watched_as,
};

/// Why a rollback is started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "cause", rename_all_fields = "camelCase")]
pub enum RollbackCause {
    /// A person asked for it.
    Manual {
        /// The caller's ARN.
        by: String,
        /// The person's reason; RollbackStage takes none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
        /// Whether the person asked for it although the stage was changed since.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        forced: bool,
    },
    /// The stage failed.
    StageFailed {
        /// What its success condition found, where an alarm or metrics failed it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        gate: Option<FailedGate>,
    },
    /// An alarm turned red inside the watch.
    Alarm {
        /// The alarm.
        alarm_arn: String,
        /// The judge's reason.
        reason: String,
    },
}

/// What made a success condition fail its stage. An alarm led to the rollback, and is told so; but the stage's own check
/// caught it, so nothing is held or revoked as after the alarm of a watch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FailedGate {
    /// The alarm, or what stands for the metrics.
    pub alarm_arn: String,
    /// What the rule found.
    pub reason: String,
}

impl RollbackCause {
    /// A person's wish without more words.
    pub fn by(caller: &str) -> Self {
        Self::Manual { by: caller.to_owned(), reason: None, forced: false }
    }

    /// Who chooses the target of such a rollback.
    pub fn choice(&self) -> Choice {
        match self {
            Self::Manual { forced: true, .. } => Choice::Forced,
            Self::Manual { .. } => Choice::Manual,
            Self::StageFailed { .. } | Self::Alarm { .. } => Choice::Automatic,
        }
    }

    /// Whether the stage caught the bad revision itself.
    pub fn is_stage_failure(&self) -> bool {
        matches!(self, Self::StageFailed { .. })
    }
}

/// A rollback that was decided.
#[derive(Debug, Clone)]
pub struct RollbackOrder<'a> {
    /// Id of the new execution.
    pub id: ExecutionId,
    /// The stage.
    pub stage: &'a StageName,
    /// What to bring back.
    pub target: &'a Execution,
    /// What is undone: the failed execution, or the one that is live.
    pub undone: Option<ExecutionId>,
    /// Why.
    pub cause: RollbackCause,
    /// Successes in the stage newer than the target, newest first: all, or as many as a transaction has room for.
    pub newer: &'a [Success],
    /// When the target succeeded in the stage, where more have since than `newer` holds.
    pub more_since: Option<Timestamp>,
}

/// Starts a rollback: it takes the stage before everyone who waits, fences whoever is inside, revokes what it goes
/// back from and, unless the stage's own checks caught the bad revision, holds the inbound transition.
///
/// # Errors
/// [`Rejected::AlreadyDone`] where a rollback is inside the stage already; [`Rejected::Stale`] where an execution that
/// is needed was not read.
pub(crate) fn begin(board: &mut Board<'_>, order: &RollbackOrder<'_>) -> Result<(), Rejected> {
    let fenced = fence(board, order)?;
    revoke(board, order)?;
    let lifts_for_other_content = revoke_content(board, order, fenced)?;
    if order.cause.choice() == Choice::Automatic {
        // Nobody but a person goes back to what is revoked, be it only meanwhile.
        board.changes.unrevoked.extend(revocable(order.target));
    }
    // Where an update comes between, the target is another question: of another stage, or of a mode without rollback.
    board.changes.of_pipeline = Some(Box::new(board.view.index.clone()));
    let now = board.now;
    let execution = rollback_execution(board, order);
    let stage = board.stage(order.stage);
    stage.give_to(Occupant {
        execution: order.id,
        execution_type: ExecutionType::Rollback,
        entered_at: now,
        alarms: BTreeMap::new(),
    });
    // A failed stage caught the bad revision itself and would again; after an alarm or a person's verdict nothing
    // else keeps the queue from bringing it back.
    if !order.cause.is_stage_failure() {
        let hold = Hold {
            rollback: Some(order.id),
            target: Some(order.target.id),
            suspect: None,
            cause: order.cause.clone(),
            lifts_for_other_content,
            since: now,
        };
        stage.inbound = stage.inbound.held(hold, hold_reason(order), now);
        let held = OpenHold::on(stage);
        board.changes.holds.extend(held);
    }
    let detail = format!("Brings back execution {}.", order.target.id);
    board.record(order.id, "RollbackStarted", Some(order.stage), detail);
    if let Some(undone) = order.undone {
        let detail = format!("Rollback {} brings back execution {}.", order.id, order.target.id);
        board.record(undone, "RolledBack", Some(order.stage), detail);
    }
    let outcome = RollbackOutcome::Started { rollback: order.id, target: order.target.id };
    board.decide(order.stage, &order.cause, order.undone.unwrap_or(order.id), order.undone, outcome);
    board.changes.effects.push(Effect::StartMachine {
        pipeline: execution.pipeline.clone(),
        execution: order.id,
        name: execution.machine_name(),
    });
    board.changes.executions.insert(order.id, execution);
    if !board.changes.successes.is_empty() {
        board.keep_artifacts(order.stage, order.id);
    }
    // Last: the cure does not wait until the fenced execution's actions have been told.
    fenced.map_or(Ok(()), |fenced| board.abandon_runs(fenced))
}

/// Starts a rollback of a stage that no failure is being settled for: by a person or an alarm.
///
/// # Errors
/// As the private `begin`: `AlreadyDone` where a rollback is inside already, `Stale` where the caller must read again.
pub fn start_rollback(
    view: &crate::PipelineView,
    executions: &BTreeMap<ExecutionId, Execution>,
    order: &RollbackOrder<'_>,
    now: jiff::Timestamp,
) -> Result<crate::Changes, Rejected> {
    let mut board = Board::new(view, executions, now);
    begin(&mut board, order)?;
    Ok(board.into_changes())
}

/// Takes the stage from whoever is inside.
fn fence(board: &mut Board<'_>, order: &RollbackOrder<'_>) -> Result<Option<ExecutionId>, Rejected> {
    let now = board.now;
    let Some(inside) = board.stage(order.stage).occupant.clone() else {
        return Ok(None);
    };
    if inside.execution_type == ExecutionType::Rollback {
        return Err(Rejected::AlreadyDone);
    }
    let execution = board.execution(inside.execution)?;
    execution.advance(&PhaseEvent::Cancel, now)?;
    execution.status_summary = Some(format!("Rollback {} took stage {}.", order.id, order.stage));
    if let Some(outcome) = execution.stages.get_mut(order.stage) {
        outcome.status = StageStatus::Cancelled;
        outcome.left_at = Some(now);
    }
    board.record(inside.execution, "Fenced", Some(order.stage), format!("Rollback {} took the stage.", order.id));
    Ok(Some(inside.execution))
}

fn revoke(board: &mut Board<'_>, order: &RollbackOrder<'_>) -> Result<(), Rejected> {
    for success in order.newer.iter().filter(|success| success.revoked_by.is_none()) {
        board.changes.successes.push(Success { revoked_by: Some(order.id), ..success.clone() });
        let execution = board.execution(success.execution)?;
        if let Some(outcome) = execution.stages.get_mut(order.stage) {
            outcome.revoked_by = Some(order.id);
        }
    }
    // What there is no room for is taken back by the newest's word.
    if let (Some(since), Some(newest)) = (order.more_since, order.newer.first()) {
        let since = newest.revoked_after.map_or(since, |known| known.min(since));
        let marked = match board.changes.successes.iter_mut().find(|success| success.execution == newest.execution) {
            Some(marked) => marked,
            None => board.changes.successes.push_mut(newest.clone()),
        };
        marked.revoked_after = Some(since);
    }
    Ok(())
}

/// Revokes what the undone execution brought, for all pipelines: that of what was live, or of who is driven out where
/// what was live stays. Whether other content may pass the hold by itself, since this is recognised.
fn revoke_content(
    board: &mut Board<'_>,
    order: &RollbackOrder<'_>,
    fenced: Option<ExecutionId>,
) -> Result<bool, Rejected> {
    let pipeline = board.view.index.name.clone();
    let undone = order.undone.or(fenced).filter(|undone| board.was_read(*undone));
    let undone = undone.map(|undone| board.execution(undone).cloned()).transpose()?;
    let revoked = revoked_by(&pipeline, order, undone.as_ref(), board.now);
    let index = board.view.index.stage(order.stage).map(|(_, index)| index);
    let is_policy = index.is_some_and(|index| index.watches.iter().any(|rule| rule.hold_until_other));
    let lifts = is_policy && revoked.is_some();
    board.changes.revoked.extend(revoked);
    Ok(lifts)
}

fn rollback_execution(board: &Board<'_>, order: &RollbackOrder<'_>) -> Execution {
    let index = &board.view.index;
    Execution {
        id: order.id,
        pipeline: index.name.clone(),
        pipeline_version: index.pipeline_version,
        execution_type: ExecutionType::Rollback,
        mode: index.mode,
        trigger: trigger(order),
        started_at: board.now,
        updated_at: board.now,
        phase: Phase::Starting,
        status_summary: None,
        attempt: 1,
        stop: None,
        variables: order.target.variables.clone(),
        pins: BTreeMap::new(),
        revisions: order.target.revisions.clone(),
        contents: order.target.contents.clone(),
        earlier_contents: order.target.earlier_contents.clone(),
        revoked: None,
        outputs: order.target.outputs.clone(),
        artifacts: order.target.artifacts.clone(),
        digests: order.target.digests.clone(),
        stages: BTreeMap::new(),
        rollback: Some(RollbackOf {
            stage: order.stage.clone(),
            target: order.target.id,
            undone: order.undone,
            fingerprint: index.stage(order.stage).map(|(_, stage)| stage.fingerprint.clone()),
            cause: order.cause.clone(),
        }),
        slot: None,
        pipeline_created_at: Some(board.view.index.created_at),
        version: 0,
    }
}

/// Longest trigger detail, in characters (spec 2.2).
const TRIGGER_DETAIL_MAX: usize = 1024;

/// CodePipeline's trigger of a rollback (spec 2.2 and 3.4): the caller's ARN, or JSON in a string.
fn trigger(order: &RollbackOrder<'_>) -> Trigger {
    let undone = order.undone.map(|id| id.to_string()).unwrap_or_default();
    let (trigger_type, detail) = match &order.cause {
        RollbackCause::Manual { by, .. } => {
            (TriggerType::ManualRollback, by.chars().take(TRIGGER_DETAIL_MAX).collect())
        }
        RollbackCause::StageFailed { gate: None } => {
            (TriggerType::AutomatedRollback, serde_json::json!({ "FailedPipelineExecutionId": undone }).to_string())
        }
        RollbackCause::StageFailed { gate: Some(FailedGate { alarm_arn, reason }) }
        | RollbackCause::Alarm { alarm_arn, reason } => {
            (TriggerType::AutomatedRollback, alarm_detail(&undone, alarm_arn, reason))
        }
    };
    Trigger { trigger_type, trigger_detail: Some(detail), starter: None }
}

/// Only the reason is shortened, and the ARN only where nothing else helps: the detail stays JSON that can be read.
fn alarm_detail(undone: &str, alarm_arn: &str, reason: &str) -> String {
    let detail = |arn: &str, reason: &str| {
        serde_json::json!({ "FailedPipelineExecutionId": undone, "AlarmArn": arn, "Reason": reason }).to_string()
    };
    let spare = |text: &str| TRIGGER_DETAIL_MAX.saturating_sub(text.chars().count());
    let arn = escaped_prefix(alarm_arn, spare(&detail("", "")));
    let reason = escaped_prefix(reason, spare(&detail(arn, "")));
    detail(arn, reason)
}

/// The longest prefix of `text` that takes at most `room` characters as a JSON string.
pub(crate) fn escaped_prefix(text: &str, mut room: usize) -> &str {
    for (at, c) in text.char_indices() {
        let taken = match c {
            '"' | '\\' | '\n' | '\r' | '\t' | '\u{8}' | '\u{c}' => 2,
            c if c < ' ' => 6,
            _ => 1,
        };
        match room.checked_sub(taken) {
            Some(left) => room = left,
            None => return &text[..at],
        }
    }
    text
}

/// Longest reason of a disabled transition, in characters (spec 2.3).
const HOLD_REASON_MAX: usize = 300;

/// Why the transition is held.
fn hold_reason(order: &RollbackOrder<'_>) -> String {
    transition_text(&format!(
        "Held by rollback {} to execution {} ({}). Enable the transition to let releases in again.",
        order.id,
        order.target.id,
        said(&order.cause)
    ))
}

/// What led to a rollback, in few words.
pub(crate) fn said(cause: &RollbackCause) -> String {
    match cause {
        RollbackCause::Manual { .. } => "manual rollback".to_owned(),
        RollbackCause::StageFailed { .. } => "failed stage".to_owned(),
        RollbackCause::Alarm { alarm_arn, .. } => {
            let (what, name) = watched_as(alarm_arn);
            format!("{} {name}", what.to_lowercase())
        }
    }
}

/// `text` in the characters that CodePipeline allows of a disabled transition's reason: `[a-zA-Z0-9!@ ().*?-]` (spec 2.3).
pub(crate) fn transition_text(text: &str) -> String {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "!@ ().*?-".contains(c);
    text.chars().map(|c| if allowed(c) { c } else { '-' }).take(HOLD_REASON_MAX).collect()
}
