//! Runs releases and rollbacks, and takes down what they took.

use std::{collections::BTreeMap, io::IsTerminal, sync::Arc, time::Duration};

use anyhow::{Context, bail, ensure};
use aws_sdk_cloudwatch::types::{ComparisonOperator, StateValue, Statistic};
use aws_sdk_s3::{
    primitives::ByteStream,
    types::{BucketVersioningStatus, EventBridgeConfiguration, NotificationConfiguration, VersioningConfiguration},
};
use engine::ports::Clock;
use local::{Access, EventOptions, Options, System};
use runtime::{Config, SystemClock};
use serde_json::{Value, json};

use super::{
    client::CodePipeline,
    reference::{
        ALARM, ARTIFACTS, DEPLOY, FUNCTION, GROUPS, OBJECT, PIPELINE, SITE, Smoke, UPLOADS, declaration, function,
    },
};

/// So long nothing may happen before a release counts as over.
const QUIET: Duration = Duration::from_millis(400);
/// How often one looks whether something happened.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// So often a release may be found quiet but not over: then it hangs.
const LOOKS_MAX: u32 = 50;
/// Its work does not belong to a release.
const RECONCILER: &str = "lastgood-reconciler";

/// What releases took.
#[derive(Debug, Clone, Default)]
pub(super) struct Counts {
    pub(super) transitions: u64,
    pub(super) requests: u64,
    pub(super) read_units: f64,
    pub(super) write_units: f64,
    /// On the event bus.
    pub(super) events: u64,
    /// Of our functions, by name.
    pub(super) invocations: BTreeMap<String, u64>,
}

/// What was measured. Times in milliseconds.
pub(super) struct Measured {
    pub(super) releases: u32,
    /// Of all releases together.
    pub(super) counts: Counts,
    /// From the end of an action to the start of the next.
    pub(super) between_actions: Vec<i64>,
    /// From the failing result to the first action of the rollback.
    pub(super) after_failure: Vec<i64>,
    /// From the alarm's change to the first action of the rollback.
    pub(super) after_alarm: Vec<i64>,
}

/// Runs everything in a directory of its own.
///
/// # Errors
/// When the system does not start, or a release does not end as it should.
pub(super) async fn measure(releases: u32, rollbacks: u32) -> anyhow::Result<Measured> {
    let data = tempfile::tempdir()?;
    let bench = Bench::start(data.path()).await?;
    let mut measured = Measured {
        releases,
        counts: Counts::default(),
        between_actions: Vec::new(),
        after_failure: Vec::new(),
        after_alarm: Vec::new(),
    };
    bench.create().await.context("the first release")?;
    for number in 1..=releases {
        progress("release", number, releases);
        let before = bench.counts();
        let ended = bench.release(number).await?;
        measured.counts.add(&ended.counts, &before);
        bench.expect(&ended.newest, "STANDARD", "Succeeded")?;
        measured.between_actions.extend(gaps(&bench.actions_of(&ended.newest).await?)?);
    }
    for number in 1..=rollbacks {
        progress("rollback after a failure", number, rollbacks);
        bench.smoke.fail_once();
        let ended = bench.release(number).await?;
        bench.expect(&ended.newest, "ROLLBACK", "Succeeded")?;
        measured.after_failure.push(bench.first_start(&ended.newest).await? - bench.smoke.failed_at_ms());
        bench.open_deploy().await?;
    }
    bench.watch().await?;
    for number in 1..=rollbacks {
        progress("rollback after an alarm", number, rollbacks);
        bench.set_alarm(StateValue::Ok).await?;
        let deployed = bench.release(number).await?;
        bench.expect(&deployed.newest, "STANDARD", "Succeeded")?;
        let at = SystemClock.now().as_millisecond();
        bench.set_alarm(StateValue::Alarm).await?;
        let ended = bench.settle().await?;
        bench.expect(&ended.newest, "ROLLBACK", "Succeeded")?;
        measured.after_alarm.push(bench.first_start(&ended.newest).await? - at);
        bench.open_deploy().await?;
    }
    Ok(measured)
}

/// Shows how far it is, on one line that the next overwrites; nothing where nobody watches.
pub(super) fn progress(what: &str, number: u32, of: u32) {
    if std::io::stderr().is_terminal() {
        let end = if number < of { "" } else { "\r\x1b[K" };
        eprint!("\r\x1b[K{what} {number} of {of}{end}");
    }
}

/// The running system with its clients.
pub(super) struct Bench {
    pub(super) system: System,
    pub(super) api: CodePipeline,
    pub(super) s3: aws_sdk_s3::Client,
    cloudwatch: aws_sdk_cloudwatch::Client,
    smoke: Arc<Smoke>,
}

/// A release that is over.
struct Ended {
    /// Counts before anybody looked at it.
    counts: Counts,
    /// The newest execution.
    newest: Value,
}

impl Bench {
    /// Starts the system with its data in `data`.
    pub(super) async fn start(data: &std::path::Path) -> anyhow::Result<Self> {
        let options = Options {
            data: data.to_owned(),
            port: 0,
            regions: Vec::new(),
            functions: Vec::new(),
            endpoints: Vec::new(),
            events: EventOptions::default(),
            access: Access::default(),
        };
        let system = System::start(options).await?;
        let api = CodePipeline::at(system.endpoint());
        let smoke = Arc::new(Smoke::default());
        system.add_handler(FUNCTION, function(api.clone(), Arc::clone(&smoke)))?;
        let sdk = sdk_config(&system.endpoint())?;
        let (s3, cloudwatch) = (aws::s3::client(&sdk), aws_sdk_cloudwatch::Client::new(&sdk));
        Ok(Self { system, api, s3, cloudwatch, smoke })
    }

    /// Makes buckets and the pipeline, whose creation is its first release.
    pub(super) async fn create(&self) -> anyhow::Result<()> {
        let versioned = VersioningConfiguration::builder().status(BucketVersioningStatus::Enabled).build();
        for bucket in [UPLOADS, ARTIFACTS, SITE] {
            self.s3.create_bucket().bucket(bucket).send().await?;
            self.s3.put_bucket_versioning().bucket(bucket).versioning_configuration(versioned.clone()).send().await?;
        }
        let events = NotificationConfiguration::builder()
            .event_bridge_configuration(EventBridgeConfiguration::builder().build())
            .build();
        let notify = self.s3.put_bucket_notification_configuration().bucket(UPLOADS);
        notify.notification_configuration(events).send().await?;
        self.upload(0).await?;
        self.api.call("CreatePipeline", json!({ "pipeline": declaration(false) })).await?;
        let first = self.settle().await?;
        self.expect(&first.newest, "STANDARD", "Succeeded")
    }

    /// Has the alarm watched from the next release on.
    async fn watch(&self) -> anyhow::Result<()> {
        let alarm = self.cloudwatch.put_metric_alarm().alarm_name(ALARM).namespace("Bench").metric_name("Errors");
        let alarm = alarm.statistic(Statistic::Sum).period(60).evaluation_periods(1).threshold(1.0);
        let alarm = alarm.comparison_operator(ComparisonOperator::GreaterThanOrEqualToThreshold);
        alarm.treat_missing_data("ignore").send().await?;
        self.api.call("UpdatePipeline", json!({ "pipeline": declaration(true) })).await?;
        Ok(())
    }

    async fn set_alarm(&self, state: StateValue) -> anyhow::Result<()> {
        let set = self.cloudwatch.set_alarm_state().alarm_name(ALARM).state_value(state);
        set.state_reason("benchmark").send().await?;
        Ok(())
    }

    async fn upload(&self, number: u32) -> anyhow::Result<()> {
        let body = ByteStream::from(format!("release {number}").into_bytes());
        self.s3.put_object().bucket(UPLOADS).key(OBJECT).body(body).send().await?;
        Ok(())
    }

    async fn release(&self, number: u32) -> anyhow::Result<Ended> {
        self.upload(number).await?;
        self.settle().await
    }

    /// Lifts the hold that a rollback leaves.
    async fn open_deploy(&self) -> anyhow::Result<()> {
        let transition = json!({ "pipelineName": PIPELINE, "stageName": DEPLOY, "transitionType": "Inbound" });
        self.api.call("EnableStageTransition", transition).await?;
        self.settle().await.map(drop)
    }

    /// Waits until nothing happens and the newest execution has ended.
    async fn settle(&self) -> anyhow::Result<Ended> {
        for _ in 0..LOOKS_MAX {
            self.quiet().await;
            let counts = self.counts();
            let list = json!({ "pipelineName": PIPELINE, "maxResults": 1 });
            let answer = self.api.call("ListPipelineExecutions", list).await?;
            let newest = answer["pipelineExecutionSummaries"][0].clone();
            if newest["status"] != "InProgress" {
                return Ok(Ended { counts, newest });
            }
        }
        bail!("an execution does not end")
    }

    async fn quiet(&self) {
        let mut seen = self.busy();
        let mut still = Duration::ZERO;
        while still < QUIET {
            tokio::time::sleep(LOOK_EVERY).await;
            let now = self.busy();
            still = if now == seen { still + LOOK_EVERY } else { Duration::ZERO };
            seen = now;
        }
    }

    /// Anything that changes whenever something happens.
    fn busy(&self) -> (u64, u64, u64) {
        let counts = self.counts();
        (counts.transitions, counts.requests, counts.invocations.values().sum())
    }

    fn counts(&self) -> Counts {
        let usage = self.system.table_usage();
        let mut invocations = self.system.invocations();
        // What the user's function and the reconciler take is not the release's.
        invocations.retain(|name, _| name != FUNCTION && name != RECONCILER);
        Counts {
            transitions: self.system.transitions(),
            requests: usage.requests(),
            read_units: usage.read_units(),
            write_units: usage.write_units(),
            events: self.system.events_taken(),
            invocations,
        }
    }

    fn expect(&self, execution: &Value, kind: &str, status: &str) -> anyhow::Result<()> {
        let found = (&execution["executionType"], &execution["status"]);
        ensure!(found.0 == kind && found.1 == status, "expected {kind} {status}, found {execution}");
        Ok(())
    }

    async fn actions_of(&self, execution: &Value) -> anyhow::Result<Vec<Value>> {
        let filter = json!({ "pipelineExecutionId": execution["pipelineExecutionId"] });
        let list = json!({ "pipelineName": PIPELINE, "filter": filter });
        let mut answer = self.api.call("ListActionExecutions", list).await?;
        let details = answer["actionExecutionDetails"].as_array_mut().context("no action executions")?;
        Ok(std::mem::take(details))
    }

    async fn first_start(&self, execution: &Value) -> anyhow::Result<i64> {
        let actions = self.actions_of(execution).await?;
        actions.iter().filter_map(|action| ms(&action["startTime"])).min().context("a rollback without actions")
    }
}

impl Counts {
    /// Adds what was counted between `before` and `after`.
    fn add(&mut self, after: &Self, before: &Self) {
        self.transitions += after.transitions - before.transitions;
        self.requests += after.requests - before.requests;
        self.read_units += after.read_units - before.read_units;
        self.events += after.events - before.events;
        self.write_units += after.write_units - before.write_units;
        for (name, count) in &after.invocations {
            let before = before.invocations.get(name).copied().unwrap_or(0);
            *self.invocations.entry(name.clone()).or_default() += count - before;
        }
    }
}

/// From the end of each group of actions to the start of the next.
fn gaps(actions: &[Value]) -> anyhow::Result<Vec<i64>> {
    let times = |group: &[&str], member: &str| -> anyhow::Result<Vec<i64>> {
        let of_group = |action: &&Value| action["actionName"].as_str().is_some_and(|name| group.contains(&name));
        let times =
            actions.iter().filter(of_group).map(|action| ms(&action[member]).context("an action without times"));
        times.collect()
    };
    let mut gaps = Vec::new();
    for (group, next) in GROUPS.iter().zip(&GROUPS[1..]) {
        let end = times(group, "lastUpdateTime")?.into_iter().max().context("an action did not run")?;
        let start = times(next, "startTime")?.into_iter().min().context("an action did not run")?;
        gaps.push(start - end);
    }
    Ok(gaps)
}

/// A timestamp of the protocol, seconds with fractions, in whole milliseconds.
pub(super) fn ms(time: &Value) -> Option<i64> {
    time.as_f64().map(|seconds| (seconds * 1e3).round() as i64)
}

/// Settings of the SDK for the system at `endpoint`.
pub(super) fn sdk_config(endpoint: &str) -> anyhow::Result<aws_types::SdkConfig> {
    let machine = format!("arn:aws:states:{}:{}:stateMachine:unused", local::REGION, local::ACCOUNT);
    let variables = [
        ("LASTGOOD_TABLE", local::TABLE),
        ("LASTGOOD_BUCKET", local::BUCKET),
        ("LASTGOOD_ACCOUNT", local::ACCOUNT),
        ("AWS_REGION", local::REGION),
        ("LASTGOOD_PIPELINE_MACHINE_ARN", &machine),
    ];
    let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
    Ok(Config::from_map(&BTreeMap::from(variables))?.sdk_config_at(endpoint))
}
