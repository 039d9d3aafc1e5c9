//! Which events a change causes. A pure function of the rows before and after, so that no use case can forget one.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::{
    ActionChange, AnnouncedCause, ArtifactChange, Event, EventArtifact, EventState, ExecutionResult, ExecutionTrigger,
    LostArtifact, PipelineChange, RollbackChange, StageChange, StateChange,
};
use crate::{
    ActionRun, ActionStatus, ArtifactLocation, ArtifactState, Changes, Execution, ExecutionId, ExecutionStatus,
    ExecutionType, KeptArtifact, KeptChange, Phase, RollbackCause, RollbackDecision, RollbackOutcome, StageName,
    StageOutcome, StageStatus, Trigger, TriggerType, derived_uuid,
};

/// An execution is to be stored, and how it was before is not among the changes: nobody could say what happened to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("execution {0} changes, and how it was is not known")]
pub struct Unread(pub ExecutionId);

/// The events that `changes` cause when they are stored, in the order in which things happen.
///
/// Every state on the way is told once: what is given up at once is `STOPPING`, then `STOPPED` (spec 6.1); what could
/// not even begin is `STARTED`, then `FAILED`. A skipped stage has no event of its end, as in CodePipeline.
///
/// # Errors
/// [`Unread`] where [`Changes::before`] lacks an execution that is not new.
pub fn events_of(changes: &Changes, region: &str, now: Timestamp) -> Result<Vec<Event>, Unread> {
    let mut events = Vec::new();
    for execution in changes.executions.values() {
        let before = changes.before.get(&execution.id);
        if before.is_none() && execution.version > 0 {
            return Err(Unread(execution.id));
        }
        tell_execution(before, execution, now, &mut events);
    }
    let abandoned = changes.abandoned.iter().map(|(run, _)| run);
    let begun = changes.begun.iter().map(|(run, _)| run);
    for run in begun.chain(&changes.runs).chain(abandoned) {
        let states = run_states(run);
        events.extend(states.into_iter().map(|state| action_event(run, state, region, now)));
    }
    events.extend(changes.decisions.iter().filter_map(rollback_event));
    events.extend(changes.kept.iter().flat_map(|change| artifact_events(change, now)));
    Ok(events)
}

/// Stages come between the execution's beginning and its end, in the order in which they were entered.
fn tell_execution(before: Option<&Execution>, after: &Execution, now: Timestamp, events: &mut Vec<Event>) {
    let states = execution_states(before, after);
    let ends = |state: &EventState| !matches!(state, EventState::Started | EventState::Resumed | EventState::Stopping);
    events.extend(states.iter().filter(|state| !ends(state)).map(|state| pipeline_event(after, *state, now)));
    let mut stages: Vec<(&StageName, &StageOutcome)> = after.stages.iter().collect();
    stages.sort_by_key(|(_, outcome)| outcome.entered_at);
    for (name, outcome) in stages {
        let states = stage_states(before, after, name, outcome);
        events.extend(states.into_iter().map(|state| stage_event(after, name, outcome, state, now)));
    }
    events.extend(states.iter().filter(|state| ends(state)).map(|state| pipeline_event(after, *state, now)));
}

fn execution_states(before: Option<&Execution>, after: &Execution) -> Vec<EventState> {
    use ExecutionStatus as S;
    let (was, is) = (before.map(|before| before.phase.status()), after.phase.status());
    if was == Some(is) {
        return Vec::new();
    }
    let mut states = Vec::new();
    match (was, is) {
        (None, _) => states.push(EventState::Started),
        (Some(_), S::InProgress) => states.push(EventState::Resumed),
        _ => {}
    }
    match is {
        S::InProgress => {}
        S::Stopping => states.push(EventState::Stopping),
        S::Stopped if was == Some(S::Stopping) => states.push(EventState::Stopped),
        S::Stopped => states.extend([EventState::Stopping, EventState::Stopped]),
        S::Succeeded => states.push(EventState::Succeeded),
        S::Superseded => states.push(EventState::Superseded),
        S::Failed => states.push(EventState::Failed),
        S::Cancelled => states.push(EventState::Canceled),
    }
    states
}

fn stage_states(
    before: Option<&Execution>,
    after: &Execution,
    name: &StageName,
    outcome: &StageOutcome,
) -> Vec<EventState> {
    use StageStatus as S;
    let old = before.and_then(|before| before.stages.get(name));
    let was = before.zip(old).map(|(before, old)| shown(before, name, old));
    let is = match shown(after, name, outcome) {
        // All its work was done when the stop took effect; clients see it stopped.
        S::Succeeded | S::Skipped if was == Some(S::Stopping) => S::Stopped,
        is => is,
    };
    let retried = old.is_some_and(|old| outcome.attempt > old.attempt);
    if was == Some(is) && !retried {
        return Vec::new();
    }
    let mut states = Vec::new();
    match was {
        _ if retried => states.push(EventState::Resumed),
        None => states.push(EventState::Started),
        Some(was) if is == S::InProgress && !matches!(was, S::InProgress | S::Stopping) => {
            states.push(EventState::Started);
        }
        Some(_) => {}
    }
    match is {
        S::InProgress | S::Skipped => {}
        S::Stopping => states.push(EventState::Stopping),
        S::Stopped if was == Some(S::Stopping) => states.push(EventState::Stopped),
        S::Stopped => states.extend([EventState::Stopping, EventState::Stopped]),
        S::Succeeded => states.push(EventState::Succeeded),
        S::Failed => states.push(EventState::Failed),
        S::Cancelled => states.push(EventState::Canceled),
    }
    states
}

/// A stage's status as clients see it: a stop shows before it takes effect.
fn shown(execution: &Execution, name: &StageName, outcome: &StageOutcome) -> StageStatus {
    let stopping = matches!(&execution.phase, Phase::Stopping { stage } if stage == name);
    if stopping && outcome.status == StageStatus::InProgress { StageStatus::Stopping } else { outcome.status }
}

/// A run that has ended is never stored again, so its row alone tells what happened.
fn run_states(run: &ActionRun) -> Vec<EventState> {
    let began = (run.version == 0).then_some(EventState::Started);
    let ended = match run.status {
        ActionStatus::InProgress => None,
        ActionStatus::Succeeded => Some(EventState::Succeeded),
        ActionStatus::Failed => Some(EventState::Failed),
        ActionStatus::Abandoned => Some(EventState::Abandoned),
    };
    began.into_iter().chain(ended).collect()
}

fn pipeline_event(execution: &Execution, state: EventState, time: Timestamp) -> Event {
    let tells_trigger = state == EventState::Started || execution.trigger.trigger_type == TriggerType::WebhookV2;
    let stopped = matches!(state, EventState::Stopping | EventState::Stopped);
    let rollback = execution.rollback.as_ref();
    Event {
        time,
        change: StateChange::Pipeline(PipelineChange {
            pipeline: execution.pipeline.clone(),
            execution_id: execution.id,
            start_time: execution.started_at,
            execution_trigger: tells_trigger.then(|| Box::new(told_trigger(&execution.trigger))),
            stop_execution_comments: execution.stop.as_ref().filter(|_| stopped).and_then(|stop| stop.reason.clone()),
            state,
            version: execution.pipeline_version,
            pipeline_execution_attempt: execution.attempt,
            event_id: event_id(&[&execution.id.to_string(), &execution.version.to_string()], state),
            execution_type: rollback.map(|_| ExecutionType::Rollback),
            rollback_stage: rollback.map(|rollback| rollback.stage.clone()),
            rollback_target_execution_id: rollback.map(|rollback| rollback.target),
            rollback_undone_execution_id: rollback.and_then(|rollback| rollback.undone),
            rollback_cause: rollback.map(|rollback| match rollback.cause {
                RollbackCause::Manual { .. } => AnnouncedCause::Manual,
                RollbackCause::StageFailed { gate: None } => AnnouncedCause::StageFailed,
                RollbackCause::StageFailed { gate: Some(_) } | RollbackCause::Alarm { .. } => AnnouncedCause::Alarm,
            }),
        }),
    }
}

/// A Git trigger's detail has the members by which CodePipeline's events tell it (spec 8).
fn told_trigger(trigger: &Trigger) -> ExecutionTrigger {
    let is_git = trigger.trigger_type == TriggerType::WebhookV2;
    let detail = trigger.trigger_detail.as_deref().filter(|_| is_git);
    let members: Option<BTreeMap<String, String>> = detail.and_then(|detail| serde_json::from_str(detail).ok());
    let member = |name: &str| members.as_ref().and_then(|members| members.get(name)).cloned();
    ExecutionTrigger {
        trigger_type: trigger.trigger_type,
        trigger_detail: trigger.trigger_detail.clone(),
        provider_type: member("provider-type"),
        full_repository_name: member("full-repository-name"),
        branch_name: member("branch-name"),
        tag_name: member("tag-name"),
        pull_request_id: member("pull-request-id"),
        commit_id: member("commit-id"),
        author_display_name: member("author-display-name"),
    }
}

fn stage_event(
    execution: &Execution,
    name: &StageName,
    outcome: &StageOutcome,
    state: EventState,
    time: Timestamp,
) -> Event {
    let what = [&execution.id.to_string(), &execution.version.to_string(), name.as_str()];
    Event {
        time,
        change: StateChange::Stage(StageChange {
            pipeline: execution.pipeline.clone(),
            execution_id: execution.id,
            start_time: outcome.entered_at,
            stage_last_retry_attempt_time: outcome.retried_at,
            stage: name.clone(),
            state,
            version: execution.pipeline_version,
            pipeline_execution_attempt: execution.attempt,
            event_id: event_id(&what, state),
        }),
    }
}

fn action_event(run: &ActionRun, state: EventState, region: &str, time: Timestamp) -> Event {
    let ended = state != EventState::Started;
    Event {
        time,
        change: StateChange::Action(Box::new(ActionChange {
            pipeline: run.pipeline.clone(),
            execution_id: run.execution,
            start_time: run.started_at,
            stage: run.stage.clone(),
            action: run.action.clone(),
            action_execution_id: run.id,
            input_artifacts: artifacts(&run.inputs),
            output_artifacts: artifacts(&run.outputs),
            execution_result: ended.then(|| result(run)).filter(|result| *result != ExecutionResult::default()),
            state,
            region: run.region.as_deref().unwrap_or(region).to_owned(),
            action_type: run.action_type.clone(),
            version: run.pipeline_version,
            pipeline_execution_attempt: run.execution_attempt,
            event_id: event_id(&[&run.id.to_string()], state),
        })),
    }
}

/// None where the rollback's own events tell, and of what only the scorecard of shadow mode needs.
fn rollback_event(decision: &RollbackDecision) -> Option<Event> {
    let (alarm_arn, said) = match &decision.cause {
        RollbackCause::Alarm { alarm_arn, reason } => (Some(alarm_arn.clone()), Some(reason.clone())),
        RollbackCause::StageFailed { gate: Some(gate) } => (Some(gate.alarm_arn.clone()), Some(gate.reason.clone())),
        RollbackCause::Manual { .. } | RollbackCause::StageFailed { gate: None } => (None, None),
    };
    let (state, rollback, reason) = match &decision.outcome {
        RollbackOutcome::Started { .. } | RollbackOutcome::ShadowEnded { .. } => return None,
        RollbackOutcome::Declined { reason } => (EventState::Declined, None, Some(reason.clone())),
        RollbackOutcome::Asked { reason } => (EventState::Asked, None, Some(reason.clone())),
        RollbackOutcome::Shadowed { .. } => (EventState::Shadowed, None, said),
        RollbackOutcome::Helped { rollback } => (EventState::Helped, Some(*rollback), said),
        RollbackOutcome::DidNotHelp { rollback } => (EventState::DidNotHelp, Some(*rollback), said),
        RollbackOutcome::Reinstated { rollback, comment, .. } => {
            (EventState::Reinstated, Some(*rollback), Some(comment.clone()))
        }
        RollbackOutcome::HoldReleased { rollback, comment } => (EventState::Released, *rollback, Some(comment.clone())),
    };
    Some(Event {
        time: decision.at,
        change: StateChange::Rollback(Box::new(RollbackChange {
            pipeline: decision.pipeline.clone(),
            stage: decision.stage.clone(),
            execution_id: decision.execution,
            state,
            reason,
            alarm_arn,
            rollback_execution_id: rollback,
            decision_id: decision.id(),
            event_id: event_id(&[&decision.id().to_string()], state),
        })),
    })
}

/// One for each artifact that is found otherwise than before.
fn artifact_events(change: &KeptChange, time: Timestamp) -> Vec<Event> {
    let row = &change.after;
    let event = |(execution, artifact): (ExecutionId, &KeptArtifact)| {
        let state = match artifact.state {
            ArtifactState::Present => EventState::Restored,
            ArtifactState::Gone => EventState::Gone,
            ArtifactState::Altered => EventState::Altered,
            ArtifactState::Unreadable => EventState::Unreadable,
        };
        let what = [row.pipeline.as_str(), row.stage.as_str(), &execution.to_string(), &artifact.name];
        let version = row.version.to_string();
        let what = [what.as_slice(), &[version.as_str()]].concat();
        Event {
            time,
            change: StateChange::Artifact(Box::new(ArtifactChange {
                pipeline: row.pipeline.clone(),
                stage: row.stage.clone(),
                execution_id: execution,
                artifact: LostArtifact {
                    name: artifact.name.clone(),
                    s3location: artifact.at.clone(),
                    function: artifact.function.as_ref().map(|of| of.function.clone()),
                },
                state,
                reason: loss(change, artifact),
                ready_targets: u32::try_from(row.ready()).unwrap_or(u32::MAX),
                event_id: event_id(&what, state),
            })),
        }
    };
    change.turned().into_iter().map(event).collect()
}

fn loss(change: &KeptChange, artifact: &KeptArtifact) -> String {
    let (stage, ready) = (&change.after.stage, change.after.ready());
    let name = match &artifact.function {
        Some(of) => format!("Function {}, which action {} invokes,", of.function, artifact.name),
        None => format!("Artifact {}", artifact.name),
    };
    let what = match artifact.state {
        ArtifactState::Present => format!("{name} is there again as it was."),
        ArtifactState::Gone => format!("{name} is gone."),
        ArtifactState::Altered => format!("{name} was altered: its checksum is another."),
        ArtifactState::Unreadable => format!("{name} cannot be read; a preview of a rollback to it says why."),
    };
    let left = match ready {
        0 => format!("Stage {stage} has nothing to go back to: restore it, or release again."),
        1 => format!("Stage {stage} can go back to one execution."),
        _ => format!("Stage {stage} can go back to {ready} executions."),
    };
    format!("{what} {left}")
}

fn artifacts(at: &BTreeMap<String, ArtifactLocation>) -> Vec<EventArtifact> {
    let place = |at: &ArtifactLocation| ArtifactLocation { region: None, ..at.clone() };
    at.iter().map(|(name, at)| EventArtifact { name: name.clone(), s3location: place(at) }).collect()
}

fn result(run: &ActionRun) -> ExecutionResult {
    let is_approval = run.action_type.category == "Approval";
    ExecutionResult {
        external_execution_url: run.execution_url(),
        external_execution_summary: run.error_message.clone().or_else(|| run.summary.clone()),
        external_execution_id: run.external_id.clone().filter(|_| !is_approval),
        error_code: run.error_code.clone(),
    }
}

/// Follows from what happened to which version of which row: a decision that is stored once tells each event once.
fn event_id(what: &[&str], state: EventState) -> uuid::Uuid {
    let mut parts = vec!["event"];
    parts.extend(what);
    parts.push(state.as_str());
    derived_uuid(&parts)
}
