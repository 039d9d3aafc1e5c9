//! A pipeline's whole life by the Rust SDK as it is, asserting on what the client makes of every answer. Run by run.sh.
//!
//! Needs AWS_ENDPOINT_URL of a fresh local process, which serves CodePipeline and S3; PIPELINE and RELEASES name files.

use std::{env, error::Error, fs, time::Duration};

use aws_sdk_codepipeline::{
    Client,
    operation::{
        acknowledge_job::AcknowledgeJobError, create_pipeline::CreatePipelineError,
        get_job_details::GetJobDetailsError, get_pipeline::GetPipelineError, get_pipeline_state::GetPipelineStateError,
        list_pipelines::ListPipelinesError, list_tags_for_resource::ListTagsForResourceError,
        poll_for_jobs::PollForJobsError, put_approval_result::PutApprovalResultError,
        put_job_success_result::PutJobSuccessResultError, put_webhook::PutWebhookError,
        register_webhook_with_third_party::RegisterWebhookWithThirdPartyError,
        retry_stage_execution::RetryStageExecutionError, rollback_stage::RollbackStageError,
        stop_pipeline_execution::StopPipelineExecutionError, tag_resource::TagResourceError,
    },
    types::{
        ActionCategory, ActionConfigurationProperty, ActionExecutionFilter, ActionOwner, ActionTypeId, ApprovalResult,
        ApprovalStatus, ArtifactDetails, ExecutionDetails, ExecutionMode, ExecutionType, FailureDetails, FailureType,
        Job, JobStatus, PipelineDeclaration, PipelineExecution, PipelineExecutionStatus, PipelineExecutionSummary,
        StageRetryMode, StageState, StageTransitionType, Tag, TriggerType, WebhookAuthConfiguration,
        WebhookAuthenticationType, WebhookDefinition, WebhookFilterRule,
    },
};
use aws_sdk_s3::types::{BucketVersioningStatus, VersioningConfiguration};
use client_rust::{declaration, settings};

const LOOKS_MAX: usize = 200;
const LOOK_EVERY: Duration = Duration::from_millis(200);
const UNKNOWN: &str = "00000000-0000-4000-8000-000000000000";
const ARN: &str = "arn:aws:codepipeline:us-east-1:000000000000:walk";

type Outcome<T> = Result<T, Box<dyn Error>>;

/// The call has to be refused with this error, as the client's own type.
macro_rules! refused {
    ($call:expr, $error:ident :: $variant:ident) => {{
        let error = $call.await.expect_err(stringify!($variant)).into_service_error();
        assert!(matches!(error, $error::$variant(_)), "{} expected, not {error:?}", stringify!($variant));
        assert!(error.meta().message().is_some_and(|text| !text.is_empty()), "{error:?}");
    }};
}

struct Walk {
    client: Client,
    s3: aws_sdk_s3::Client,
}

fn step(what: &str) {
    println!("   {what}");
}

/// Looks a bounded number of times for something to see.
async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Outcome<Option<T>>) -> Outcome<T> {
    for _ in 0..LOOKS_MAX {
        if let Some(seen) = look().await? {
            return Ok(seen);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    Err(format!("no sign of {what}").into())
}

fn probe() -> ActionTypeId {
    let id = ActionTypeId::builder().category(ActionCategory::Test).owner(ActionOwner::Custom);
    id.provider("Probe").version("1").build().expect("all is given")
}

fn tag(key: &str, value: &str) -> Tag {
    Tag::builder().key(key).value(value).build().expect("all is given")
}

impl Walk {
    async fn upload(&self, release: u32) -> Outcome<String> {
        let body = fs::read(format!("{}/{release}.zip", env::var("RELEASES")?))?;
        let put = self.s3.put_object().bucket("walk-releases").key("walk.zip").body(body.into()).send().await?;
        Ok(put.version_id().unwrap_or_default().to_owned())
    }

    async fn shows(&self, release: u32) -> Outcome<()> {
        let page = self.s3.get_object().bucket("walk-site").key("index.html").send().await?;
        let page = String::from_utf8(page.body.collect().await?.to_vec())?;
        assert!(page.contains(&format!("Release {release}<")), "{page}");
        Ok(())
    }

    async fn executions(&self) -> Outcome<Vec<PipelineExecutionSummary>> {
        let listed = self.client.list_pipeline_executions().pipeline_name("walk").send().await?;
        Ok(listed.pipeline_execution_summaries.unwrap_or_default())
    }

    async fn started_by(&self, version: &str) -> Outcome<String> {
        until(version, async || {
            let found = self.executions().await?.into_iter().find(|one| {
                one.execution_type() == Some(&ExecutionType::Standard)
                    && one.source_revisions().first().and_then(|revision| revision.revision_id()) == Some(version)
            });
            Ok(found.and_then(|one| one.pipeline_execution_id))
        })
        .await
    }

    async fn execution(&self, id: &str) -> Outcome<PipelineExecution> {
        let found = self.client.get_pipeline_execution().pipeline_name("walk").pipeline_execution_id(id).send().await?;
        Ok(found.pipeline_execution.expect("it is there"))
    }

    async fn ended(&self, id: &str, status: PipelineExecutionStatus) -> Outcome<PipelineExecution> {
        let found = until("the end", async || {
            let found = self.execution(id).await?;
            let runs = [PipelineExecutionStatus::InProgress, PipelineExecutionStatus::Stopping];
            Ok(Some(found).filter(|found| found.status().is_some_and(|status| !runs.contains(status))))
        })
        .await?;
        assert_eq!(found.status(), Some(&status), "{found:?}");
        Ok(found)
    }

    async fn stage(&self, name: &str) -> Outcome<StageState> {
        let state = self.client.get_pipeline_state().name("walk").send().await?;
        let found = state.stage_states.unwrap_or_default().into_iter().find(|one| one.stage_name() == Some(name));
        Ok(found.expect("the stage is there"))
    }

    async fn take_job(&self, execution: &str) -> Outcome<Job> {
        let job = until("a job", async || {
            let polled = self.client.poll_for_jobs().action_type_id(probe()).max_batch_size(1).send().await?;
            Ok(polled.jobs.unwrap_or_default().into_iter().next())
        })
        .await?;
        let data = job.data().expect("a job has data");
        let context = data.pipeline_context().expect("a pipeline's");
        assert_eq!(context.pipeline_execution_id(), Some(execution));
        assert_eq!(context.action().and_then(|action| action.name()), Some("Probe"));
        let configuration = data.action_configuration().and_then(|one| one.configuration()).expect("it has two");
        assert_eq!((configuration["Page"].as_str(), configuration["Secret"].as_str()), ("index.html", "hush"));
        let (id, nonce) = (job.id().expect("it has one"), job.nonce().expect("it has one"));
        let acknowledge = self.client.acknowledge_job().job_id(id);
        refused!(acknowledge.clone().nonce("another").send(), AcknowledgeJobError::InvalidNonceException);
        assert_eq!(acknowledge.nonce(nonce).send().await?.status(), Some(&JobStatus::InProgress));
        Ok(job)
    }

    async fn succeed(&self, execution: &str) -> Outcome<Job> {
        let job = self.take_job(execution).await?;
        let details = ExecutionDetails::builder().summary("Reads well").build();
        let id = job.id().expect("it has one");
        self.client.put_job_success_result().job_id(id).execution_details(details).send().await?;
        Ok(job)
    }

    async fn answer(&self, execution: &str, status: ApprovalStatus) -> Outcome<()> {
        let token = until("the question", async || {
            let asked = self.stage("Accept").await?;
            let is_it = asked.latest_execution().is_some_and(|latest| latest.pipeline_execution_id() == execution);
            let latest = asked.action_states().first().and_then(|action| action.latest_execution());
            let token = latest.filter(|latest| latest.status().is_some_and(|status| status.as_str() == "InProgress"));
            Ok(token.and_then(|latest| latest.token()).filter(|_| is_it).map(str::to_owned))
        })
        .await?;
        let result = ApprovalResult::builder().summary("Read").status(status.clone()).build()?;
        let put = self.client.put_approval_result().pipeline_name("walk").stage_name("Accept").action_name("Ask");
        let put = put.result(result);
        refused!(put.clone().token(UNKNOWN).send(), PutApprovalResultError::InvalidApprovalTokenException);
        let answered = put.clone().token(&token).send().await?;
        assert!(status == ApprovalStatus::Rejected || answered.approved_at().is_some(), "{answered:?}");
        refused!(put.token(token).send(), PutApprovalResultError::ApprovalAlreadyCompletedException);
        Ok(())
    }

    async fn create_action_type(&self) -> Outcome<()> {
        step("a custom action type");
        let details = ArtifactDetails::builder().minimum_count(0).maximum_count(5).build();
        let property = |name: &str, is_required: bool| {
            let property = ActionConfigurationProperty::builder().name(name).required(is_required).key(is_required);
            property.secret(!is_required).build()
        };
        let create = self.client.create_custom_action_type().category(ActionCategory::Test).provider("Probe");
        let created = create
            .version("1")
            .input_artifact_details(details.clone())
            .output_artifact_details(details)
            .configuration_properties(property("Page", true)?)
            .configuration_properties(property("Secret", false)?)
            .tags(tag("of", "walk"))
            .send()
            .await?;
        assert_eq!(created.action_type().and_then(|one| one.id()), Some(&probe()));
        assert_eq!(created.tags(), [tag("of", "walk")]);
        Ok(())
    }

    async fn create(&self, pipeline: &PipelineDeclaration) -> Outcome<()> {
        self.create_action_type().await?;
        step("buckets, a release, a pipeline");
        for name in ["releases", "artifacts", "site"] {
            self.s3.create_bucket().bucket(format!("walk-{name}")).send().await?;
        }
        let enabled = VersioningConfiguration::builder().status(BucketVersioningStatus::Enabled).build();
        self.s3.put_bucket_versioning().bucket("walk-releases").versioning_configuration(enabled).send().await?;
        self.upload(1).await?;
        let get = self.client.get_pipeline().name("walk");
        refused!(get.clone().send(), GetPipelineError::PipelineNotFoundException);
        let create = self.client.create_pipeline().pipeline(pipeline.clone());
        let created = create.clone().tags(tag("team", "shop")).send().await?;
        assert_eq!(created.pipeline().and_then(|one| one.version()), Some(1));
        assert_eq!(created.tags(), [tag("team", "shop")]);
        refused!(create.send(), CreatePipelineError::PipelineNameInUseException);
        let mut short = pipeline.clone();
        short.name = "short".to_owned();
        short.stages.truncate(1);
        refused!(self.client.create_pipeline().pipeline(short).send(), CreatePipelineError::InvalidStructureException);
        let found = get.send().await?;
        let metadata = found.metadata().expect("it has some");
        assert_eq!(metadata.pipeline_arn(), Some(ARN));
        assert!(metadata.created().is_some_and(|at| at.secs() > 1_700_000_000));
        Ok(())
    }

    async fn first_release(&self) -> Outcome<String> {
        step("release 1: its worker, its approval");
        let executions = self.executions().await?;
        assert_eq!(executions.len(), 1);
        let trigger = executions[0].trigger().and_then(|trigger| trigger.trigger_type());
        assert_eq!(trigger, Some(&TriggerType::CreatePipeline));
        let first = executions[0].pipeline_execution_id().expect("it has one").to_owned();
        let job = self.succeed(&first).await?;
        let again = self.client.put_job_success_result().job_id(job.id().expect("it has one"));
        refused!(again.send(), PutJobSuccessResultError::InvalidJobStateException);
        let unknown = self.client.get_job_details().job_id(UNKNOWN);
        refused!(unknown.send(), GetJobDetailsError::JobNotFoundException);
        self.answer(&first, ApprovalStatus::Approved).await?;
        let found = self.ended(&first, PipelineExecutionStatus::Succeeded).await?;
        assert_eq!(found.execution_mode(), Some(&ExecutionMode::Queued));
        assert_eq!(found.artifact_revisions()[0].name(), Some("Site"));
        self.shows(1).await?;
        Ok(first)
    }

    async fn bad_release(&self, first: &str) -> Outcome<String> {
        step("release 2 fails its probe: back to release 1 by itself");
        let failed = self.started_by(&self.upload(2).await?).await?;
        let job = self.take_job(&failed).await?;
        self.shows(2).await?;
        let id = job.id().expect("it has one");
        let details = self.client.get_job_details().job_id(id).send().await?;
        assert_eq!(details.job_details().and_then(|details| details.id()), Some(id));
        let why = FailureDetails::builder().r#type(FailureType::JobFailed).message("Reads badly").build()?;
        self.client.put_job_failure_result().job_id(id).failure_details(why).send().await?;
        let rollback = until("the rollback", async || {
            let executions = self.executions().await?;
            Ok(executions.into_iter().find(|one| one.execution_type() == Some(&ExecutionType::Rollback)))
        })
        .await?;
        let trigger = rollback.trigger().expect("it has one");
        assert_eq!(trigger.trigger_type(), Some(&TriggerType::AutomatedRollback));
        let detail: serde_json::Value = serde_json::from_str(trigger.trigger_detail().unwrap_or_default())?;
        assert_eq!(detail["FailedPipelineExecutionId"], failed.as_str());
        let id = rollback.pipeline_execution_id().expect("it has one");
        self.succeed(id).await?;
        let found = self.ended(id, PipelineExecutionStatus::Succeeded).await?;
        let target = found.rollback_metadata().and_then(|one| one.rollback_target_pipeline_execution_id());
        assert_eq!(target, Some(first));
        self.ended(&failed, PipelineExecutionStatus::Failed).await?;
        self.shows(1).await?;
        Ok(failed)
    }

    async fn rejected_release(&self) -> Outcome<()> {
        step("release 3 is rejected; its stage is retried");
        let third = self.started_by(&self.upload(3).await?).await?;
        self.succeed(&third).await?;
        self.answer(&third, ApprovalStatus::Rejected).await?;
        self.ended(&third, PipelineExecutionStatus::Failed).await?;
        let retry = self.client.retry_stage_execution().pipeline_name("walk").pipeline_execution_id(&third);
        let retry = retry.stage_name("Accept").retry_mode(StageRetryMode::FailedActions);
        assert_eq!(retry.clone().send().await?.pipeline_execution_id(), Some(third.as_str()));
        self.answer(&third, ApprovalStatus::Approved).await?;
        self.ended(&third, PipelineExecutionStatus::Succeeded).await?;
        refused!(retry.clone().send(), RetryStageExecutionError::StageNotRetryableException);
        refused!(retry.stage_name("Nowhere").send(), RetryStageExecutionError::StageNotFoundException);
        Ok(())
    }

    async fn rollback_by_hand(&self, first: &str, failed: &str) -> Outcome<()> {
        step("a rollback by hand");
        let to = |stage: &str, target: &str| {
            let rollback = self.client.rollback_stage().pipeline_name("walk").stage_name(stage);
            rollback.target_pipeline_execution_id(target).send()
        };
        refused!(to("Deploy", UNKNOWN), RollbackStageError::PipelineExecutionNotFoundException);
        refused!(to("Deploy", failed), RollbackStageError::UnableToRollbackStageException);
        refused!(to("Source", first), RollbackStageError::UnableToRollbackStageException);
        let rollback = to("Deploy", first).await?.pipeline_execution_id;
        self.succeed(&rollback).await?;
        let found = self.ended(&rollback, PipelineExecutionStatus::Succeeded).await?;
        let trigger = found.trigger().and_then(|trigger| trigger.trigger_type());
        assert_eq!(trigger, Some(&TriggerType::ManualRollback));
        self.shows(1).await?;
        let inbound = StageTransitionType::Inbound;
        let disable = self.client.disable_stage_transition().pipeline_name("walk").stage_name("Deploy");
        disable.transition_type(inbound.clone()).reason("Sale until Monday").send().await?;
        let deploy = self.stage("Deploy").await?;
        let closed = deploy.inbound_transition_state().expect("it has one");
        assert_eq!((closed.enabled(), closed.disabled_reason()), (false, Some("Sale until Monday")));
        let enable = self.client.enable_stage_transition().pipeline_name("walk").stage_name("Deploy");
        enable.transition_type(inbound).send().await?;
        Ok(())
    }

    async fn stop(&self) -> Outcome<()> {
        step("a start, stopped in two ways");
        let start = self.client.start_pipeline_execution().name("walk").client_request_token("walk-1");
        let fourth = start.clone().send().await?.pipeline_execution_id.expect("it has one");
        assert_eq!(start.send().await?.pipeline_execution_id(), Some(fourth.as_str()));
        let job = self.take_job(&fourth).await?;
        let stop = self.client.stop_pipeline_execution().pipeline_name("walk").pipeline_execution_id(&fourth);
        let stopped = stop.clone().reason("Not today").send().await?;
        assert_eq!(stopped.pipeline_execution_id(), Some(fourth.as_str()));
        refused!(stop.clone().send(), StopPipelineExecutionError::DuplicatedStopRequestException);
        stop.clone().abandon(true).send().await?;
        self.ended(&fourth, PipelineExecutionStatus::Stopped).await?;
        refused!(stop.send(), StopPipelineExecutionError::PipelineExecutionNotStoppableException);
        let late = self.client.put_job_success_result().job_id(job.id().expect("it has one"));
        refused!(late.send(), PutJobSuccessResultError::InvalidJobStateException);
        Ok(())
    }

    async fn tags(&self) -> Outcome<()> {
        step("tags");
        let put = self.client.tag_resource().resource_arn(ARN);
        put.clone().tags(tag("stage", "prod")).tags(tag("team", "site")).send().await?;
        let list = self.client.list_tags_for_resource();
        let pages = list.clone().resource_arn(ARN).into_paginator().page_size(1).items().send();
        let mut found = pages.collect::<Result<Vec<_>, _>>().await?;
        found.sort_by(|one, other| one.key().cmp(other.key()));
        assert_eq!(found, [tag("stage", "prod"), tag("team", "site")]);
        self.client.untag_resource().resource_arn(ARN).tag_keys("stage").send().await?;
        let none = list.resource_arn(format!("{ARN}-none"));
        refused!(none.send(), ListTagsForResourceError::ResourceNotFoundException);
        refused!(put.tags(tag("aws:team", "x")).send(), TagResourceError::InvalidTagsException);
        Ok(())
    }

    async fn webhook(&self) -> Outcome<()> {
        step("a webhook");
        let filter = WebhookFilterRule::builder().json_path("$.ref").match_equals("refs/heads/main").build()?;
        let hook = WebhookDefinition::builder()
            .name("walk-hook")
            .target_pipeline("walk")
            .target_action("Upload")
            .filters(filter)
            .authentication(WebhookAuthenticationType::GithubHmac)
            .authentication_configuration(WebhookAuthConfiguration::builder().secret_token("hush").build())
            .build()?;
        let put = self.client.put_webhook();
        let made = put.clone().webhook(hook.clone()).send().await?.webhook.expect("it is made");
        assert!(made.url().starts_with("http") && made.arn().is_some_and(|arn| arn.ends_with(":webhook:walk-hook")));
        let mut lost = hook;
        lost.target_pipeline = "none".to_owned();
        refused!(put.webhook(lost).send(), PutWebhookError::PipelineNotFoundException);
        let pages = self.client.list_webhooks().into_paginator().page_size(1).items().send();
        let listed = pages.collect::<Result<Vec<_>, _>>().await?;
        assert_eq!(listed.len(), 1);
        let secret = listed[0].definition().and_then(|one| one.authentication_configuration());
        assert_ne!(secret.and_then(|one| one.secret_token()), Some("hush"));
        self.client.delete_webhook().name("walk-hook").send().await?;
        self.client.delete_webhook().name("walk-hook").send().await?;
        let register = self.client.register_webhook_with_third_party().webhook_name("none");
        refused!(register.send(), RegisterWebhookWithThirdPartyError::WebhookNotFoundException);
        Ok(())
    }

    async fn pages(&self, first: &str) -> Outcome<()> {
        step("pages");
        let list = self.client.list_pipeline_executions().pipeline_name("walk").into_paginator().page_size(1);
        let summaries = list.items().send().collect::<Result<Vec<_>, _>>().await?;
        assert_eq!(summaries.len(), self.executions().await?.len());
        let filter = ActionExecutionFilter::builder().pipeline_execution_id(first).build();
        let list = self.client.list_action_executions().pipeline_name("walk").filter(filter).into_paginator();
        let actions = list.page_size(1).items().send().collect::<Result<Vec<_>, _>>().await?;
        let names: Vec<_> = actions.iter().filter_map(|action| action.action_name()).collect();
        assert_eq!(names, ["Ask", "Probe", "Publish", "Upload"]);
        let types = self.client.list_action_types().action_owner_filter(ActionOwner::Custom).into_paginator();
        let types = types.items().send().collect::<Result<Vec<_>, _>>().await?;
        assert_eq!(types.iter().filter_map(|one| one.id()).collect::<Vec<_>>(), [&probe()]);
        let made_up = self.client.list_pipelines().next_token("made up");
        refused!(made_up.send(), ListPipelinesError::InvalidNextTokenException);
        Ok(())
    }

    async fn change_and_delete(&self, pipeline: &PipelineDeclaration) -> Outcome<()> {
        step("a new version, the old one, and the end");
        let mut changed = pipeline.clone();
        let ask = &mut changed.stages[2].actions[0].configuration;
        ask.get_or_insert_default().insert("CustomData".to_owned(), "Well?".to_owned());
        let updated = self.client.update_pipeline().pipeline(changed).send().await?;
        assert_eq!(updated.pipeline().and_then(|one| one.version()), Some(2));
        let get = self.client.get_pipeline().name("walk");
        let old = get.clone().version(1).send().await?.pipeline.expect("it is kept");
        let asked = old.stages[2].actions[0].configuration.as_ref().and_then(|one| one.get("CustomData"));
        assert_eq!(asked.map(String::as_str), Some("Does the site read well?"));
        refused!(get.version(3).send(), GetPipelineError::PipelineVersionNotFoundException);
        self.client.delete_pipeline().name("walk").send().await?;
        self.client.delete_pipeline().name("walk").send().await?;
        let state = self.client.get_pipeline_state().name("walk");
        refused!(state.send(), GetPipelineStateError::PipelineNotFoundException);
        let delete = self.client.delete_custom_action_type().category(ActionCategory::Test).provider("Probe");
        delete.version("1").send().await?;
        let poll = self.client.poll_for_jobs().action_type_id(probe());
        refused!(poll.send(), PollForJobsError::ActionTypeNotFoundException);
        assert!(self.client.list_pipelines().send().await?.pipelines().is_empty());
        Ok(())
    }
}

#[tokio::main]
async fn main() -> Outcome<()> {
    let settings = settings().await;
    let s3 = aws_sdk_s3::config::Builder::from(&settings).force_path_style(true).build();
    let walk = Walk { client: Client::new(&settings), s3: aws_sdk_s3::Client::from_conf(s3) };
    let pipeline = declaration::read(&fs::read_to_string(env::var("PIPELINE")?)?)?;
    walk.create(&pipeline).await?;
    let first = walk.first_release().await?;
    let failed = walk.bad_release(&first).await?;
    walk.rejected_release().await?;
    walk.rollback_by_hand(&first, &failed).await?;
    walk.stop().await?;
    walk.tags().await?;
    walk.webhook().await?;
    walk.pages(&first).await?;
    walk.change_and_delete(&pipeline).await?;
    println!("   Rust SDK: as told");
    Ok(())
}
