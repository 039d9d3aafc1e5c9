//! A stage failed: retry, go back, or leave it.

use contract::{ConditionKind, FailureInput, FailureOutput};
use domain::{
    ActionRun, ActionStatus, ConditionRun, ConditionStatus, Evidence, Execution, ExecutionMode, FailureDecision,
    PipelineView, Rejected, RuleRun, StageFailure, StageIndex, decide_failure, done_by_last_attempt, roll_back,
    run_again, settle_failure,
};

use crate::{
    EngineError, HasAlarms, HasMachines, HasObjects, HasStore,
    actions::expire_run,
    alarms, commit,
    commit::{reread, until_stored},
    condition::{failure_conditions, load_run},
    gate::load_waiting,
    loading::load_both,
    retry::latest_runs,
    rollback::choose_target,
};

/// Settles a failed stage run as one decision, and tells the stage's state machine what to do.
///
/// # Errors
/// [`EngineError::Contended`] and [`EngineError::Unavailable`] are worth a retry.
pub async fn evaluate_failure<W: HasStore + HasMachines + HasAlarms + HasObjects>(
    world: &W,
    input: &FailureInput,
) -> Result<FailureOutput, EngineError> {
    until_stored(async || {
        let both = load_both(world, &input.pipeline, input.execution_id).await?;
        let Some((mut view, execution)) = both else {
            return Ok(FailureOutput::End);
        };
        let Some((_, index)) = view.index_of(&execution).stage(&input.stage) else {
            return Ok(FailureOutput::End);
        };
        if !view.lets_act(&execution, &input.stage, input.generation) {
            // A rollback or a stop took the stage, or this failure has been settled: either way the run is over.
            return Ok(FailureOutput::End);
        }
        let Some(outcome) = execution.stages.get(&input.stage) else {
            return Ok(FailureOutput::End);
        };
        if outcome.attempt > input.attempt {
            // The retry was stored, but its answer was lost: it is given again.
            return Ok(run_again(&execution, index));
        }
        let runs = runs_of(world, &view, &execution, input).await?;
        if end_open(world, &runs).await? {
            return Err(EngineError::Contended);
        }
        let (runs, earlier): (Vec<ActionRun>, Vec<ActionRun>) =
            runs.into_iter().partition(|run| run.is_of_attempt(input.attempt));
        let gate = failed_condition(world, &view, &execution, input).await?;
        let succeeded = done_by_last_attempt(outcome, &runs, None);
        let found =
            Found { gate: gate.as_ref(), approval_rejected: approval_rejected(&runs), ran_before: !earlier.is_empty() };
        let Some(decided) = decide(world, input, index, &view, &execution, found).await? else {
            return Ok(FailureOutput::Evaluate);
        };
        let Decided { decision, condition, rules } = decided;
        let chosen = match decision {
            FailureDecision::Rollback => choose_target(world, &view, index, execution.id).await?,
            _ => Err(String::new()),
        };
        let watched = view.index.stage(&input.stage).map(|(_, index)| index);
        let alarms = alarms::snapshot(world, watched.into_iter()).await;
        let mut executions = load_waiting(world, &mut view, std::iter::once(&input.stage)).await?;
        executions.insert(execution.id, execution);
        let failure = StageFailure {
            execution: input.execution_id,
            stage: &input.stage,
            generation: input.generation,
            summary: summary(&runs, input, gate.as_ref()),
            succeeded: &succeeded,
            decision,
            target: chosen.as_ref().map_err(Clone::clone),
            gate: gate.as_ref().filter(|run| run.kind == ConditionKind::OnSuccess).and_then(ConditionRun::failed_gate),
            newer: &[],
            rollback_id: world.new_execution_id(),
            alarms: &alarms,
        };
        let (answer, mut changes) = match settle_failure(&view, &executions, &failure, world.now()) {
            // Checked above on the same view: the run held the stage, so a row it needs was missing.
            Err(Rejected::Stale) => return Err(EngineError::Contended),
            other => other.map_err(reread)?,
        };
        let evidence = gate.iter().flat_map(|run| &run.rules).find_map(|rule| rule.evidence.as_deref());
        for decision in &mut changes.decisions {
            decision.evidence = evidence.cloned();
            decision.series = evidence.map(Evidence::series).unwrap_or_default();
        }
        changes.conditions.extend(condition);
        changes.rules.extend(rules);
        commit(world, &input.pipeline, changes).await?;
        Ok(answer)
    })
    .await
}

/// What was found of a failure.
struct Found<'a> {
    /// The evaluation that failed the stage, if it was one.
    gate: Option<&'a ConditionRun>,
    /// Whether nothing but people's rejections failed.
    approval_rejected: bool,
    /// Whether actions have run before the automatic retry that failed.
    ran_before: bool,
}

/// What to do about a failure, and the evaluation of the `onFailure` condition that it rests on.
struct Decided {
    decision: FailureDecision,
    condition: Option<ConditionRun>,
    rules: Vec<RuleRun>,
}

impl From<FailureDecision> for Decided {
    fn from(decision: FailureDecision) -> Self {
        Self { decision, condition: None, rules: Vec::new() }
    }
}

/// What to do about the failure: what the condition that failed says, else what `onFailure` asks for. `None` where that
/// has to be evaluated first.
async fn decide<W: HasStore + HasObjects + HasAlarms>(
    world: &W,
    input: &FailureInput,
    index: &StageIndex,
    view: &PipelineView,
    execution: &Execution,
    found: Found<'_>,
) -> Result<Option<Decided>, EngineError> {
    let at_once = |decision: FailureDecision| Ok(Some(decision.into()));
    if !view.lets_begin(execution) {
        return at_once(FailureDecision::Stop("Nothing more is begun in this execution.".to_owned()));
    }
    // An entry condition that refuses the automatic retry leaves the failure as it was, which that has not mended.
    if input.condition == Some(ConditionKind::BeforeEntry) && !found.ran_before {
        let what = if input.attempt == 1 { "Nothing was deployed." } else { "Nothing more was deployed." };
        return at_once(FailureDecision::Stop(what.to_owned()));
    }
    if execution.rollback.is_some() {
        return at_once(decide_failure(None, execution, &index.name, false));
    }
    if input.condition == Some(ConditionKind::OnSuccess) {
        // Every action succeeded: nothing speaks against what they deployed but a condition that was found to be so.
        if found.gate.is_none_or(|run| run.status != ConditionStatus::Failed) {
            let why = "What could not be found out speaks against nothing that was deployed.";
            return at_once(FailureDecision::Stop(why.to_owned()));
        }
        // It rolls back whatever `onFailure` says (spec 4.1).
        if index.success_result.as_deref() == Some("ROLLBACK") {
            return at_once(roll_back(execution));
        }
    }
    let conditions = failure_conditions(world, input, view, index, execution).await?;
    if conditions.has_to_wait {
        return Ok(None);
    }
    let asked = conditions.asked.transpose();
    let decision = match asked {
        Err(not_met) => FailureDecision::Stop(not_met),
        Ok(asked) => decide_failure(asked.as_ref(), execution, &index.name, found.approval_rejected),
    };
    Ok(Some(Decided { decision, condition: conditions.run, rules: conditions.rules }))
}

/// The evaluation that failed the stage, if it was one. That of an earlier attempt says nothing of this one.
async fn failed_condition<W: HasStore>(
    world: &W,
    view: &PipelineView,
    execution: &Execution,
    input: &FailureInput,
) -> Result<Option<ConditionRun>, EngineError> {
    let Some(kind) = input.condition else { return Ok(None) };
    let run = load_run(world, view, execution, &input.stage, kind).await?;
    let is_of_input = |run: &ConditionRun| {
        run.execution == input.execution_id && run.generation == input.generation && run.attempt == input.attempt
    };
    Ok(run.filter(is_of_input))
}

/// The latest runs of the stage's actions in this run of it.
async fn runs_of<W: HasStore>(
    world: &W,
    view: &PipelineView,
    execution: &Execution,
    input: &FailureInput,
) -> Result<Vec<ActionRun>, EngineError> {
    // Those of PARALLEL executions are not beside the stage.
    let mut runs = match execution.mode {
        ExecutionMode::Parallel => latest_runs(world, &input.pipeline, &input.stage, input.execution_id).await?,
        _ => view.actions.clone(),
    };
    runs.retain(|run| {
        run.stage == input.stage && run.execution == input.execution_id && run.generation == input.generation
    });
    Ok(runs)
}

/// Ends runs that are still open although their stage has failed: whoever was to write down that nobody finished them in
/// time could not, again and again. Whether there were any.
async fn end_open<W: HasStore + HasMachines>(world: &W, runs: &[ActionRun]) -> Result<bool, EngineError> {
    let open: Vec<&ActionRun> = runs.iter().filter(|run| run.status == ActionStatus::InProgress).collect();
    for run in &open {
        expire_run(world, run).await?;
    }
    Ok(!open.is_empty())
}

fn approval_rejected(runs: &[ActionRun]) -> bool {
    let rejected = |run: &&ActionRun| {
        run.action_type.category == "Approval" && run.error_code.as_deref() == Some(crate::approvals::REJECTED)
    };
    let failed = runs.iter().filter(|run| run.status == ActionStatus::Failed);
    let (rejections, failures): (Vec<&ActionRun>, Vec<&ActionRun>) = failed.partition(rejected);
    !rejections.is_empty() && failures.is_empty()
}

fn summary(runs: &[ActionRun], input: &FailureInput, condition: Option<&ConditionRun>) -> String {
    if let Some(kind) = input.condition {
        let what = format!("The {} condition of stage {}", kind.as_str(), input.stage);
        let Some(run) = condition.filter(|run| !run.is_open()) else {
            return format!("{what} could not be evaluated.");
        };
        let why = run.summary.as_deref().unwrap_or("no reason is known").trim_end_matches('.');
        return format!("{what} failed: {why}.");
    }
    let failed = runs.iter().filter(|run| run.status == ActionStatus::Failed);
    let texts: Vec<String> = failed
        .map(|run| {
            let reason = run.error_message.as_deref().unwrap_or("no reason given");
            format!("Action {} failed: {}.", run.action, reason.trim_end_matches('.'))
        })
        .collect();
    if texts.is_empty() { format!("Stage {} failed.", input.stage) } else { texts.join(" ") }
}
