//! Makes the pipelines, uploads in bursts, waits for the end, and reads what became of it.

use std::{
    collections::{BTreeMap, VecDeque},
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context, ensure};
use aws_sdk_s3::{
    primitives::ByteStream,
    types::{
        BucketVersioningStatus, Event, EventBridgeConfiguration, LambdaFunctionConfiguration,
        NotificationConfiguration, VersioningConfiguration,
    },
};
use engine::ports::Clock;
use runtime::SystemClock;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::{
    Options,
    check::{Found, Ran, Upload},
    memory::{Memory, bytes_below, resident_kb},
    report::Measured,
};
use crate::bench::{
    client::CodePipeline,
    measure::{Bench, ms, progress},
};

const UPLOADS: &str = "lastgood-load-uploads";
const ARTIFACTS: &str = "lastgood-load-artifacts";
const SITE: &str = "lastgood-load-site";
const SOURCE_TRIGGER: &str = "lastgood-source-trigger";
/// Clients that ask at the same time.
const CLIENTS: usize = 16;
/// How often one looks whether something has come.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// As long as this nothing may happen while something is open: then it hangs.
const PATIENCE: Duration = Duration::from_secs(180);
/// Moments at which memory is looked at while uploads go on.
const LOOKS: u32 = 10;

/// Runs everything in a directory of its own.
///
/// # Errors
/// When the system does not start, refuses, or something does not end.
pub(super) async fn drive(options: &Options) -> anyhow::Result<Measured> {
    let data = tempfile::tempdir()?;
    let mut load = Load { bench: Bench::start(data.path()).await?, data: data.path(), memory: Vec::new() };
    load.look("started", 0);
    load.make_buckets().await?;
    load.make_pipelines(options.pipelines).await?;
    load.settle().await?;
    load.look("pipelines made, each released once", 0);

    let begun = SystemClock.now();
    let told = load.told();
    let mut uploads = load.upload_all(options).await?;
    load.settle().await?;
    let took_ms = SystemClock.now().duration_since(begun).as_millis().try_into()?;
    load.look("all ended", options.uploads);

    let (ran, until_action) = load.history(options.pipelines, &uploads).await?;
    load.tell_again(&mut uploads).await?;
    load.look("all told again", options.uploads);
    let mut ended: BTreeMap<String, u32> = BTreeMap::new();
    for one in &ran {
        *ended.entry(one.status.clone()).or_default() += 1;
    }
    let (pipelines, burst) = (options.pipelines, options.burst.min(options.pipelines));
    let (deliveries, found) = (load.told() - told, Found::of(&uploads, &ran));
    let memory = load.memory;
    Ok(Measured { pipelines, uploads: options.uploads, burst, deliveries, ended, took_ms, until_action, memory, found })
}

/// The system under load.
struct Load<'a> {
    bench: Bench,
    data: &'a Path,
    memory: Vec<Memory>,
}

impl Load<'_> {
    fn look(&mut self, when: &str, uploads: u32) {
        let (resident_kb, disk_bytes) = (resident_kb(), bytes_below(self.data));
        self.memory.push(Memory { when: when.to_owned(), uploads, resident_kb, disk_bytes });
    }

    /// How often the function was told of an object.
    fn told(&self) -> u64 {
        self.bench.system.invocations().get(SOURCE_TRIGGER).copied().unwrap_or(0)
    }

    async fn make_buckets(&self) -> anyhow::Result<()> {
        let s3 = &self.bench.s3;
        let versioned = VersioningConfiguration::builder().status(BucketVersioningStatus::Enabled).build();
        for bucket in [UPLOADS, ARTIFACTS, SITE] {
            s3.create_bucket().bucket(bucket).send().await?;
            s3.put_bucket_versioning().bucket(bucket).versioning_configuration(versioned.clone()).send().await?;
        }
        Ok(())
    }

    /// Has each upload told by S3's own notification too. Events come in any case: the local bus has no rules.
    async fn tell_both_ways(&self) -> anyhow::Result<()> {
        let function = format!("arn:aws:lambda:{}:{}:function:{SOURCE_TRIGGER}", local::REGION, local::ACCOUNT);
        let function = LambdaFunctionConfiguration::builder()
            .lambda_function_arn(function)
            .events(Event::from("s3:ObjectCreated:*"))
            .build()?;
        let both = NotificationConfiguration::builder()
            .event_bridge_configuration(EventBridgeConfiguration::builder().build())
            .lambda_function_configurations(function)
            .build();
        let put = self.bench.s3.put_bucket_notification_configuration().bucket(UPLOADS);
        put.notification_configuration(both).send().await?;
        Ok(())
    }

    /// Makes the pipelines; the creation of each is its first release, of an object of which was told before: nobody took it then.
    async fn make_pipelines(&self, count: u32) -> anyhow::Result<()> {
        let s3 = self.bench.s3.clone();
        let upload = move |number: u32| {
            let s3 = s3.clone();
            async move { put(&s3, number, 0).await.map(drop) }
        };
        at_once("first object", (0..count).collect(), upload).await?;
        let mut patience = Patience::new(self.told());
        while self.told() < u64::from(count) {
            patience.wait(self.told(), || "objects are not told".to_owned()).await?;
        }
        self.tell_both_ways().await?;
        let api = self.bench.api.clone();
        let create = move |number: u32| {
            let api = api.clone();
            async move { api.call("CreatePipeline", json!({ "pipeline": declaration(number) })).await.map(drop) }
        };
        at_once("pipeline", (0..count).collect(), create).await.map(drop)
    }

    /// Uploads burst after burst. A pipeline gets its next upload when the one before has its execution: of uploads that are told
    /// out of order, the older would rightly start nothing.
    async fn upload_all(&mut self, options: &Options) -> anyhow::Result<Vec<Upload>> {
        let burst = options.burst.min(options.pipelines);
        let mut newest = BTreeMap::new();
        for pipeline in 0..options.pipelines {
            newest.insert(pipeline, newest_of(&self.bench.api, pipeline).await?);
        }
        let (mut uploads, mut looked) = (Vec::new(), 0);
        while uploads.len() < options.uploads as usize {
            let from = u32::try_from(uploads.len())?;
            let numbers: Vec<u32> = (from..options.uploads.min(from + burst)).collect();
            let (s3, pipelines) = (self.bench.s3.clone(), options.pipelines);
            let upload = move |number: u32| {
                let s3 = s3.clone();
                async move { put(&s3, number % pipelines, number + 1).await }
            };
            let mut sent = at_once("", numbers, upload).await?;
            sent.sort_by_key(|one: &Upload| one.pipeline);
            self.accepted(sent.iter().map(|one| one.pipeline).collect(), &mut newest).await?;
            uploads.extend(sent);
            let count = u32::try_from(uploads.len())?;
            progress("upload", count, options.uploads);
            if count * LOOKS / options.uploads > looked {
                looked = count * LOOKS / options.uploads;
                self.look("uploading", count);
            }
        }
        Ok(uploads)
    }

    /// Waits until each of `pipelines` has a newer execution than it had, and notes it. One is asked at a time: to ask all again and
    /// again would be most of the load.
    async fn accepted(&self, pipelines: Vec<u32>, newest: &mut BTreeMap<u32, String>) -> anyhow::Result<()> {
        for pipeline in pipelines {
            let mut patience = Patience::new(self.bench.system.transitions());
            let id = loop {
                let id = newest_of(&self.bench.api, pipeline).await?;
                if newest.get(&pipeline) != Some(&id) {
                    break id;
                }
                let what = || format!("an upload of pipeline {pipeline} starts nothing");
                patience.wait(self.bench.system.transitions(), what).await?;
            };
            newest.insert(pipeline, id);
        }
        Ok(())
    }

    /// Waits until no execution is open.
    async fn settle(&self) -> anyhow::Result<()> {
        let mut patience = Patience::new(self.bench.system.transitions());
        loop {
            let health = self.bench.api.call_target("Lastgood_20261201.DescribeHealth", &json!({})).await?;
            if health["executionsOpen"] == 0 {
                return Ok(());
            }
            let what = || format!("{} executions or more do not end", health["executionsOpen"]);
            patience.wait(self.bench.system.transitions(), what).await?;
        }
    }

    /// Every execution that an upload has started, and the time from each upload to its first action.
    async fn history(&self, pipelines: u32, uploads: &[Upload]) -> anyhow::Result<(Vec<Ran>, Vec<i64>)> {
        let api = self.bench.api.clone();
        let read = move |pipeline: u32| {
            let api = api.clone();
            async move { Ok((executions(&api, pipeline).await?, first_actions(&api, pipeline).await?)) }
        };
        let (mut ran, mut began) = (Vec::new(), BTreeMap::new());
        for (executions, first) in at_once("history", (0..pipelines).collect(), read).await? {
            ran.extend(executions);
            began.extend(first);
        }
        let sent: BTreeMap<(u32, &str), i64> =
            uploads.iter().map(|one| ((one.pipeline, one.version.as_str()), one.sent_ms)).collect();
        let times = ran.iter().filter_map(|one: &Ran| {
            let sent = sent.get(&(one.pipeline, one.version.as_deref()?))?;
            Some(began.get(&one.id)? - sent)
        });
        let mut times: Vec<i64> = times.collect();
        times.sort_unstable();
        Ok((ran, times))
    }

    /// Tells of every upload once more, and notes which execution it is said to have.
    async fn tell_again(&self, uploads: &mut [Upload]) -> anyhow::Result<()> {
        let api = self.bench.api.clone();
        let tell = move |(index, event): (usize, Value)| {
            let api = api.clone();
            async move {
                let answer = api.invoke(SOURCE_TRIGGER, &event).await?;
                Ok((index, answer["executions"][0].as_str().unwrap_or_default().to_owned()))
            }
        };
        let events = uploads.iter().map(event).enumerate().collect();
        for (index, execution) in at_once("upload told again", events, tell).await? {
            uploads[index].execution = execution;
        }
        Ok(())
    }
}

/// Waits, as long as something happens.
struct Patience {
    seen: u64,
    still: Duration,
}

impl Patience {
    fn new(seen: u64) -> Self {
        Self { seen, still: Duration::ZERO }
    }

    /// Waits a moment. `busy` changes whenever something happens.
    async fn wait(&mut self, busy: u64, what: impl Fn() -> String) -> anyhow::Result<()> {
        self.still = if busy == self.seen { self.still + LOOK_EVERY } else { Duration::ZERO };
        self.seen = busy;
        ensure!(self.still < PATIENCE, "{}, and nothing has happened for {} s", what(), PATIENCE.as_secs());
        tokio::time::sleep(LOOK_EVERY).await;
        Ok(())
    }
}

/// Does `what` for all items, [`CLIENTS`] at a time; shows progress by that name, where there is one.
async fn at_once<I, T, F, Fut>(shown: &str, items: Vec<I>, what: F) -> anyhow::Result<Vec<T>>
where
    I: Send + 'static,
    T: Send + 'static,
    F: Fn(I) -> Fut + Clone + Send + 'static,
    Fut: Future<Output = anyhow::Result<T>> + Send,
{
    let of = u32::try_from(items.len())?;
    let items = Arc::new(Mutex::new(VecDeque::from(items)));
    let (sender, mut done) = tokio::sync::mpsc::unbounded_channel();
    let mut clients = JoinSet::new();
    for _ in 0..CLIENTS {
        let (items, what, sender) = (Arc::clone(&items), what.clone(), sender.clone());
        clients.spawn(async move {
            let next = || items.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
            while let Some(item) = next() {
                // Nobody listens any more once one has failed.
                if sender.send(what(item).await).is_err() {
                    break;
                }
            }
        });
    }
    drop(sender);
    let mut results = Vec::new();
    while let Some(result) = done.recv().await {
        results.push(result?);
        if !shown.is_empty() {
            progress(shown, u32::try_from(results.len())?, of);
        }
    }
    Ok(results)
}

async fn put(s3: &aws_sdk_s3::Client, pipeline: u32, number: u32) -> anyhow::Result<Upload> {
    let body = ByteStream::from(format!("release {number}").into_bytes());
    let sent_ms = SystemClock.now().as_millisecond();
    let answer = s3.put_object().bucket(UPLOADS).key(key(pipeline)).body(body).send().await?;
    let version = answer.version_id.context("the bucket keeps no versions")?;
    Ok(Upload { pipeline, version, sent_ms, execution: String::new() })
}

/// The newest execution of a pipeline.
async fn newest_of(api: &CodePipeline, pipeline: u32) -> anyhow::Result<String> {
    let list = json!({ "pipelineName": name(pipeline), "maxResults": 1 });
    let answer = api.call("ListPipelineExecutions", list).await?;
    Ok(answer["pipelineExecutionSummaries"][0]["pipelineExecutionId"].as_str().unwrap_or_default().to_owned())
}

/// The executions of a pipeline that uploads have started.
async fn executions(api: &CodePipeline, pipeline: u32) -> anyhow::Result<Vec<Ran>> {
    let summaries = pages(api, "ListPipelineExecutions", pipeline, "pipelineExecutionSummaries").await?;
    let by_upload = summaries.iter().filter(|one| one["trigger"]["triggerType"] == "CloudWatchEvent");
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let ran = by_upload.map(|one| Ran {
        pipeline,
        id: text(&one["pipelineExecutionId"]).unwrap_or_default(),
        version: text(&one["sourceRevisions"][0]["revisionId"]),
        status: text(&one["status"]).unwrap_or_default(),
    });
    Ok(ran.collect())
}

/// When the first action of each execution began, in milliseconds since 1970.
async fn first_actions(api: &CodePipeline, pipeline: u32) -> anyhow::Result<BTreeMap<String, i64>> {
    let mut first = BTreeMap::new();
    for action in pages(api, "ListActionExecutions", pipeline, "actionExecutionDetails").await? {
        let (Some(id), Some(at)) = (action["pipelineExecutionId"].as_str(), ms(&action["startTime"])) else { continue };
        first.entry(id.to_owned()).and_modify(|first: &mut i64| *first = at.min(*first)).or_insert(at);
    }
    Ok(first)
}

/// Everything that `operation` lists of a pipeline.
async fn pages(api: &CodePipeline, operation: &str, pipeline: u32, member: &str) -> anyhow::Result<Vec<Value>> {
    let mut input = json!({ "pipelineName": name(pipeline), "maxResults": 100 });
    let mut all = Vec::new();
    loop {
        let mut answer = api.call(operation, input.clone()).await?;
        all.extend(answer[member].as_array_mut().map(std::mem::take).unwrap_or_default());
        if answer["nextToken"].is_null() {
            return Ok(all);
        }
        input["nextToken"] = answer["nextToken"].take();
    }
}

fn name(pipeline: u32) -> String {
    format!("load-{pipeline}")
}

fn key(pipeline: u32) -> String {
    format!("{pipeline}/release.zip")
}

/// What EventBridge says of an upload, without the sequencer: only S3 knows it.
fn event(upload: &Upload) -> Value {
    let object = json!({ "key": key(upload.pipeline), "version-id": upload.version });
    let detail = json!({ "bucket": { "name": UPLOADS }, "object": object });
    json!({ "source": "aws.s3", "detail-type": "Object Created", "detail": detail })
}

/// The least that is a release: take an object and put it somewhere.
fn declaration(pipeline: u32) -> Value {
    let action = |name: &str, category: &str, configuration: Value| {
        json!({
            "name": name,
            "actionTypeId": { "category": category, "owner": "AWS", "provider": "S3", "version": "1" },
            "configuration": configuration,
        })
    };
    let source = json!({ "S3Bucket": UPLOADS, "S3ObjectKey": key(pipeline), "PollForSourceChanges": "false" });
    let mut upload = action("Upload", "Source", source);
    upload["outputArtifacts"] = json!([{ "name": "Release" }]);
    let mut site =
        action("Site", "Deploy", json!({ "BucketName": SITE, "Extract": "false", "ObjectKey": key(pipeline) }));
    site["inputArtifacts"] = json!([{ "name": "Release" }]);
    json!({
        "name": name(pipeline),
        "roleArn": format!("arn:aws:iam::{}:role/lastgood-load", local::ACCOUNT),
        "artifactStore": { "type": "S3", "location": ARTIFACTS },
        "pipelineType": "V2",
        "stages": [{ "name": "Source", "actions": [upload] }, { "name": "Deploy", "actions": [site] }],
    })
}
