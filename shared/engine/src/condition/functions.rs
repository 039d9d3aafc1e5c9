//! Who is asked for a rule: a function (LambdaInvoke), which answers its job like that of an action (spec 6.3), or a
//! provider (CodeBuild, Commands), whose state machine reports.
//!
//! The job's row is the truth about what was answered; looking at the condition reads it there.

use domain::{
    ActionExecutionId, Changes, ConditionRun, Consulted, Effect, ExecutionMode, Job, JobEvent, JobStatus,
    PipelineDeclaration, RuleAnswer, RuleJob, RuleState, Tokens, derived_uuid, judge_answer,
};
use jiff::Timestamp;
use uuid::Uuid;

use super::{
    load_run,
    open::{look_again, renewed_rules},
    rules::{Examined, role_of},
};
use crate::{
    EngineError, HasAlarms, HasBasics, HasFunctions, HasMachines, HasObjects, HasRoles, HasStore,
    commit::{reread, store, until_stored},
    jobs::{answerable, invoke_and_forget},
    loading::load_both,
    outbox::perform_and_forget,
    ports::Store,
};

/// Asks whoever has to be asked now, unless the other rules have decided: the jobs to store with `run`, which names them.
pub(super) fn ask<W: HasBasics>(
    world: &W,
    run: &mut ConditionRun,
    examined: &mut [Examined<'_>],
    declaration: &PipelineDeclaration,
    now: Timestamp,
) -> Result<Vec<Job>, EngineError> {
    let is_open = |one: &Examined<'_>| one.finding.is_success() || one.finding.pending_until().is_some();
    if !examined.iter().all(is_open) {
        return Ok(Vec::new());
    }
    let own = &world.settings().region;
    let mut jobs = Vec::new();
    for (at, one) in examined.iter_mut().enumerate().filter(|(_, one)| one.to_ask) {
        let (Some(who), Some(rule)) = (one.consulted.clone(), one.rule) else { continue };
        let region = rule.region.clone().filter(|region| region != own);
        let store = declaration.artifact_store_for(region.as_ref().unwrap_or(own));
        let kms_key = store.and_then(|store| store.encryption_key.as_ref()).map(|key| key.id.clone());
        let asked = RuleJob {
            kind: run.kind,
            attempt: run.attempt,
            role_arn: role_of(rule, declaration).to_owned(),
            region,
            configuration: one.configuration.clone(),
            inputs: one.inputs.clone(),
            asked_at: now,
            external_id: None,
            external_url: None,
            answer: None,
        };
        let script = one.script.clone().map(Box::new);
        let job = Job { kms_key, script, ..new_job(run, &run.rules[at], &who, asked)? };
        run.rules[at].job = Some(job.id);
        run.rules[at].asked += 1;
        one.take_links(Some(&job));
        one.finding = judge_answer(&who, Some(&job), now);
        one.limit(Some(now), now);
        jobs.push(job);
    }
    Ok(jobs)
}

fn new_job(run: &ConditionRun, rule: &RuleState, who: &Consulted, asked: RuleJob) -> Result<Job, EngineError> {
    let (function, machine) = match who {
        Consulted::Function(name) => (Some(name.clone()), None),
        Consulted::Machine(provider) => (None, Some((*provider).to_owned())),
    };
    let action = rule.name.parse().map_err(|_| EngineError::Broken(format!("a rule is called '{}'", rule.name)))?;
    Ok(Job {
        id: job_id(run.version, rule.id),
        run: ActionExecutionId(rule.id),
        pipeline: run.pipeline.clone(),
        execution: run.execution,
        stage: run.stage.clone(),
        action,
        generation: run.generation,
        token: Tokens::none(),
        function,
        queue: None,
        machine,
        script: None,
        attempt: asked.attempt,
        kms_key: None,
        continuation: None,
        status: JobStatus::Created,
        nonce: None,
        held_until: None,
        created_at: asked.asked_at,
        rule: Some(Box::new(asked)),
        version: 0,
    })
}

/// What has to be done for a job that was made.
pub(super) fn effect_of(job: &Job) -> Effect {
    if job.machine.is_some() { Effect::DriveAction { job: job.id } } else { Effect::InvokeJob { job: job.id } }
}

/// Does it.
pub(super) async fn begin<W: HasStore + HasMachines + HasFunctions + HasRoles>(world: &W, job: &Job) {
    let effect = effect_of(job);
    invoke_and_forget(world, &effect).await;
    if job.machine.is_some() {
        perform_and_forget(world, &effect).await;
    }
}

/// Rules count their jobs by the version of their condition's row, which each job changes once.
fn job_id(version: u64, rule: Uuid) -> Uuid {
    derived_uuid(&["rule-job", &rule.to_string(), &version.to_string()])
}

/// The open jobs that nobody needs any more: of rules that have ended, and those that others took the place of.
pub(super) async fn jobs_over<W: HasStore>(
    world: &W,
    before: Option<&ConditionRun>,
    run: &ConditionRun,
) -> Result<Vec<Job>, EngineError> {
    let needed = |id: Uuid| run.is_open() && run.rules.iter().any(|rule| rule.job == Some(id));
    let mut over = Vec::new();
    for id in before.into_iter().flat_map(|before| &before.rules).filter_map(|rule| rule.job) {
        if needed(id) {
            continue;
        }
        let job = world.store().load_job(id).await?;
        over.extend(job.and_then(|job| job.after(JobEvent::TimeOut).ok()));
    }
    Ok(over)
}

/// A function's good answer for a rule.
pub(crate) async fn succeed_for_rule<W: HasStore + HasObjects + HasAlarms + HasMachines>(
    world: &W,
    id: Uuid,
    summary: Option<String>,
) -> Result<(), EngineError> {
    let job = answer_for_rule(world, id, JobEvent::Succeed, RuleAnswer { error_code: None, text: summary }).await?;
    tell_condition(world, &job).await;
    Ok(())
}

/// Stores how the job of a rule ended. An answer that comes after its condition ended is refused.
///
/// # Errors
/// Refusals `JobNotFoundException`, `InvalidJobStateException`.
pub(crate) async fn answer_for_rule<W: HasStore>(
    world: &W,
    id: Uuid,
    event: JobEvent,
    answer: RuleAnswer,
) -> Result<Job, EngineError> {
    until_stored(async || {
        let job = answerable(world, id, event).await?;
        let (_, mut changes) = load_asked(world, &job).await?;
        let mut ended = job.after(event).map_err(reread)?;
        if let Some(rule) = &mut ended.rule {
            rule.answer = Some(answer.clone());
        }
        changes.jobs.push(ended);
        store(world, &job.pipeline, &changes).await?;
        Ok(job)
    })
    .await
}

/// Closes the job of a rule and makes the next one, which carries the function's token.
///
/// # Errors
/// As [`answer_for_rule`].
pub(crate) async fn continue_for_rule<W>(world: &W, id: Uuid, continuation: &str) -> Result<(), EngineError>
where
    W: HasStore + HasObjects + HasAlarms + HasMachines + HasFunctions + HasRoles,
{
    let next = until_stored(async || {
        let job = answerable(world, id, JobEvent::Succeed).await?;
        let (mut run, mut changes) = load_asked(world, &job).await?;
        let mut next =
            Job { continuation: Some(continuation.to_owned()), created_at: world.now(), version: 0, ..job.clone() };
        next.id = job_id(run.version, next.run.0);
        run.rules.iter_mut().filter(|rule| rule.job == Some(id)).for_each(|rule| rule.job = Some(next.id));
        changes.rules = renewed_rules(world, &run).await?;
        changes.conditions.push(run);
        changes.jobs.extend([job.after(JobEvent::Succeed).map_err(reread)?, next.clone()]);
        changes.effects.push(Effect::InvokeJob { job: next.id });
        store(world, &job.pipeline, &changes).await?;
        Ok(next)
    })
    .await?;
    invoke_and_forget(world, &Effect::InvokeJob { job: next.id }).await;
    tell_condition(world, &next).await;
    Ok(())
}

/// Whether a condition still waits for `job`, which is a rule's.
///
/// # Errors
/// [`EngineError::Unavailable`]: nobody can tell now.
pub(crate) async fn is_asked_for<W: HasStore>(world: &W, job: &Job) -> Result<bool, EngineError> {
    match load_asked(world, job).await {
        Ok(_) => Ok(true),
        Err(EngineError::Refused(_)) => Ok(false),
        Err(error) => Err(error),
    }
}

/// The condition that waits for `job`, and changes that are stored only while it is its execution's to decide.
pub(super) async fn load_asked<W: HasStore>(world: &W, job: &Job) -> Result<(ConditionRun, Changes), EngineError> {
    let both = load_both(world, &job.pipeline, job.execution).await?;
    let mut changes = Changes::default();
    if let (Some((view, execution)), Some(rule)) = (both, &job.rule)
        && view.lets_act(&execution, &job.stage, job.generation)
        && view.lets_begin(&execution)
        && let Some(run) = load_run(world, &view, &execution, &job.stage, rule.kind).await?
        && run.is_open()
        && run.rules.iter().any(|rule| rule.job == Some(job.id))
    {
        if execution.mode != ExecutionMode::Parallel {
            changes.fences.insert((job.stage.clone(), job.generation));
        }
        return Ok((run, changes));
    }
    let message = format!("The condition that job '{}' was for has ended.", job.id);
    Err(EngineError::refused("InvalidJobStateException", message))
}

/// Has the condition of a rule whose job has ended looked at. What cannot be reached is found by the reconciler, so a
/// failure is none of the answer's.
pub(crate) async fn tell_condition<W: HasStore + HasObjects + HasAlarms + HasMachines>(world: &W, job: &Job) {
    let look = async {
        let (run, _) = load_asked(world, job).await?;
        look_again(world, &run, true).await
    };
    if let Err(error) = look.await {
        drop(error);
    }
}
