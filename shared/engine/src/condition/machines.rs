//! Providers whose state machines work on a rule (CodeBuild, Commands): what they say becomes what the job of the rule
//! was answered.

use contract::ActionReport;
use domain::{ActionStatus, Changes, Effect, Job, JobEvent, JobStatus, RuleAnswer};
use uuid::Uuid;

use super::functions::{load_asked, tell_condition};
use crate::{
    EngineError, HasAlarms, HasMachines, HasObjects, HasStore, commit,
    commit::{store, until_stored},
    ports::Store,
};

/// Takes what the state machine of a provider says of its work for a rule. The answer says how the rule stands: a machine
/// goes on only while it is `InProgress`. `failure` is the failure type and text of a report that says so.
///
/// # Errors
/// As [`report`](crate::actions): `InvalidInput` where no machine works on the job.
pub(crate) async fn report_for_rule<W: HasStore + HasMachines + HasObjects + HasAlarms>(
    world: &W,
    id: Uuid,
    report: &ActionReport,
    failure: Option<(String, String)>,
) -> Result<ActionStatus, EngineError> {
    let (event, answer) = answer_of(report, failure);
    let (status, job) = until_stored(async || {
        let Some(job) = world.store().load_job(id).await? else { return Ok((ActionStatus::Abandoned, None)) };
        if job.machine.is_none() || job.rule.is_none() {
            let message = format!("No state machine works on a rule by job '{id}'.");
            return Err(EngineError::refused("InvalidInput", message));
        }
        if job.status.is_ended() {
            return Ok((seen(job.status), None));
        }
        let (mut told, mut changes) = match load_asked(world, &job).await {
            Ok((_, changes)) => (job.clone(), changes),
            // The condition has ended without it. The machine stops its work when it hears of this.
            Err(EngineError::Refused(_)) => (job.after(JobEvent::TimeOut).map_err(commit::reread)?, Changes::default()),
            Err(error) => return Err(error),
        };
        if let Some(rule) = told.rule.as_mut().filter(|_| !told.status.is_ended()) {
            rule.external_id = report.external_execution_id.clone().or(rule.external_id.take());
            rule.external_url = report.external_execution_url.clone().or(rule.external_url.take());
            rule.answer = answer.clone();
            told.status = event.map_or(Ok(told.status), |event| told.status.after(event)).map_err(commit::reread)?;
        }
        if told != job {
            changes.jobs.push(told.clone());
            store(world, &job.pipeline, &changes).await?;
        }
        Ok((seen(told.status), Some(job)))
    })
    .await?;
    if let Some(job) = job.filter(|_| status != ActionStatus::Abandoned) {
        // Shows the link, and decides the condition where the work has ended.
        tell_condition(world, &job).await;
    }
    Ok(status)
}

/// What a report makes of the job: nothing while the work goes on.
fn answer_of(report: &ActionReport, failure: Option<(String, String)>) -> (Option<JobEvent>, Option<RuleAnswer>) {
    match (report.status, failure) {
        (ActionStatus::InProgress, _) => (None, None),
        (_, None) => (Some(JobEvent::Succeed), Some(RuleAnswer { error_code: None, text: report.summary.clone() })),
        // That the work failed is what the rule found; anything else means that it could not tell.
        (_, Some((code, text))) => {
            let error_code = (code != "JobFailed").then_some(code);
            (Some(JobEvent::Fail), Some(RuleAnswer { error_code, text: Some(text) }))
        }
    }
}

fn seen(status: JobStatus) -> ActionStatus {
    match status {
        JobStatus::Succeeded => ActionStatus::Succeeded,
        JobStatus::Failed => ActionStatus::Failed,
        JobStatus::TimedOut => ActionStatus::Abandoned,
        JobStatus::Created | JobStatus::Queued | JobStatus::Dispatched | JobStatus::InProgress => {
            ActionStatus::InProgress
        }
    }
}

/// Ends the job of a rule that its machine does not end: it cannot be started, or died without a word. What its provider
/// may still be doing is stopped, and the next look at the condition finds why.
///
/// # Errors
/// [`EngineError::Unavailable`]: try again.
pub(crate) async fn give_up_for_rule<W: HasStore + HasMachines>(
    world: &W,
    id: Uuid,
    answer: RuleAnswer,
) -> Result<(), EngineError> {
    until_stored(async || {
        let Some(job) = world.store().load_job(id).await? else { return Ok(()) };
        // It was answered, or nobody needs it any more.
        let Ok(mut ended) = job.after(JobEvent::TimeOut) else { return Ok(()) };
        if let Some(rule) = &mut ended.rule {
            rule.answer = Some(answer.clone());
        }
        let effects = stops(std::slice::from_ref(&ended)).collect();
        commit(world, &job.pipeline, Changes { jobs: vec![ended], effects, ..Changes::default() }).await
    })
    .await
}

/// What stops the work of those of `ended` that a provider's machine does.
pub(super) fn stops(ended: &[Job]) -> impl Iterator<Item = Effect> {
    ended.iter().filter(|job| job.machine.is_some()).map(|job| Effect::StopAction { job: job.id })
}
