//! Work that somebody else does and answers later: functions, job workers and people (spec 6.3).

mod answer;
mod invoke;
mod notify;
mod poll;

use std::collections::BTreeMap;

use domain::{
    ActionRun, ActionStatus, ActionTypeId, ActionTypeUrls, Addressee, Changes, Effect, ExecutionMode, Job, JobStatus,
    Tokens, action_machine, derived_uuid,
};
use jiff::Timestamp;
use uuid::Uuid;

pub(crate) use answer::answerable;
pub use answer::{JobRevision, JobSuccess, OUTPUT_VARIABLES_BYTES_MAX, fail_job, succeed_job};
pub(crate) use invoke::invoke_and_forget;
pub(crate) use notify::notify_and_forget;
pub use poll::{JobOrder, Poll, acknowledge_job, job_details, poll_for_jobs};

use crate::{
    EngineError, HasFunctions, HasMachines, HasNotifications, HasRoles, HasStore,
    actions::{Underway, fence},
    commit::{store, until_stored},
    outbox::perform_and_forget,
    ports::Store,
};

/// Records the job of an action and hands it out. Asked again with a new task token, the job answers to that one as well.
pub(crate) async fn hand_out<W: HasStore + HasMachines + HasFunctions + HasNotifications + HasRoles>(
    world: &W,
    token: &str,
    attempt: u32,
    underway: Underway,
) -> Result<ActionStatus, EngineError> {
    let Underway { run, execution, kms_key, script, expires, .. } = underway;
    let effect = until_stored(async || {
        let first = job_id(&run, 0);
        let before = world.store().load_job(run.job.unwrap_or(first)).await?;
        if before.as_ref().is_some_and(|job| job.status.is_ended()) {
            // It was answered meanwhile: whoever asks again finds how the action ended.
            return Err(EngineError::Unfinished);
        }
        let mut changes = Changes::default();
        let fresh = before.is_none();
        let fresh_job = || Job {
            kms_key: kms_key.clone(),
            script: script.clone().map(Box::new),
            attempt,
            ..new_job(&run, 0, world.now())
        };
        let mut job = before.unwrap_or_else(fresh_job);
        job.token.add(token);
        let effect = match job.addressee() {
            Addressee::Function(_) => Some(Effect::InvokeJob { job: job.id }),
            Addressee::Machine(_) => Some(Effect::DriveAction { job: job.id }),
            Addressee::Person if run.names_topic() => Some(Effect::NotifyApproval { job: job.id, expires }),
            Addressee::Person | Addressee::Workers(_) => None,
        };
        changes.effects.extend(effect.clone());
        fence(&mut changes, &execution, &run);
        if fresh {
            let mut run = run.clone();
            run.job = Some(job.id);
            if !matches!(job.addressee(), Addressee::Workers(_) | Addressee::Machine(_)) {
                // A worker says itself what its work is called; others know no other name for it.
                run.external_id = Some(job.id.to_string());
            }
            run.approval_token = (job.addressee() == Addressee::Person).then(|| job.id.to_string());
            run.updated_at = world.now();
            changes.runs.push(run);
        }
        changes.jobs.push(job);
        store(world, &run.pipeline, &changes).await?;
        Ok(effect)
    })
    .await?;
    if let Some(effect) = effect {
        invoke_and_forget(world, &effect).await;
        perform_and_forget(world, &effect).await;
        notify_and_forget(world, &effect).await;
    }
    Ok(ActionStatus::InProgress)
}

/// The `number`th job of a run.
fn new_job(run: &ActionRun, number: u32, created_at: Timestamp) -> Job {
    let function = run.resolved_configuration.get("FunctionName").filter(|_| run.action_type.provider == "Lambda");
    let queue = run.queue.clone();
    Job {
        id: job_id(run, number),
        run: run.id,
        pipeline: run.pipeline.clone(),
        execution: run.execution,
        stage: run.stage.clone(),
        action: run.action.clone(),
        generation: run.generation,
        token: Tokens::none(),
        rule: None,
        function: function.cloned().filter(|_| queue.is_none()),
        status: if queue.is_some() { JobStatus::Queued } else { JobStatus::Created },
        queue,
        machine: action_machine(&run.action_type).map(str::to_owned),
        script: None,
        attempt: 0,
        kms_key: None,
        continuation: None,
        nonce: None,
        held_until: None,
        created_at,
        version: 0,
    }
}

fn job_id(run: &ActionRun, number: u32) -> Uuid {
    derived_uuid(&["job", &run.id.to_string(), &number.to_string()])
}

/// The job of a run that is still out.
pub(crate) async fn open_job<W: HasStore>(world: &W, run: &ActionRun) -> Result<Option<Job>, EngineError> {
    let Some(id) = run.job else {
        return Ok(None);
    };
    let job = world.store().load_job(id).await?;
    Ok(job.filter(|job| !job.status.is_ended()))
}

/// The run that a job is for. A rule of a condition has none: whoever is asked is told what an Invoke action's would be.
pub(crate) async fn load_run_of<W: HasStore>(world: &W, job: &Job) -> Result<Option<ActionRun>, EngineError> {
    let Some(rule) = &job.rule else {
        return Ok(world.store().load_action_run(&job.pipeline, job.execution, job.run).await?);
    };
    let [category, owner, provider, version] = ["Invoke", "AWS", "Lambda", "1"].map(str::to_owned);
    Ok(Some(ActionRun {
        id: job.run,
        pipeline: job.pipeline.clone(),
        execution: job.execution,
        pipeline_version: 0,
        execution_attempt: 1,
        mode: ExecutionMode::Superseded,
        stage: job.stage.clone(),
        action: job.action.clone(),
        action_type: ActionTypeId { category, owner, provider, version },
        generation: job.generation,
        status: ActionStatus::InProgress,
        started_at: rule.asked_at,
        updated_at: rule.asked_at,
        role_arn: rule.role_arn.clone(),
        region: rule.region.clone(),
        configuration: rule.configuration.clone(),
        resolved_configuration: rule.configuration.clone(),
        secret_keys: Vec::new(),
        urls: ActionTypeUrls::default(),
        inputs: rule.inputs.clone(),
        outputs: BTreeMap::new(),
        namespace: None,
        output_variables: BTreeMap::new(),
        job: Some(job.id),
        queue: None,
        revision: None,
        external_id: rule.external_id.clone(),
        percent_complete: None,
        summary: None,
        error_code: None,
        error_message: None,
        progress: None,
        approval_token: None,
        updated_by: None,
        version: 0,
    }))
}
