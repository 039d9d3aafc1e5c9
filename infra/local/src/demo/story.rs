//! The story, step by step.

use std::time::Duration;

use anyhow::{Context, ensure};
use aws_sdk_cloudwatch::types::{ComparisonOperator, MetricDatum, StandardUnit, Statistic};
use aws_sdk_s3::{
    primitives::ByteStream,
    types::{BucketVersioningStatus, VersioningConfiguration},
};
use serde_json::{Value, json};

use super::{
    ApiError, Client, Guard, Release,
    client::{PATIENCE, eventually, eventually_within},
    pipeline_declaration, raw_metrics,
};

/// The pipeline of the story.
pub const PIPELINE: &str = "shop";
/// Bucket of the deployed site.
pub const SITE: &str = "shop-site";
pub(crate) const RELEASES: &str = "shop-releases";
pub(crate) const ARTIFACTS: &str = "shop-artifacts";
pub(crate) const OBJECT: &str = "shop.zip";
pub(crate) const ALARM: &str = "shop-errors";
const NAMESPACE: &str = "Shop";
const METRIC: &str = "Errors";
/// Length of the alarm's periods, in seconds: the shortest CloudWatch has.
const PERIOD_S: i32 = 10;

/// Hears what the story does and sees.
pub trait Narrator {
    /// A chapter begins.
    fn chapter(&mut self, title: &str);
    /// Something was done.
    fn done(&mut self, what: &str);
    /// Something was observed.
    fn seen(&mut self, what: &str);
}

/// The story, told to whoever listens.
pub struct Story<'a, N> {
    client: &'a Client,
    narrator: &'a mut N,
    guard: Guard,
}

impl<'a, N: Narrator> Story<'a, N> {
    /// A story on the system that `client` reaches, in which `guard` catches a release that does harm.
    pub fn new(client: &'a Client, narrator: &'a mut N, guard: Guard) -> Self {
        Self { client, narrator, guard }
    }

    /// Tells the whole story. Steps that were done before are found done, so it can go on after an interruption.
    ///
    /// # Errors
    /// The first thing that is not as told.
    pub async fn tell(&mut self) -> anyhow::Result<()> {
        self.prepare().await?;
        let first = self.first_release().await?;
        self.broken_release(&first).await?;
        self.degrading_release().await?;
        self.back_by_hand(&first).await?;
        self.refusals(&first).await
    }

    async fn prepare(&mut self) -> anyhow::Result<()> {
        self.narrator.chapter(match self.guard {
            Guard::Alarm => "A pipeline: upload to S3, publish the site, smoke check, watch an alarm",
            Guard::Judge => {
                "A pipeline: upload to S3, publish the site, smoke check, judge metrics. No alarm is defined"
            }
        });
        for bucket in [RELEASES, ARTIFACTS, SITE] {
            retried(async || {
                let made = self.client.s3.create_bucket().bucket(bucket).send().await;
                match made {
                    Err(error) if error.as_service_error().is_some_and(|e| e.is_bucket_already_owned_by_you()) => {
                        Ok(())
                    }
                    other => other.map(drop).map_err(anyhow::Error::from),
                }
            })
            .await?;
        }
        let versioned = VersioningConfiguration::builder().status(BucketVersioningStatus::Enabled).build();
        retried(async || {
            let put = self.client.s3.put_bucket_versioning().bucket(RELEASES);
            Ok(put.versioning_configuration(versioned.clone()).send().await.map(drop)?)
        })
        .await?;
        if self.guard == Guard::Alarm {
            self.put_alarm().await?;
        }
        let created =
            self.client.call("CreatePipeline", &json!({ "pipeline": pipeline_declaration(self.guard) })).await;
        if let Err(error) = created {
            let known = error.downcast_ref::<ApiError>().is_some_and(|e| e.exception == "PipelineNameInUseException");
            ensure!(known, error);
        }
        self.narrator.done("created the pipeline, which starts its first execution at once, as CodePipeline does");
        let created = |one: &Value| one["trigger"]["triggerType"] == "CreatePipeline";
        let first = self.execution("the first execution", created).await?;
        let failed = self.ended(text(&first["pipelineExecutionId"])).await?;
        ensure!(failed["status"] == "Failed", "the first execution ended as {}", failed["status"]);
        self.narrator.seen(&format!("it failed, since nothing was uploaded yet: {}", text(&failed["statusSummary"])));
        Ok(())
    }

    async fn put_alarm(&mut self) -> anyhow::Result<()> {
        retried(async || {
            let alarm = self.client.cloudwatch.put_metric_alarm();
            let alarm = alarm.alarm_name(ALARM).namespace(NAMESPACE).metric_name(METRIC).statistic(Statistic::Sum);
            let alarm = alarm.period(PERIOD_S).evaluation_periods(1).threshold(0.0).treat_missing_data("notBreaching");
            Ok(alarm.comparison_operator(ComparisonOperator::GreaterThanThreshold).send().await.map(drop)?)
        })
        .await
    }

    async fn first_release(&mut self) -> anyhow::Result<String> {
        self.narrator.chapter("1. Release 1 goes out");
        let id = self.release(Release { number: 1, with_appspec: true }).await?;
        let execution = self.ended(&id).await?;
        ensure!(execution["status"] == "Succeeded", "release 1 ended as {}", execution["status"]);
        self.narrator.seen(&format!("execution {} succeeded", short(&id)));
        self.site_serves(1).await?;
        Ok(id)
    }

    async fn broken_release(&mut self, first: &str) -> anyhow::Result<()> {
        self.narrator.chapter("2. Release 2 lacks its appspec.yml: it fails and goes back by itself");
        let id = self.release(Release { number: 2, with_appspec: false }).await?;
        let failed = self.ended(&id).await?;
        ensure!(failed["status"] == "Failed", "release 2 ended as {}", failed["status"]);
        self.narrator.seen(&format!("execution {} failed: {}", short(&id), text(&failed["statusSummary"])));
        let rollback = self.rollback_of("AutomatedRollback", &id).await?;
        self.expect_rollback(&rollback, first)?;
        let detail: Value = serde_json::from_str(text(&rollback["trigger"]["triggerDetail"]))?;
        ensure!(detail["FailedPipelineExecutionId"] == id.as_str(), "the trigger names {detail}");
        self.narrator.seen(&format!("rollback {} brought execution {} back", short_of(&rollback), short(first)));
        self.site_serves(1).await?;
        let failed = self.ended(&id).await?;
        ensure!(failed["status"] == "Failed", "the failed execution became {}", failed["status"]);
        self.narrator.seen("the failed execution stays Failed");
        Ok(())
    }

    async fn degrading_release(&mut self) -> anyhow::Result<()> {
        self.narrator.chapter("3. Release 3 is good. Release 4 deploys well, then its errors rise");
        if self.guard == Guard::Judge {
            retried(async || raw_metrics::tell_history(self.client).await).await?;
            self.narrator.done("told CloudWatch of the shop's last eleven minutes: requests, failures, latency");
        }
        let third = self.release(Release { number: 3, with_appspec: true }).await?;
        let execution = self.ended(&third).await?;
        ensure!(execution["status"] == "Succeeded", "release 3 ended as {}", execution["status"]);
        self.site_serves(3).await?;
        let fourth = self.release(Release { number: 4, with_appspec: true }).await?;
        let execution = self.ended(&fourth).await?;
        ensure!(execution["status"] == "Succeeded", "release 4 ended as {}", execution["status"]);
        self.narrator
            .seen(&format!("execution {} succeeded; its watch runs on without holding the stage", short(&fourth)));
        let rollback = self.errors_until_rolled_back(&fourth).await?;
        self.expect_rollback(&rollback, &third)?;
        let what = match self.guard {
            Guard::Alarm => format!("alarm {ALARM} turned red"),
            Guard::Judge => "the judge says that the release does harm".to_owned(),
        };
        self.narrator.seen(&format!("{what}; rollback {} brought release 3 back", short_of(&rollback)));
        if self.guard == Guard::Judge {
            for line in raw_metrics::evidence(self.client).await? {
                self.narrator.seen(&line);
            }
        }
        self.site_serves(3).await?;
        let stage = self.deploy_stage().await?;
        let inbound = &stage["inboundTransitionState"];
        ensure!(inbound["enabled"] == false, "the inbound transition is not held");
        self.narrator.seen(&format!("the way into the stage is held: {}", text(&inbound["disabledReason"])));
        Ok(())
    }

    /// Sends errors until they have led to a rollback. For the alarm one would do; a process that is killed may lose one.
    async fn errors_until_rolled_back(&mut self, fourth: &str) -> anyhow::Result<Value> {
        self.narrator.done(match self.guard {
            Guard::Alarm => "sending errors of release 4 to CloudWatch; the alarm looks every ten seconds",
            Guard::Judge => {
                "sending what release 4 does to CloudWatch; the judge looks every minute at points of ten seconds"
            }
        });
        let watched = fourth.to_owned();
        // The judge wants two points or three, whole, and comes by once a minute.
        let patience = if self.guard == Guard::Judge { PATIENCE * 3 } else { PATIENCE };
        eventually_within("the rollback of release 4", patience, async || {
            if let Some(rollback) = self.find_rollback("AutomatedRollback", &watched).await? {
                return Ok(Some(rollback));
            }
            if self.guard == Guard::Judge {
                let _ = raw_metrics::tell_harm(self.client).await;
                tokio::time::sleep(Duration::from_secs(2)).await;
                return Ok(None);
            }
            let datum = MetricDatum::builder().metric_name(METRIC).value(5.0).unit(StandardUnit::Count);
            let datum = datum.storage_resolution(1).build();
            // One that does not arrive is followed by another.
            let _ = self.client.cloudwatch.put_metric_data().namespace(NAMESPACE).metric_data(datum).send().await;
            tokio::time::sleep(Duration::from_millis(900)).await;
            Ok(None)
        })
        .await?;
        self.rollback_of("AutomatedRollback", fourth).await
    }

    async fn back_by_hand(&mut self, first: &str) -> anyhow::Result<()> {
        self.narrator.chapter("4. Back to release 1, by hand");
        let candidates = self.candidates().await?;
        for candidate in &candidates {
            let verdict = match candidate["eligible"].as_bool() {
                Some(true) if candidate["revoked"] == true => "yes, though it was taken back".to_owned(),
                Some(true) => "yes".to_owned(),
                _ => format!("no: {}", candidate["reasons"][0].as_str().unwrap_or_default()),
            };
            self.narrator.seen(&format!("candidate {}  {verdict}", short_of(candidate)));
        }
        let find = |id: &str| candidates.iter().find(|one| one["pipelineExecutionId"] == id);
        let chosen = find(first).context("release 1 is not among the candidates")?;
        ensure!(chosen["eligible"] == true, "release 1 is not eligible: {}", chosen["reasons"]);
        let rollback = match self.find_rollback("ManualRollback", "").await? {
            Some(found) => found,
            None => {
                let input =
                    json!({ "pipelineName": PIPELINE, "stageName": "Deploy", "targetPipelineExecutionId": first });
                match self.client.call("RollbackStage", &input).await {
                    Ok(started) => started,
                    // A call whose answer was lost has started it, and is refused when it is repeated.
                    Err(error) => self.find_rollback("ManualRollback", "").await?.ok_or(error)?,
                }
            }
        };
        self.narrator.done(&format!("rollback-stage to execution {}", short(first)));
        let id = text(&rollback["pipelineExecutionId"]).to_owned();
        let rollback = self.ended(&id).await?;
        self.expect_rollback(&rollback, first)?;
        self.narrator.seen(&format!("rollback {} succeeded", short(&id)));
        self.site_serves(1).await
    }

    /// What must be refused, with CodePipeline's error.
    async fn refusals(&mut self, first: &str) -> anyhow::Result<()> {
        self.narrator.chapter("What is refused, and how");
        let candidates = self.candidates().await?;
        let of = |found: &dyn Fn(&Value) -> bool| -> anyhow::Result<String> {
            let one = candidates.iter().find(|one| found(one)).context("no such execution in the history")?;
            Ok(text(&one["pipelineExecutionId"]).to_owned())
        };
        let failed = of(&|one| one["status"] == "Failed")?;
        let rollbacks = self.executions().await?;
        let rollback = rollbacks.iter().find(|one| one["executionType"] == "ROLLBACK").context("no rollback")?;
        let rollback = text(&rollback["pipelineExecutionId"]).to_owned();
        let unknown = "00000000-0000-4000-8000-000000000000".to_owned();
        for (what, stage, target, exception) in [
            ("the Source stage", "Source", first.to_owned(), "UnableToRollbackStageException"),
            ("an execution that never succeeded there", "Deploy", failed, "UnableToRollbackStageException"),
            ("a rollback", "Deploy", rollback, "UnableToRollbackStageException"),
            ("an unknown execution", "Deploy", unknown, "PipelineExecutionNotFoundException"),
        ] {
            let input = json!({ "pipelineName": PIPELINE, "stageName": stage, "targetPipelineExecutionId": target });
            let refused = self.client.call("RollbackStage", &input).await;
            let error = refused.err().with_context(|| format!("rolling back to {what} was not refused"))?;
            let error = error.downcast::<ApiError>()?;
            ensure!(error.exception == exception, "{what}: {error}");
            self.narrator.seen(&format!("{what}: {error}"));
        }
        Ok(())
    }

    /// Uploads a release, unless it was uploaded before, and finds the execution that the upload started.
    async fn release(&mut self, release: Release) -> anyhow::Result<String> {
        let number = release.number.to_string();
        let archive = release.archive()?;
        let version = retried(async || {
            let head = self.client.s3.head_object().bucket(RELEASES).key(OBJECT).send().await;
            if let Ok(head) = head
                && head.metadata().and_then(|metadata| metadata.get("release")) == Some(&number)
            {
                return Ok(head.version_id().map(str::to_owned));
            }
            let put = self.client.s3.put_object().bucket(RELEASES).key(OBJECT).body(ByteStream::from(archive.clone()));
            let put = put.metadata("release", &number);
            let put = put.metadata("codepipeline-artifact-revision-summary", format!("release {number}"));
            Ok(put.send().await?.version_id().map(str::to_owned))
        })
        .await?
        .context("the bucket keeps no versions")?;
        self.narrator.done(&format!("uploaded release {number} to s3://{RELEASES}/{OBJECT}"));
        let started = self
            .execution("the upload's execution", |one| {
                one["trigger"]["triggerType"] == "CloudWatchEvent"
                    && one["sourceRevisions"][0]["revisionId"] == version.as_str()
            })
            .await?;
        Ok(text(&started["pipelineExecutionId"]).to_owned())
    }

    async fn executions(&self) -> anyhow::Result<Vec<Value>> {
        let listed = self.client.call("ListPipelineExecutions", &json!({ "pipelineName": PIPELINE })).await?;
        Ok(listed["pipelineExecutionSummaries"].as_array().cloned().unwrap_or_default())
    }

    async fn execution(&self, what: &str, is: impl Fn(&Value) -> bool) -> anyhow::Result<Value> {
        eventually(what, async || Ok(self.executions().await?.into_iter().find(&is))).await
    }

    async fn ended(&self, id: &str) -> anyhow::Result<Value> {
        self.execution(&format!("the end of execution {id}"), |one| {
            one["pipelineExecutionId"] == id && one["status"] != "InProgress"
        })
        .await
    }

    /// The ended rollback that `trigger` started because of `undone`.
    async fn rollback_of(&self, trigger: &str, undone: &str) -> anyhow::Result<Value> {
        eventually("the rollback", async || {
            let found = self.find_rollback(trigger, undone).await?;
            Ok(found.filter(|one| one["status"] != "InProgress"))
        })
        .await
    }

    async fn find_rollback(&self, trigger: &str, undone: &str) -> anyhow::Result<Option<Value>> {
        let is = |one: &Value| {
            one["trigger"]["triggerType"] == trigger && text(&one["trigger"]["triggerDetail"]).contains(undone)
        };
        Ok(self.executions().await?.into_iter().find(is))
    }

    fn expect_rollback(&self, rollback: &Value, target: &str) -> anyhow::Result<()> {
        ensure!(rollback["status"] == "Succeeded", "the rollback ended as {}", rollback["status"]);
        ensure!(rollback["executionType"] == "ROLLBACK", "its type is {}", rollback["executionType"]);
        let brought = &rollback["rollbackMetadata"]["rollbackTargetPipelineExecutionId"];
        ensure!(brought == target, "it brought {brought} back instead of {target}");
        Ok(())
    }

    async fn candidates(&self) -> anyhow::Result<Vec<Value>> {
        let input = json!({ "pipelineName": PIPELINE, "stageName": "Deploy" });
        let listed = self.client.call("ListRollbackCandidates", &input).await?;
        Ok(listed["candidates"].as_array().cloned().unwrap_or_default())
    }

    async fn deploy_stage(&self) -> anyhow::Result<Value> {
        let state = self.client.call("GetPipelineState", &json!({ "name": PIPELINE })).await?;
        Ok(state["stageStates"][1].clone())
    }

    async fn site_serves(&mut self, number: u32) -> anyhow::Result<()> {
        let page = Release { number, with_appspec: true }.page();
        eventually(&format!("release {number} on the site"), async || {
            let served = self.client.page(&format!("{SITE}/index.html")).await?;
            Ok((served.as_deref() == Some(page.as_bytes())).then_some(()))
        })
        .await?;
        self.narrator.seen(&format!("the site serves release {number}"));
        Ok(())
    }
}

/// Tries a call through an SDK until it is answered: the system may be on its way up again.
async fn retried<T>(mut call: impl AsyncFnMut() -> anyhow::Result<T>) -> anyhow::Result<T> {
    eventually("an answer", async || Ok(call().await.ok())).await
}

pub(crate) fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// The part of an id that tells executions of one demonstration apart.
pub(crate) fn short(id: &str) -> &str {
    id.rsplit('-').next().unwrap_or(id)
}

fn short_of(execution: &Value) -> String {
    short(text(&execution["pipelineExecutionId"])).to_owned()
}
