//! The end of an action: its run, what it made, and the answer to whoever waits for it, in one transaction.

use std::collections::BTreeMap;

use contract::ActionInput;
use domain::{
    ActionRun, ActionStatus, ArtifactDigest, ArtifactLocation, Changes, ContentId, EXECUTION_BYTES_MAX, Effect,
    ExecutionId, Generation, Job, JobEvent, PipelineName, ReferredOutputs, SourceRevision, StageName,
};
use uuid::Uuid;

use super::{
    ended, fence,
    start::{Begun, begin, run_id},
};
use crate::{
    EngineError, HasMachines, HasObjects, HasStore,
    commit::{commit_untold, until_stored},
    definitions::load_declaration,
    loading::load_both,
    outbox::Untold,
    ports::{Objects, Store},
};

/// How an action ended, and what it made.
#[derive(Debug, Clone, Default)]
pub(crate) struct Finished {
    /// Failure type and text; absent for success.
    pub(crate) failure: Option<(String, String)>,
    /// For people.
    pub(crate) summary: Option<String>,
    /// Id of the work at its provider.
    pub(crate) external_id: Option<String>,
    /// Where a person sees the work.
    pub(crate) external_url: Option<String>,
    /// How much of the work is done, 0 to 100.
    pub(crate) percent_complete: Option<u8>,
    /// Output variables.
    pub(crate) variables: BTreeMap<String, String>,
    /// What was worked on; for a Source action, what it took.
    pub(crate) revision: Option<SourceRevision>,
    /// Whether the output artifacts exist.
    pub(crate) made_artifacts: bool,
    /// Where they are, if elsewhere than the run said when it began.
    pub(crate) outputs: Option<BTreeMap<String, ArtifactLocation>>,
    /// Digests of the output artifacts, by name, where S3 told them.
    pub(crate) digests: BTreeMap<String, ArtifactDigest>,
    /// ARN of the person who ended it, where one did.
    pub(crate) by: Option<String>,
    /// The job that ends with the action, and how.
    pub(crate) job: Option<(Uuid, JobEvent)>,
}

impl Finished {
    pub(crate) fn failed(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { failure: Some((code.into(), message.into())), ..Self::default() }
    }

    fn status(&self) -> ActionStatus {
        if self.failure.is_some() { ActionStatus::Failed } else { ActionStatus::Succeeded }
    }

    /// Whether the execution carries more than before.
    fn leaves_something(&self) -> bool {
        self.failure.is_none() && (self.made_artifacts || !self.variables.is_empty())
    }

    /// The same as a failure, since the execution has no place for what it left.
    fn without_place(&self) -> Self {
        let why = format!(
            "The output variables and artifacts of the execution take more than {EXECUTION_BYTES_MAX} bytes with those of \
             this action, the most that is allowed. Refer to fewer or shorter output variables, or make fewer artifacts."
        );
        Self {
            failure: Some(("JobFailed".to_owned(), why)),
            variables: BTreeMap::new(),
            made_artifacts: false,
            job: self.job.map(|(job, _)| (job, JobEvent::Fail)),
            ..self.clone()
        }
    }
}

/// Which run it is about.
#[derive(Debug, Clone)]
pub(crate) struct RunKey {
    pub(crate) pipeline: PipelineName,
    pub(crate) execution: ExecutionId,
    pub(crate) stage: StageName,
    pub(crate) generation: Generation,
    pub(crate) run: domain::ActionExecutionId,
}

impl From<&ActionRun> for RunKey {
    fn from(run: &ActionRun) -> Self {
        Self {
            pipeline: run.pipeline.clone(),
            execution: run.execution,
            stage: run.stage.clone(),
            generation: run.generation,
            run: run.id,
        }
    }
}

impl From<&Job> for RunKey {
    fn from(job: &Job) -> Self {
        Self {
            pipeline: job.pipeline.clone(),
            execution: job.execution,
            stage: job.stage.clone(),
            generation: job.generation,
            run: job.run,
        }
    }
}

/// How a run stands when somebody was to end it. Whoever says twice how its work went needs to know no more; of those who
/// answer at the same time only one may hear that its answer counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// This call has ended it.
    Now(ActionStatus),
    /// This call has changed nothing: it had ended before, is gone, or is the work of another job by now.
    Before(ActionStatus),
}

impl End {
    /// How it stands, whoever has ended it.
    pub(crate) fn status(self) -> ActionStatus {
        match self {
            Self::Now(status) | Self::Before(status) => status,
        }
    }
}

/// Stores the end of a run. One that has ended before stays as it is, and one whose execution lost the stage is
/// abandoned: nothing it made counts.
pub(crate) async fn finish<W: HasStore + HasMachines>(
    world: &W,
    key: &RunKey,
    finished: &Finished,
) -> Result<End, EngineError> {
    let (end, untold) = match close(world, key, finished, None).await? {
        Some(closed) => closed,
        None => close_without_place(world, key, finished).await?,
    };
    untold.tell(world).await;
    Ok(end)
}

/// As [`finish`], of work that may leave more behind than an execution can carry: then it carries what the pipeline
/// refers to. The run keeps everything.
pub(crate) async fn finish_work<W: HasStore + HasMachines + HasObjects>(
    world: &W,
    key: &RunKey,
    finished: &Finished,
) -> Result<End, EngineError> {
    let (end, untold) = finish_work_untold(world, key, finished).await?;
    untold.tell(world).await;
    Ok(end)
}

/// As [`finish_work`], and leaves it to the caller to tell what happened while it goes on.
pub(super) async fn finish_work_untold<W: HasStore + HasMachines + HasObjects>(
    world: &W,
    key: &RunKey,
    finished: &Finished,
) -> Result<Closed, EngineError> {
    if let Some(closed) = close(world, key, finished, None).await? {
        return Ok(closed);
    }
    let Some((view, execution)) = load_both(world, &key.pipeline, key.execution).await? else {
        return Ok((End::Before(ActionStatus::Abandoned), Untold::default()));
    };
    let referred = ReferredOutputs::of(&load_declaration(world, view.index_of(&execution)).await?);
    match close(world, key, finished, Some(&referred)).await? {
        Some(closed) => Ok(closed),
        None => close_without_place(world, key, finished).await,
    }
}

/// How a run ended, and what is to be told of that.
type Closed = (End, Untold);

async fn close_without_place<W: HasStore + HasMachines>(
    world: &W,
    key: &RunKey,
    finished: &Finished,
) -> Result<Closed, EngineError> {
    let closed = close(world, key, &finished.without_place(), None).await?;
    closed.ok_or_else(|| EngineError::Broken("a run that failed has left something behind".to_owned()))
}

/// Stores the end of a run; `None` where the execution has no place for what it left, of which it keeps what is
/// `referred` to, where that is known.
async fn close<W: HasStore + HasMachines>(
    world: &W,
    key: &RunKey,
    finished: &Finished,
    referred: Option<&ReferredOutputs>,
) -> Result<Option<Closed>, EngineError> {
    until_stored(async || {
        let both = load_both(world, &key.pipeline, key.execution).await?;
        let run = world.store().load_action_run(&key.pipeline, key.execution, key.run).await?;
        let (Some((view, mut execution)), Some(mut run)) = (both, run) else {
            return Ok(Some((End::Before(ActionStatus::Abandoned), Untold::default())));
        };
        if let Some(status) = ended(&run) {
            return Ok(Some((End::Before(status), Untold::default())));
        }
        let job = match finished.job {
            Some((job, event)) => world.store().load_job(job).await?.map(|job| (job, event)),
            None => None,
        };
        if let Some((job, event)) = &job
            && *event != JobEvent::TimeOut
            && job.status.is_ended()
        {
            // Its worker has said meanwhile that it goes on, in another job.
            return Ok(Some((End::Before(run.status), Untold::default())));
        }
        let mut changes = Changes::default();
        if view.lets_act(&execution, &key.stage, key.generation) {
            fence(&mut changes, &execution, &run);
            apply(&mut run, finished);
            if finished.failure.is_none() {
                let before = execution.clone();
                remember(&mut execution, &run, finished);
                if let Some(referred) = referred {
                    execution.keep_referred(referred);
                }
                if finished.leaves_something() && !execution.fits() {
                    return Ok(None);
                }
                // Most actions leave nothing behind for others: then there is nothing to store.
                if execution != before {
                    execution.updated_at = world.now();
                    changes.before.insert(before.id, before);
                    changes.executions.insert(execution.id, execution);
                }
            }
        } else {
            run.status = ActionStatus::Abandoned;
        }
        let is_abandoned = run.status == ActionStatus::Abandoned;
        run.updated_at = world.now();
        run.approval_token = None;
        run.progress = None;
        if let Some((job, event)) = job
            && let Ok(ended) = job.after(event)
        {
            let answer = |token: &str| Effect::AnswerAction { token: token.to_owned(), status: run.status };
            changes.effects.extend(ended.token.iter().map(answer));
            if event == JobEvent::TimeOut && ended.machine.is_some() {
                // Its machine did not end it, and may still be at work.
                changes.effects.push(Effect::StopAction { job: ended.id });
            }
            changes.jobs.push(ended);
        }
        let status = run.status;
        if is_abandoned {
            let is_latest = view.actions.iter().any(|latest| latest.id == run.id);
            changes.abandoned.push((run, is_latest));
        } else {
            changes.runs.push(run);
        }
        Ok(Some((End::Now(status), commit_untold(world, &key.pipeline, changes).await?)))
    })
    .await
}

fn apply(run: &mut ActionRun, finished: &Finished) {
    run.status = finished.status();
    run.summary = finished.summary.clone().or(run.summary.take());
    run.external_id = finished.external_id.clone().or(run.external_id.take());
    run.urls.execution_url_template = finished.external_url.clone().or(run.urls.execution_url_template.take());
    run.percent_complete = finished.percent_complete.or(run.percent_complete);
    run.revision = finished.revision.clone().or(run.revision.take());
    run.output_variables = finished.variables.clone();
    run.updated_by.clone_from(&finished.by);
    if let Some(outputs) = &finished.outputs {
        run.outputs.clone_from(outputs);
    }
    if let Some((code, message)) = &finished.failure {
        run.error_code = Some(code.clone());
        run.error_message = Some(message.chars().take(ERROR_CHARS_MAX).collect());
    }
}

/// CodePipeline's limit for a failure message.
const ERROR_CHARS_MAX: usize = 5000;

/// Digests of artifacts that somebody else has made. Where S3 does not tell one, nothing waits for it: then all that is
/// known of the artifact later is whether it is there.
pub(crate) async fn digests_of<W: HasObjects>(
    world: &W,
    outputs: &BTreeMap<String, ArtifactLocation>,
) -> BTreeMap<String, ArtifactDigest> {
    let mut digests = BTreeMap::new();
    for (name, at) in outputs {
        let found = world.objects().head(&at.into(), None).await;
        if let Some(digest) = found.ok().and_then(|info| info.digest) {
            digests.insert(name.clone(), digest);
        }
    }
    digests
}

/// What later actions can use. A redone action replaces what it made before (spec 5).
fn remember(execution: &mut domain::Execution, run: &ActionRun, finished: &Finished) {
    if finished.made_artifacts {
        execution.artifacts.extend(run.outputs.clone());
        for name in run.outputs.keys() {
            // One that is made anew is not what the digest of before says.
            match finished.digests.get(name) {
                Some(digest) => execution.digests.insert(name.clone(), digest.clone()),
                None => execution.digests.remove(name),
            };
        }
    }
    if let Some(namespace) = &run.namespace {
        execution.outputs.insert(namespace.clone(), finished.variables.clone());
    }
    if let Some(revision) = run.revision.as_ref().filter(|_| run.action_type.category == "Source") {
        execution.revisions.retain(|known| known.action_name != revision.action_name);
        execution.revisions.push(revision.clone());
        recognise(execution, run, revision);
    }
}

/// Notes by what `revision`, which `run` took, is recognised when it comes again.
fn recognise(execution: &mut domain::Execution, run: &ActionRun, revision: &SourceRevision) {
    let action = &revision.action_name;
    let by_source = ContentId::of_source(run, revision);
    // Elsewhere the artifact is made of what was taken, and need not be the same bytes each time.
    let copy = run.outputs.keys().next().filter(|_| run.action_type.provider == "S3");
    let by_bytes = copy.and_then(|name| execution.digests.get(name)).and_then(ContentId::of_bytes);
    match &by_bytes {
        Some(_) => execution.earlier_contents.insert(action.clone(), by_source.clone()),
        None => execution.earlier_contents.remove(action),
    };
    execution.contents.insert(action.clone(), by_bytes.unwrap_or(by_source));
}

/// Nobody finished the action in time, or its function failed again and again. Where no call came so far as to record
/// the run, it is recorded here: one that comes late finds the end, and begins nothing in a stage that is about to fail.
pub(crate) async fn expire<W: HasStore + HasObjects + HasMachines>(
    world: &W,
    input: &ActionInput,
) -> Result<ActionStatus, EngineError> {
    let (begun, untold) = begin(world, input).await?;
    untold.tell(world).await;
    let run = match begun {
        Begun::Running(underway) => underway.run,
        Begun::Ended(status) => {
            // It may be under way where nobody can say any more what it was to do, or who held the stage has lost it.
            let run = world.store().load_action_run(&input.pipeline, input.execution_id, run_id(input)).await?;
            match run.filter(|run| ended(run).is_none()) {
                Some(run) => run,
                None => return Ok(status),
            }
        }
    };
    expire_run(world, &run).await
}

/// Ends a run that nobody finished in time.
pub(crate) async fn expire_run<W: HasStore + HasMachines>(
    world: &W,
    run: &ActionRun,
) -> Result<ActionStatus, EngineError> {
    let mut finished = Finished::failed("JobFailed", "The action did not finish in time.");
    if let Some(job) = crate::jobs::open_job(world, run).await? {
        finished.job = Some((job.id, JobEvent::TimeOut));
    }
    finish(world, &RunKey::from(run), &finished).await.map(End::status)
}
