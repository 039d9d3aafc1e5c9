//! Approvals that wait: those who can answer are told, by the topic that the action names (spec 6.2).

use domain::{ApprovalNotice, Effect, Job, JobEvent, approval_notice};
use jiff::Timestamp;
use uuid::Uuid;

use crate::{
    EngineError, HasMachines, HasNotifications, HasRoles, HasStore,
    actions::{Finished, finish},
    outbox::forget_or_leave,
    ports::{CloudError, Notifications, Roles, Store},
};

/// Performs an [`Effect::NotifyApproval`] and takes it out of the outbox; a failure that can pass leaves it there. Whether
/// it was performed.
pub(crate) async fn notify_and_forget<W>(world: &W, effect: &Effect) -> bool
where
    W: HasStore + HasMachines + HasNotifications + HasRoles,
{
    let Effect::NotifyApproval { job, expires } = effect else {
        return false;
    };
    let is_done = notify(world, *job, *expires).await.is_ok();
    forget_or_leave(world, effect, is_done).await
}

/// Publishes the message about an approval, unless it has been answered. People may be told twice.
///
/// # Errors
/// [`EngineError::Unavailable`]: try again. A topic that is not there or may not be written to fails the action, as in
/// CodePipeline: nobody would ever answer.
async fn notify<W>(world: &W, job: Uuid, expires: Timestamp) -> Result<(), EngineError>
where
    W: HasStore + HasMachines + HasNotifications + HasRoles,
{
    let Some(job) = world.store().load_job(job).await?.filter(|job| !job.status.is_ended()) else {
        return Ok(());
    };
    let Some(run) = world.store().load_action_run(&job.pipeline, job.execution, job.run).await? else {
        return Ok(());
    };
    let settings = world.settings();
    let Some(notice) = approval_notice(&run, job.id, expires, &settings.region, settings.console.as_deref()) else {
        return Ok(());
    };
    match publish(world, &run.role_arn, &job, &notice).await {
        Ok(()) => Ok(()),
        Err(error @ CloudError::Unavailable(_)) => Err(error.into()),
        Err(error) => {
            let finished = Finished { job: Some((job.id, JobEvent::Fail)), ..failure(&notice.topic_arn, error) };
            finish(world, &(&job).into(), &finished).await.map(drop)
        }
    }
}

/// As the role of the action, or of its pipeline: who may write to which topic is the user's to say.
async fn publish<W: HasNotifications + HasRoles>(
    world: &W,
    role_arn: &str,
    job: &Job,
    notice: &ApprovalNotice,
) -> Result<(), CloudError> {
    let credentials = world.roles().assume(role_arn, &job.execution.to_string()).await?;
    world.notifications().publish(notice, &credentials).await
}

fn failure(topic: &str, error: CloudError) -> Finished {
    let (code, why) = match error {
        CloudError::Denied(why) => {
            ("PermissionError", format!("Topic '{topic}' may not be published to by the action's role: {why}"))
        }
        CloudError::NotFound(_) => (
            "ConfigurationError",
            format!("There is no topic '{topic}'. Create it, or correct NotificationArn in the action."),
        ),
        other => ("ConfigurationError", format!("Topic '{topic}': {other}")),
    };
    Finished::failed(code, why)
}
