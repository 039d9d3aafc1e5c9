//! The way into a stage: who takes it, who waits, who is let in when it frees.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::{
    AlarmSnapshot, Changes, Execution, ExecutionId, ExecutionMode, ExecutionStatus, ExecutionType, GateAnswer,
    GateEvent, Occupant, PhaseEvent, PipelineView, Rejected, StageIndex, StageName, StageOutcome, StageState,
    StageStatus, Tokens, Waiting, action_groups, actions_at_once,
    changes::Board,
    gate, remaining_groups,
    revoked::{
        Door, Look, awaits_other_content, demand_unrevoked, let_other_content_pass, turn_away, went_in_as_other_content,
    },
};

/// Begins a new execution. In QUEUED mode it gets its place before the first stage, or goes into it, at once: its state
/// machine may ask later than that of a release which was started after it, and must not fall behind it (spec 2.3).
///
/// # Errors
/// [`Rejected::Illegal`] for an execution that has begun before.
pub fn begin(view: &PipelineView, execution: Execution, now: Timestamp) -> Result<Changes, Rejected> {
    let none = BTreeMap::new();
    let mut board = Board::new(view, &none, now);
    let (id, is_queued) = (execution.id, execution.mode == ExecutionMode::Queued && !execution.phase.is_ended());
    board.changes.executions.insert(id, execution);
    let Some(first) = view.index.stages.first().filter(|_| is_queued) else {
        return Ok(board.into_changes());
    };
    if is_free(&mut board, &first.name, true) && board.waiting(&first.name).is_empty() {
        // The first stage cannot be rolled back, so there are no alarms to remember.
        take(&mut board, id, first, &BTreeMap::new())?;
    } else {
        board.execution(id)?.advance(&PhaseEvent::Wait(first.name.clone()), now)?;
        line_up(&mut board, id, first, Tokens::none());
    }
    Ok(board.into_changes())
}

/// Lets the first waiting execution into `name` if the stage is free and open. Returns the changes of that alone.
///
/// # Errors
/// [`Rejected::Stale`] where `executions` lacks the waiting one (read again).
pub fn admit_waiting(
    view: &PipelineView,
    executions: &BTreeMap<ExecutionId, Execution>,
    name: &StageName,
    alarms: &BTreeMap<String, AlarmSnapshot>,
    now: Timestamp,
) -> Result<Changes, Rejected> {
    let mut board = Board::new(view, executions, now);
    admit_into(&mut board, name, alarms)?;
    Ok(board.into_changes())
}

/// Lets those in who wait before `name`, as far as the stage is free and open: one that takes its lock, and all PARALLEL
/// executions; those of them that were not read, or do not fit a transaction, are left to another decision. Whom an
/// update has outdated is turned away (spec 1.7).
pub(crate) fn admit_into(
    board: &mut Board<'_>,
    name: &StageName,
    alarms: &BTreeMap<String, AlarmSnapshot>,
) -> Result<(), Rejected> {
    let view = board.view;
    let mut queue = board.waiting(name);
    if view.index.stage(name).is_none() {
        // An update took the stage away. Whoever goes by the version that it began in still goes through it.
        queue.retain(|waiting| board.mode_of(waiting.execution).is_none_or(|mode| mode == ExecutionMode::Parallel));
        if queue.first().is_some_and(|first| !board.was_read(first.execution)) {
            return Ok(());
        }
    }
    let mut door = Door::default();
    for (place, waiting) in queue.iter().enumerate() {
        // Whether one that was not read takes the lock, nobody knows: behind one that did not, it may be like that.
        let mode = board.mode_of(waiting.execution);
        let locks = mode.map_or(!door.is_side_by_side(), |mode| mode != ExecutionMode::Parallel);
        if !is_free(board, name, locks) && !awaits_other_content(board, name) {
            continue;
        }
        if place > 0 && !board.was_read(waiting.execution) {
            door.leave_to_later(board, waiting);
            break;
        }
        let writes = match door.look(board, waiting, locks)? {
            Look::TurnedAway => continue,
            Look::Later => break,
            Look::Passes(writes) => writes,
        };
        let_other_content_pass(board, waiting.execution, name)?;
        if !is_free(board, name, locks) {
            continue;
        }
        let outdated = gate::is_outdated(&view.index, board.execution(waiting.execution)?);
        // Where the next in the queue was not read, nobody would be left to free the stage for it: this one goes in
        // and is turned away at its next gate.
        if outdated && queue.get(place + 1).is_none_or(|next| board.was_read(next.execution)) {
            gate::cancel(board, waiting.execution, alarms)?;
            continue;
        }
        let Some((_, index)) = view.index_of(board.execution(waiting.execution)?).stage(name) else { continue };
        board.changes.waiting_removed.push(waiting.clone());
        take(board, waiting.execution, index, alarms)?;
        let execution = board.execution(waiting.execution)?.clone();
        let answer = run_stage(&execution, board.stage(name), index);
        board.answer_all(&waiting.token, &answer);
        if !locks {
            door.let_in_beside(writes);
        }
    }
    Ok(())
}

/// Enters `index`, or waits before it.
pub(crate) fn enter(board: &mut Board<'_>, event: &GateEvent<'_>, index: &StageIndex) -> Result<(), Rejected> {
    let id = event.execution;
    // The mode it started in tells what it waits for: an update may have switched the pipeline's.
    let mode = board.execution(id)?.mode;
    // A rollback was given its stage before its state machine asked.
    let reserved = board.stage(&index.name).is_occupied_by(id);
    if !reserved && turn_away(board, id, &index.name)? {
        let status = board.execution(id)?.phase.status();
        board.answer(event.token, GateAnswer::End { status });
        return Ok(());
    }
    if awaits_other_content(board, &index.name) && went_in_as_other_content(board, event, index)? {
        return Ok(());
    }
    let (own, others): (Vec<Waiting>, Vec<Waiting>) =
        board.waiting(&index.name).into_iter().partition(|waiting| waiting.execution == id);
    let ahead = others.iter().any(|other| own.iter().all(|own| other.arrival < own.arrival));
    let free =
        is_free(board, &index.name, mode != ExecutionMode::Parallel) && (mode != ExecutionMode::Queued || !ahead);
    if reserved || free {
        take(board, id, index, event.alarms)?;
        let execution = board.execution(id)?.clone();
        let answer = run_stage(&execution, board.stage(&index.name), index);
        // Who asks now may be late, with a token that is over: the one that is waited for is among those it asked with before.
        own.iter().for_each(|waiting| board.answer_all(&waiting.token, &answer));
        board.answer(event.token, answer);
        board.changes.waiting_removed.extend(own);
        return Ok(());
    }
    wait(board, event, index, &others, own)
}

/// Whether somebody who `locks` the stage or not can go into it.
fn is_free(board: &mut Board<'_>, name: &StageName, locks: bool) -> bool {
    let stage = board.stage(name);
    stage.inbound.enabled && (!locks || stage.occupant.is_none())
}

/// Puts the execution into the stage.
fn take(
    board: &mut Board<'_>,
    id: ExecutionId,
    index: &StageIndex,
    alarms: &BTreeMap<String, AlarmSnapshot>,
) -> Result<(), Rejected> {
    demand_unrevoked(board, id, &index.name)?;
    let now = board.now;
    let execution = board.execution(id)?;
    let locks = execution.mode != ExecutionMode::Parallel;
    execution.advance(&PhaseEvent::Enter(index.name.clone()), now)?;
    execution.stages.insert(
        index.name.clone(),
        StageOutcome {
            status: StageStatus::InProgress,
            fingerprint: index.fingerprint.clone(),
            entered_at: now,
            left_at: None,
            revoked_by: None,
            attempt: 1,
            retried_at: None,
            auto_retried: false,
            kept: Vec::new(),
        },
    );
    let execution_type = execution.execution_type;
    // What is observed of it later is what the pipeline says by then.
    let current = board.view.index.stage(&index.name).map(|(_, current)| current);
    let watched = || current.map(|current| watched_alarms(current, alarms)).unwrap_or_default();
    let stage = board.stage(&index.name);
    if locks && !stage.is_occupied_by(id) {
        stage.give_to(Occupant { execution: id, execution_type, entered_at: now, alarms: watched() });
    } else if let Some(inside) = stage.occupant.as_mut().filter(|inside| inside.execution == id) {
        // A rollback was given the stage before anybody asked how the alarms stand.
        inside.alarms = watched();
    }
    board.record(id, "StageEntered", Some(&index.name), String::new());
    let gated = index.has_entry_condition || index.has_success_condition;
    if execution_type == ExecutionType::Rollback && gated {
        let why = "A rollback passes the stage's entry and success conditions: they would block the cure.";
        board.record(id, "ConditionsSkipped", Some(&index.name), why.to_owned());
    }
    Ok(())
}

/// Those of `alarms` that the stage's watches observe.
pub(crate) fn watched_alarms(
    index: &StageIndex,
    alarms: &BTreeMap<String, AlarmSnapshot>,
) -> BTreeMap<String, AlarmSnapshot> {
    let watched = |alarm: &str| index.watches.iter().any(|rule| rule.alarm == alarm);
    alarms.iter().filter(|(name, _)| watched(name)).map(|(name, alarm)| (name.clone(), alarm.clone())).collect()
}

/// Makes the execution wait. In SUPERSEDED mode there is one place, and the newest gets it (spec 2.3).
fn wait(
    board: &mut Board<'_>,
    event: &GateEvent<'_>,
    index: &StageIndex,
    others: &[Waiting],
    own: Vec<Waiting>,
) -> Result<(), Rejected> {
    let (now, id) = (board.now, event.execution);
    let execution = board.execution(id)?;
    if own.is_empty() {
        execution.advance(&PhaseEvent::Wait(index.name.clone()), now)?;
    }
    if execution.mode == ExecutionMode::Superseded {
        // PARALLEL executions that a switch of the mode left behind have places of their own.
        let rivals: Vec<&Waiting> =
            others.iter().filter(|other| board.mode_of(other.execution) != Some(ExecutionMode::Parallel)).collect();
        for older in rivals.iter().filter(|other| other.execution < id) {
            supersede(board, older.execution, id, &index.name)?;
        }
        // Requests come in any order: an older release that is late must not take the place of a newer one.
        if let Some(newer) = rivals.iter().find(|other| other.execution > id) {
            supersede(board, id, newer.execution, &index.name)?;
            board.answer(event.token, GateAnswer::End { status: ExecutionStatus::Superseded });
            return Ok(());
        }
    }
    match own.into_iter().next() {
        // It asks again and keeps its place.
        Some(own) => {
            let mut again = own.clone();
            if again.token.add(event.token) {
                board.changes.waiting_added.push(again);
                board.changes.waiting_removed.push(own);
            }
        }
        None => line_up(board, id, index, Tokens::of(event.token)),
    }
    Ok(())
}

/// Gives the execution the last place before `index`.
fn line_up(board: &mut Board<'_>, id: ExecutionId, index: &StageIndex, token: Tokens) {
    let since = board.now;
    let stage = board.stage(&index.name);
    stage.arrivals += 1;
    let waiting = Waiting {
        pipeline: stage.pipeline.clone(),
        stage: index.name.clone(),
        arrival: stage.arrivals,
        execution: id,
        token,
        since,
    };
    let why = why_wait(stage);
    board.changes.waiting_added.push(waiting);
    board.record(id, "Waiting", Some(&index.name), why);
}

fn why_wait(stage: &StageState) -> String {
    match (&stage.inbound.enabled, &stage.occupant) {
        (false, _) => "the inbound transition is disabled".to_owned(),
        (true, Some(inside)) => format!("execution {} is inside", inside.execution),
        (true, None) => "others are before it".to_owned(),
    }
}

fn supersede(board: &mut Board<'_>, id: ExecutionId, by: ExecutionId, name: &StageName) -> Result<(), Rejected> {
    let now = board.now;
    let execution = board.execution(id)?;
    execution.advance(&PhaseEvent::Supersede, now)?;
    execution.status_summary = Some(format!("Execution {by} took its place before stage {name}."));
    board.dismiss(id, ExecutionStatus::Superseded);
    board.record(id, "ExecutionSuperseded", Some(name), format!("Superseded by {by}."));
    Ok(())
}

/// Whether the entry condition of `index` is looked at before the actions that `execution` has left to run there: a
/// rollback skips gates that would block the cure, and whoever is past the entry condition is not asked again.
pub(crate) fn asks_to_enter(execution: &Execution, index: &StageIndex) -> bool {
    let is_past = execution.stages.get(&index.name).is_some_and(|outcome| !outcome.kept.is_empty());
    execution.execution_type == ExecutionType::Standard && index.has_entry_condition && !is_past
}

/// The answer that lets `execution` run the stage it is in: all of it, or what a retry left to run.
pub(crate) fn run_stage(execution: &Execution, stage: &StageState, index: &StageIndex) -> GateAnswer {
    let standard = execution.execution_type == ExecutionType::Standard;
    let outcome = execution.stages.get(&index.name);
    let kept = outcome.map_or(&[][..], |outcome| &outcome.kept);
    GateAnswer::RunStage {
        stage: index.name.clone(),
        generation: execution.generation_in(stage),
        attempt: outcome.map_or(1, |outcome| outcome.attempt),
        groups: remaining_groups(action_groups(index), kept),
        actions_at_once: actions_at_once(execution.mode),
        entry_condition: asks_to_enter(execution, index),
        success_condition: standard && index.has_success_condition,
    }
}
