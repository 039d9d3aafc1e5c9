//! Conditions on the way into a stage and out of it (spec 4): looked at by the stage's state machine, again while they
//! wait, and overridden by people.

mod failure;
mod functions;
mod machines;
mod open;
mod overriding;
mod rules;

use contract::{ConditionInput, ConditionOutput};
use domain::{
    Changes, ConditionKind, ConditionOrder, ConditionRun, ConditionStatus, Effect, Execution, ExecutionMode, Job, LOST,
    PipelineDeclaration, PipelineView, RuleDeclaration, RuleRun, StageName, given_up,
};
use jiff::Timestamp;

pub(crate) use failure::failure_conditions;
pub(crate) use functions::{answer_for_rule, continue_for_rule, is_asked_for, succeed_for_rule, tell_condition};
pub(crate) use machines::{give_up_for_rule, report_for_rule};
pub use open::look_at_conditions;
pub(crate) use open::{look_at_open_of, look_at_outdated, look_at_waiting};
pub use overriding::override_condition;

use self::{
    functions::{ask, effect_of, jobs_over},
    machines::stops,
    open::renewed_rules,
    rules::{Examined, examine, rule_runs},
};
use crate::{
    EngineError, HasAlarms, HasFunctions, HasMachines, HasObjects, HasRoles, HasStore, commit,
    commit::{perform_on_machines, until_stored},
    definitions::load_declaration,
    loading::load_both,
    ports::Store,
};

/// Evaluates a condition for the stage's state machine: all its rules must succeed. What is decided is stored once; a
/// wait is stored once, with the token that ends it. Functions and providers are asked once somebody waits for their
/// answer.
///
/// # Errors
/// [`EngineError::Contended`] and [`EngineError::Unavailable`]: evaluate again later.
pub async fn evaluate_condition<W>(world: &W, input: &ConditionInput) -> Result<ConditionOutput, EngineError>
where
    W: HasStore + HasObjects + HasAlarms + HasMachines + HasFunctions + HasRoles,
{
    let since = input.since.and_then(|since| Timestamp::from_second(since).ok());
    let asked = Asked { input: input.clone(), since, by: input.token.as_deref().map_or(By::Machine, By::Wait) };
    let Looked { mut answer, jobs } = until_stored(async || look(world, &asked).await).await?;
    if !jobs.is_empty() {
        for job in jobs {
            functions::begin(world, &job).await;
        }
        // One that is not there is known at once.
        answer = until_stored(async || look(world, &asked).await).await?.answer;
    }
    if let Some(token) = &input.token
        && !matches!(answer, ConditionOutput::Wait { .. })
    {
        // No outbox: until this is done the invocation has not succeeded, so it is repeated, finds the end and answers.
        let answer = Effect::AnswerCondition { token: token.clone(), answer: answer.clone() };
        perform_on_machines(world, &answer).await.unwrap_or(Ok(()))?;
    }
    Ok(answer)
}

/// A look at a condition.
struct Asked<'a> {
    input: ConditionInput,
    since: Option<Timestamp>,
    by: By<'a>,
}

/// Who looks.
#[derive(Clone, Copy, PartialEq)]
enum By<'a> {
    /// The state machine, which is told the answer at once.
    Machine,
    /// The state machine, which waits for this token to be answered.
    Wait(&'a str),
    /// Somebody else, while the state machine waits.
    Other,
}

/// What a look came to.
struct Looked {
    /// How the condition stands.
    answer: ConditionOutput,
    /// Jobs that are to be begun.
    jobs: Vec<Job>,
}

impl From<ConditionOutput> for Looked {
    fn from(answer: ConditionOutput) -> Self {
        Self { answer, jobs: Vec::new() }
    }
}

/// Looks at a condition, stores what has changed, and says how it stands.
async fn look<W: HasStore + HasObjects + HasAlarms + HasMachines>(
    world: &W,
    asked: &Asked<'_>,
) -> Result<Looked, EngineError> {
    let input = &asked.input;
    let Some((view, execution)) = load_both(world, &input.pipeline, input.execution_id).await? else {
        return Ok(ConditionOutput::Fail.into());
    };
    // What a failure leads to is decided by whoever settles it: nothing, where this is not the execution's to say.
    if !view.lets_act(&execution, &input.stage, input.generation) {
        return Ok(ConditionOutput::Fail.into());
    }
    let order = order(input, &execution);
    let stored = load_run(world, &view, &execution, &input.stage, input.condition).await?;
    let before = stored.as_ref().filter(|run| run.is_of(&order));
    if let Some(ended) = before.filter(|run| !run.is_open()) {
        return Ok(ended.answer().into());
    }
    if !view.lets_begin(&execution) {
        if let Some(run) = before {
            give_up(world, run.clone(), given_up(Some(&execution)), asked.by).await?;
        }
        return Ok(ConditionOutput::Fail.into());
    }
    let declaration = load_declaration(world, view.index_of(&execution)).await?;
    let Some(mut run) = before.cloned().or_else(|| begin(&order, &declaration, stored.as_ref(), asked, world.now()))
    else {
        return Ok(ConditionOutput::Proceed.into());
    };
    let now = world.now();
    let mut examined = examine(world, &run, &declaration, &execution, now).await?;
    let mut jobs = Vec::new();
    if let By::Wait(token) = asked.by {
        run.token.add(token);
        jobs = ask(world, &mut run, &mut examined, &declaration, now)?;
    }
    let until = take_in(&mut run, &examined, now);
    // Until somebody waits for it, an undecided condition is nothing to store.
    if before != Some(&run) && (!run.is_open() || !run.token.is_empty()) {
        let rules = rule_runs(world, &execution, &declaration, before, &run, &examined);
        let mut changes = changes(world, before, run.clone(), rules, asked.by).await?;
        if before.is_none() {
            overtake(world, stored.as_ref(), &mut changes).await?;
        }
        changes.effects.extend(jobs.iter().map(effect_of));
        changes.jobs.extend(jobs.iter().cloned());
        // A stage that is left stays at its generation until somebody enters. The execution's row tells that it has left.
        changes.unchanged.push(execution);
        commit(world, &view.index.name, changes).await?;
    }
    let answer = until.map_or_else(|| run.answer(), |until| run.wait(until, now));
    Ok(Looked { answer, jobs })
}

fn order<'a>(input: &'a ConditionInput, execution: &Execution) -> ConditionOrder<'a> {
    ConditionOrder {
        pipeline: &input.pipeline,
        stage: &input.stage,
        kind: input.condition,
        execution: input.execution_id,
        mode: execution.mode,
        generation: input.generation,
        attempt: input.attempt,
    }
}

/// A new evaluation; none where the stage has no such condition, or only rules that watch it after it was left.
fn begin(
    order: &ConditionOrder<'_>,
    declaration: &PipelineDeclaration,
    stored: Option<&ConditionRun>,
    asked: &Asked<'_>,
    now: Timestamp,
) -> Option<ConditionRun> {
    let condition = declaration.stage(order.stage)?.condition(order.kind)?;
    let is_watch = |rule: &RuleDeclaration| order.kind == ConditionKind::OnSuccess && rule.is_watch();
    let blocking = condition.rules.iter().filter(|rule| !is_watch(rule));
    let rules: Vec<&str> = blocking.map(|rule| rule.name.as_str()).collect();
    if rules.is_empty() {
        return None;
    }
    // Whole seconds, as the state machine keeps them.
    let since = asked.since.or_else(|| Timestamp::from_second(now.as_second()).ok()).unwrap_or(now);
    let version = stored.map_or(0, |row| row.version);
    let result = order.result(condition.result.as_deref(), stored);
    Some(ConditionRun::new(order, result, &rules, since, version))
}

/// The stored evaluation of a condition, of this execution or in its stead of an earlier one.
pub(crate) async fn load_run<W: HasStore>(
    world: &W,
    view: &PipelineView,
    execution: &Execution,
    stage: &StageName,
    kind: ConditionKind,
) -> Result<Option<ConditionRun>, EngineError> {
    if execution.mode == ExecutionMode::Parallel {
        return Ok(world.store().load_condition(execution.id, stage, kind).await?);
    }
    Ok(view.condition(stage, kind).cloned())
}

/// Lets the evaluation take in what its rules found.
fn take_in(run: &mut ConditionRun, examined: &[Examined<'_>], now: Timestamp) -> Option<Timestamp> {
    for (rule, examined) in run.rules.iter_mut().zip(examined) {
        rule.entity_url.clone_from(&examined.entity_url);
        rule.machine = examined.machine().map(str::to_owned);
        rule.external_id.clone_from(&examined.external_id);
        rule.external_url.clone_from(&examined.external_url);
        rule.evidence.clone_from(&examined.evidence);
        rule.alarm.clone_from(&examined.failed_for);
    }
    run.alarms = examined.iter().filter_map(|examined| examined.alarm.clone()).collect();
    run.closed_until = rules::closed_until(examined);
    run.opened_at = run.opened_at.or(rules::is_let_in(examined).then_some(now));
    let findings: Vec<_> = examined.iter().map(|examined| examined.finding.clone()).collect();
    run.apply(&findings, now)
}

/// Ends what an earlier evaluation left open, whose row the new one takes: its jobs and the history of its rules. The
/// evaluation of another execution has a mark of its own, by which its wait is ended.
async fn overtake<W: HasStore>(
    world: &W,
    earlier: Option<&ConditionRun>,
    changes: &mut Changes,
) -> Result<(), EngineError> {
    let Some(earlier) = earlier.filter(|run| run.is_open()) else { return Ok(()) };
    let mut ended = earlier.clone();
    ended.end(ConditionStatus::Cancelled, LOST, None, world.now());
    changes.jobs.extend(jobs_over(world, Some(earlier), &ended).await?);
    changes.rules.extend(renewed_rules(world, &ended).await?);
    Ok(())
}

/// Ends a condition of an execution that begins nothing more: a stop was asked for, or the pipeline was updated.
async fn give_up<W: HasStore + HasMachines>(
    world: &W,
    before: ConditionRun,
    status: ConditionStatus,
    by: By<'_>,
) -> Result<(), EngineError> {
    let mut run = before.clone();
    run.end(status, "Nothing more is begun in this execution.", None, world.now());
    let rules = renewed_rules(world, &run).await?;
    let pipeline = run.pipeline.clone();
    commit(world, &pipeline, changes(world, Some(&before), run, rules, by).await?).await
}

/// A condition that has changed, with what follows from its end. Deciding about it belongs to whoever holds this
/// generation of the stage; PARALLEL executions have no lock to hold. Jobs end with the rules they were for.
async fn changes<W: HasStore>(
    world: &W,
    before: Option<&ConditionRun>,
    run: ConditionRun,
    rules: Vec<RuleRun>,
    by: By<'_>,
) -> Result<Changes, EngineError> {
    let mut changes = Changes { rules, jobs: jobs_over(world, before, &run).await?, ..Changes::default() };
    let stops: Vec<Effect> = stops(&changes.jobs).collect();
    changes.effects.extend(stops);
    if by == By::Other && !run.is_open() {
        let answer = |token: &str| Effect::AnswerCondition { token: token.to_owned(), answer: run.answer() };
        changes.effects.extend(run.token.iter().map(answer));
    }
    if run.mode != ExecutionMode::Parallel {
        changes.fences.insert((run.stage.clone(), run.generation));
    }
    changes.conditions.push(run);
    Ok(changes)
}
