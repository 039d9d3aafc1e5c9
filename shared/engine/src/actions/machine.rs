//! Actions whose work a state machine of their provider does (`statemachine/actions/<Provider>.asl.json`): it is
//! started, says how its work stands, and is stopped when nobody needs the work any more.
//!
//! The run has a job as a function's has, with the task token that its end answers. What a machine may do is decided
//! here: it asks by its first report, and what it is told (`Abandoned`, `Failed`) makes it stop the work it has begun.
//! So whoever abandons a run before that report has nothing to stop, and whoever does it after knows what to stop.

use bytes::Bytes;
use contract::{
    ActionInput, ActionOutput, ActionReport, ArtifactAt, OUTPUT_FILE, ProviderInput, ProviderOperation, ReportedError,
};
use domain::{
    ActionExecutionId, ActionRun, ActionStatus, ArtifactLocation, Changes, Job, JobEvent, RuleAnswer, RuleJobId,
    aws_console, failure_type,
};
use futures::future::BoxFuture;
use serde_json::json;
use uuid::Uuid;

use super::{
    ended, fence,
    finish::{End, Finished, RunKey, digests_of, finish, finish_work},
    regions::failure_type as failure_of_objects,
    start::run_id,
};
use crate::{
    EngineError, HasAlarms, HasMachines, HasObjects, HasStore,
    commit::{store, until_stored},
    condition::{give_up_for_rule, report_for_rule},
    jobs::{OUTPUT_VARIABLES_BYTES_MAX, load_run_of, open_job},
    loading::load_both,
    ports::{CloudError, Machine, MachineStatus, Machines, Objects, PutOptions, Store},
    s3_deploy::{NotRead, archive_of, read_file},
};

/// A job that the state machine of a provider does, and its run; for a rule of a condition, what stands for one.
struct Driven {
    job: Job,
    run: ActionRun,
    provider: String,
}

impl Driven {
    /// The job `id`, with its run; `None` where it is not a machine's, or gone.
    async fn load<W: HasStore>(world: &W, id: Uuid) -> Result<Option<Self>, EngineError> {
        let Some(job) = world.store().load_job(id).await? else { return Ok(None) };
        let Some(provider) = job.machine.clone() else { return Ok(None) };
        let run = load_run_of(world, &job).await?;
        Ok(run.map(|run| Self { job, run, provider }))
    }

    /// What the work is known by: a run has one job for a machine, so starting it again is starting it once. A rule may
    /// ask again, by another job.
    fn id(&self) -> Uuid {
        if self.job.rule.is_some() { self.job.id } else { self.run.id.0 }
    }

    /// Name of the execution that does the work.
    fn name(&self) -> String {
        self.id().to_string()
    }

    fn input<W: HasStore>(&self, world: &W, operation: ProviderOperation, attempt: u32) -> ProviderInput {
        let Self { job, run, .. } = self;
        let at = |(name, at): (&String, &ArtifactLocation)| ArtifactAt {
            name: name.clone(),
            bucket: at.bucket.clone(),
            key: at.key.clone(),
        };
        ProviderInput {
            operation,
            pipeline: run.pipeline.clone(),
            execution_id: run.execution,
            stage: run.stage.clone(),
            generation: run.generation,
            attempt,
            action: run.action.clone(),
            rule: job.rule.is_some().then_some(RuleJobId(job.id)),
            action_execution_id: ActionExecutionId(self.id()),
            configuration: run.resolved_configuration.clone(),
            script: job.script.as_deref().cloned(),
            inputs: run.inputs.iter().map(at).collect(),
            outputs: run.outputs.iter().map(at).collect(),
            kms_key: job.kms_key.clone(),
            role_arn: run.role_arn.clone(),
            region: world.settings().region.clone(),
            account: world.settings().account.clone(),
            aws_console: aws_console(&world.settings().region),
            external_execution_id: run.external_id.clone().filter(|_| operation == ProviderOperation::Stop),
        }
    }

    /// Ends the run as failed. What its provider may still be doing is stopped. A rule finds it at the next look.
    async fn fail<W: HasStore + HasMachines>(&self, world: &W, code: &str, message: String) -> Result<(), EngineError> {
        if self.job.rule.is_some() {
            // What the rule demands is not known to be otherwise: it could not tell.
            let code = if code == "JobFailed" { "SystemUnavailable" } else { code };
            let answer = RuleAnswer { error_code: Some(code.to_owned()), text: Some(message) };
            return give_up_for_rule(world, self.job.id, answer).await;
        }
        let finished = Finished { job: Some((self.job.id, JobEvent::TimeOut)), ..Finished::failed(code, message) };
        finish(world, &RunKey::from(&self.run), &finished).await.map(drop)
    }
}

/// Starts the state machine of a job, unless the job has ended. One that cannot be started fails the action.
///
/// Boxed, since failing the action may have effects such as this one.
///
/// # Errors
/// [`EngineError::Unavailable`]: try again.
pub(crate) fn start<W: HasStore + HasMachines>(world: &W, job: Uuid) -> BoxFuture<'_, Result<(), EngineError>> {
    Box::pin(async move {
        match Driven::load(world, job).await? {
            Some(driven) if !driven.job.status.is_ended() => begin(world, &driven).await,
            _ => Ok(()),
        }
    })
}

async fn begin<W: HasStore + HasMachines>(world: &W, driven: &Driven) -> Result<(), EngineError> {
    let provider = driven.provider.as_str();
    let input = driven.input(world, ProviderOperation::Run, driven.job.attempt);
    match world.machines().start(Machine::Action(provider), &driven.name(), &json!(input)).await {
        Ok(()) => Ok(()),
        Err(CloudError::Unavailable(source)) => Err(EngineError::Unavailable { what: "Step Functions", source }),
        Err(CloudError::Denied(why)) => {
            let message = format!("The state machine for {provider} may not be started: {why}");
            driven.fail(world, "PermissionError", message).await
        }
        Err(CloudError::NotFound(_)) => {
            let message = format!("There is no state machine for {provider}. Deploy the template of this version.");
            driven.fail(world, "ConfigurationError", message).await
        }
        Err(CloudError::Refused(why)) => {
            let message = format!("The state machine for {provider} does not start: {why}");
            driven.fail(world, "ConfigurationError", message).await
        }
    }
}

/// Whether the job needs nobody any more. One whose machine never started is started; one whose machine has ended
/// without a word has failed.
///
/// # Errors
/// [`EngineError::Unavailable`]: try again.
pub(crate) async fn look_after<W: HasStore + HasMachines>(world: &W, job: Uuid) -> Result<bool, EngineError> {
    let Some(driven) = Driven::load(world, job).await?.filter(|driven| !driven.job.status.is_ended()) else {
        return Ok(true);
    };
    match world.machines().status(Machine::Action(&driven.provider), &driven.name()).await? {
        Some(MachineStatus::Running) => Ok(false),
        None => begin(world, &driven).await.map(|()| false),
        Some(MachineStatus::Succeeded | MachineStatus::Dead) => {
            let message = format!(
                "The state machine that did the work of {} ended without saying how it went. Its execution {} tells \
                 why. Retry the stage.",
                driven.provider,
                driven.name()
            );
            driven.fail(world, "JobFailed", message).await.map(|()| true)
        }
    }
}

/// Stops the work of a job that has ended without its machine, as far as the machine has told what its work is. A
/// machine that has told nothing yet stops by itself when it does.
///
/// # Errors
/// [`EngineError::Unavailable`]: try again.
pub(crate) async fn stop<W: HasStore + HasMachines>(world: &W, job: Uuid) -> Result<(), EngineError> {
    let Some(driven) = Driven::load(world, job).await?.filter(|driven| driven.run.external_id.is_some()) else {
        return Ok(());
    };
    let machine = Machine::Action(&driven.provider);
    let input = driven.input(world, ProviderOperation::Stop, driven.job.attempt);
    match world.machines().start(machine, &format!("{}-stop", driven.name()), &json!(input)).await {
        Ok(()) | Err(CloudError::NotFound(_)) => {}
        Err(error) => return Err(error.into()),
    }
    Ok(world.machines().stop(machine, &driven.name(), "Nobody needs its work any more.").await?)
}

/// What the machine of an action says. The answer says how the run stands: a machine goes on only while it is
/// `InProgress`, and stops its work otherwise.
///
/// # Errors
/// [`EngineError::Contended`] and [`EngineError::Unavailable`]: say it again. `InvalidInput`: no machine works on it.
pub(crate) async fn report<W: HasStore + HasMachines + HasObjects + HasAlarms>(
    world: &W,
    input: &ActionInput,
) -> Result<ActionStatus, EngineError> {
    let Some(report) = &input.report else {
        return Err(EngineError::refused("InvalidInput", "A report says how the work stands."));
    };
    if let Some(RuleJobId(job)) = input.rule {
        let failure = failure_of(report);
        return report_for_rule(world, job, report, failure).await;
    }
    let run = world.store().load_action_run(&input.pipeline, input.execution_id, run_id(input)).await?;
    let Some(run) = run else { return Ok(ActionStatus::Abandoned) };
    if let Some(status) = ended(&run) {
        return Ok(status);
    }
    let job = open_job(world, &run).await?.filter(|job| job.machine.is_some());
    let Some(job) = job else {
        let message = format!("No state machine works on action '{}'.", run.action);
        return Err(EngineError::refused("InvalidInput", message));
    };
    if report.status == ActionStatus::InProgress {
        return note(world, &run, &job, report).await;
    }
    let mut finished = finished_by(report, &job);
    if let Some(output) = report.output.as_ref().filter(|_| finished.failure.is_none()) {
        finished.failure = keep_output(world, &run, job.kms_key.clone(), output).await?;
        if finished.failure.is_some() {
            finished = Finished { made_artifacts: false, job: Some((job.id, JobEvent::Fail)), ..finished };
        }
    }
    if finished.made_artifacts {
        finished.digests = digests_of(world, &run.outputs).await;
    }
    finish_work(world, &RunKey::from(&run), &finished).await.map(End::status)
}

/// Puts what the work gave into the output artifacts of its action; failure type and text where that is refused. Said
/// again, the same is written to the same place.
///
/// # Errors
/// [`EngineError::Unavailable`]: say it again.
async fn keep_output<W: HasObjects>(
    world: &W,
    run: &ActionRun,
    kms_key: Option<String>,
    output: &str,
) -> Result<Option<(String, String)>, EngineError> {
    let archive = Bytes::from(archive_of(OUTPUT_FILE, output.as_bytes()));
    let content_type = Some("application/zip".to_owned());
    let options = PutOptions { content_type, kms_key, ..PutOptions::default() };
    for (name, at) in &run.outputs {
        match world.objects().put(&at.into(), archive.clone(), &options).await {
            Ok(_) => {}
            Err(error) if error.is_retryable() => {
                return Err(EngineError::Unavailable { what: "S3", source: Box::new(error) });
            }
            Err(error) => {
                return Ok(Some((failure_of_objects(&error).to_owned(), format!("Artifact '{name}': {error}"))));
            }
        }
    }
    Ok(None)
}

/// The text of a file in an input artifact. Why there is none is an output, for the machine to report.
///
/// # Errors
/// [`EngineError::Unavailable`]: ask again. `InvalidInput`: no file is named, or not one of the action's artifacts.
pub(crate) async fn read<W: HasStore + HasObjects>(
    world: &W,
    input: &ActionInput,
) -> Result<ActionOutput, EngineError> {
    let Some(file) = &input.file else {
        return Err(EngineError::refused("InvalidInput", "A file to read has an artifact and a path."));
    };
    let run = world.store().load_action_run(&input.pipeline, input.execution_id, run_id(input)).await?;
    let Some(run) = run else { return Ok(ActionStatus::Abandoned.into()) };
    if let Some(status) = ended(&run) {
        return Ok(status.into());
    }
    let Some(at) = run.inputs.get(&file.artifact) else {
        let message = format!("'{}' is no input artifact of action '{}'.", file.artifact, run.action);
        return Err(EngineError::refused("InvalidInput", message));
    };
    let code = match read_file(world.objects(), &at.into(), &file.path).await {
        Ok(content) => return Ok(ActionOutput { content: Some(content), ..ActionStatus::InProgress.into() }),
        Err(NotRead::Artifact(error)) if error.is_retryable() => {
            return Err(EngineError::Unavailable { what: "S3", source: Box::new(error) });
        }
        Err(NotRead::Artifact(error)) => (error.kind().as_str(), error.to_string()),
        Err(error) => ("ConfigurationError", error.to_string()),
    };
    let (code, message) = code;
    let message = format!("Artifact '{}': {message}", file.artifact);
    Ok(ActionOutput { error: Some(ReportedError { code: code.to_owned(), message }), ..run.status.into() })
}

fn finished_by(report: &ActionReport, job: &Job) -> Finished {
    let known = Finished {
        summary: report.summary.clone(),
        external_id: report.external_execution_id.clone(),
        external_url: report.external_execution_url.clone(),
        ..Finished::default()
    };
    let variables = report.output_variables.clone().unwrap_or_default();
    let size: usize = variables.iter().map(|(key, value)| key.len() + value.len()).sum();
    let failure = failure_of(report).or_else(|| {
        let why = format!("The output variables take {size} bytes, at most {OUTPUT_VARIABLES_BYTES_MAX} are allowed.");
        (size > OUTPUT_VARIABLES_BYTES_MAX).then(|| ("JobFailed".to_owned(), why))
    });
    if failure.is_some() {
        return Finished { failure, job: Some((job.id, JobEvent::Fail)), ..known };
    }
    Finished { variables, made_artifacts: true, job: Some((job.id, JobEvent::Succeed)), ..known }
}

/// Failure type and text of a report; `None` where the work went well.
fn failure_of(report: &ActionReport) -> Option<(String, String)> {
    match (&report.error, report.status) {
        (Some(error), _) => Some(describe(&error.code, &error.message)),
        (None, ActionStatus::Succeeded) => None,
        (None, _) => Some(describe("JobFailed", report.summary.as_deref().unwrap_or("The work failed."))),
    }
}

/// An error as CodePipeline has it. The name that Step Functions gave is kept in the text.
fn describe(code: &str, message: &str) -> (String, String) {
    let kind = failure_type(code, message);
    let text = if kind == code { message.to_owned() } else { format!("{code}: {message}") };
    (kind.to_owned(), text)
}

/// Writes down what the work is, while the run may act.
async fn note<W: HasStore + HasMachines>(
    world: &W,
    run: &ActionRun,
    job: &Job,
    report: &ActionReport,
) -> Result<ActionStatus, EngineError> {
    let noted = until_stored(async || {
        let both = load_both(world, &run.pipeline, run.execution).await?;
        let run = world.store().load_action_run(&run.pipeline, run.execution, run.id).await?;
        let (Some((view, execution)), Some(mut run)) = (both, run) else {
            return Ok(Some(ActionStatus::Abandoned));
        };
        if let Some(status) = ended(&run) {
            return Ok(Some(status));
        }
        if !view.lets_act(&execution, &run.stage, run.generation) {
            return Ok(None);
        }
        let before = run.clone();
        run.external_id = report.external_execution_id.clone().or(run.external_id);
        run.urls.execution_url_template = report.external_execution_url.clone().or(run.urls.execution_url_template);
        run.summary = report.summary.clone().or(run.summary);
        if run != before {
            run.updated_at = world.now();
            let mut changes = Changes::default();
            fence(&mut changes, &execution, &run);
            let pipeline = run.pipeline.clone();
            changes.runs.push(run);
            store(world, &pipeline, &changes).await?;
        }
        Ok(Some(ActionStatus::InProgress))
    })
    .await?;
    match noted {
        Some(status) => Ok(status),
        // Its machine stops the work itself when it hears of this.
        None => {
            let finished = Finished { job: Some((job.id, JobEvent::Fail)), ..Finished::default() };
            finish(world, &run.into(), &finished).await.map(End::status)
        }
    }
}
