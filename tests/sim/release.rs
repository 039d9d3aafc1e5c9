//! What one release of the reference pipeline takes, counted exactly: one function after another, in a world where nothing
//! fails, so that the same code always counts the same.

use std::{
    collections::BTreeMap,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use anyhow::{bail, ensure};
use engine::ports::ObjectAt;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use store::{Operation, Table};

use crate::{
    chance::Chance,
    cloud::{ACCOUNT, Cloud, SimWorld},
    faults::Dials,
    functions,
    people::api_event,
    reference,
};

/// Decides ids and nothing else.
const SEED: u64 = 1;
/// Most calls of a release: beyond them something goes round in circles.
const CALLS_MAX: usize = 1000;
/// What is history goes after so many days (crate `store`).
const DAYS_KEPT: u64 = 366;
/// What passes between two calls.
const MOMENT: SignedDuration = SignedDuration::from_millis(20);

/// What something took, as AWS counts it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Counts {
    /// State transitions.
    pub transitions: u64,
    /// Invocations of our functions, by name.
    pub invocations: BTreeMap<String, u64>,
    /// Requests to the table, by operation.
    pub table: BTreeMap<String, u64>,
    /// Units of the table that reads took.
    pub read_units: f64,
    /// Units of the table that writes took.
    pub write_units: f64,
    /// Events on the bus.
    pub events: u64,
    /// Requests to S3, by operation.
    pub objects: BTreeMap<String, u64>,
    /// Bytes that the table holds more than before.
    pub stored_bytes: i64,
    /// The same, each byte times the days that it is kept: history goes after a year, jobs after two months.
    pub stored_byte_days: i64,
}

/// What a release takes, and what it takes that nothing happens.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Release {
    /// From an upload to the end of its execution.
    pub release: Counts,
    /// The reconciler's minute, when nothing is under way.
    pub idle_minute: Counts,
}

/// Counts the release after the second one, when all that stays is there, and an idle minute after it.
///
/// # Errors
/// A release that does not succeed.
pub fn count_release() -> anyhow::Result<Release> {
    let mut calm = Calm::new()?;
    let pipeline = json!({ "pipeline": reference::declaration(ACCOUNT, false) });
    calm.store_release(0);
    calm.ask("CreatePipeline", &pipeline)?;
    calm.settle()?;
    for number in 1..=2 {
        calm.upload(number)?;
    }
    // Looks at what rollbacks need are due once a day, and belong to no release.
    calm.tick()?;
    let before = calm.counts()?;
    calm.upload(3)?;
    let after = calm.counts()?;
    calm.expect_success(4)?;
    calm.tick()?;
    let idle = calm.counts()?;
    Ok(Release { release: after.since(&before), idle_minute: idle.since(&after) })
}

impl Counts {
    fn since(&self, before: &Self) -> Self {
        let more = |now: &BTreeMap<String, u64>, then: &BTreeMap<String, u64>| {
            let more = now.iter().map(|(name, count)| (name.clone(), count - then.get(name).copied().unwrap_or(0)));
            more.filter(|(_, count)| *count > 0).collect()
        };
        Self {
            transitions: self.transitions - before.transitions,
            invocations: more(&self.invocations, &before.invocations),
            table: more(&self.table, &before.table),
            read_units: self.read_units - before.read_units,
            write_units: self.write_units - before.write_units,
            events: self.events - before.events,
            objects: more(&self.objects, &before.objects),
            stored_bytes: self.stored_bytes - before.stored_bytes,
            stored_byte_days: self.stored_byte_days - before.stored_byte_days,
        }
    }
}

/// The system where nothing fails and one thing happens at a time.
struct Calm {
    cloud: Cloud,
    world: Arc<SimWorld>,
    invocations: BTreeMap<String, u64>,
    began: Timestamp,
}

impl Calm {
    fn new() -> anyhow::Result<Self> {
        let mut cloud = Cloud::new(&mut Chance::new(SEED), Dials::off(), None, SEED)?;
        cloud.table = Table::metered(cloud.clock.clone());
        let world = Arc::new(cloud.world(SEED));
        let began = cloud.now();
        Ok(Self { cloud, world, invocations: BTreeMap::new(), began })
    }

    fn counts(&self) -> anyhow::Result<Counts> {
        let usage = self.cloud.table.usage();
        let state = self.cloud.state();
        let named = |(operation, used): (&Operation, &store::OperationUsage)| (format!("{operation:?}"), used.requests);
        Ok(Counts {
            transitions: self.cloud.states.transitions(),
            invocations: self.invocations.clone(),
            table: usage.0.iter().map(named).collect(),
            read_units: usage.read_units(),
            write_units: usage.write_units(),
            events: u64::try_from(state.published.len())?,
            objects: state.to_objects.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect(),
            stored_bytes: i64::try_from(self.cloud.table.stored_bytes()?)?,
            stored_byte_days: i64::try_from(self.cloud.table.stored_byte_days(self.began, DAYS_KEPT)?)?,
        })
    }

    /// Runs a function of ours to its end.
    fn invoke(&mut self, function: &str, event: Value) -> Result<Value, local_states::FunctionError> {
        self.cloud.clock.true_time.advance_to(self.cloud.now() + MOMENT);
        *self.invocations.entry(function.to_owned()).or_default() += 1;
        let mut running = functions::run(&self.cloud, &self.world, function, event);
        loop {
            if let Poll::Ready(outcome) = running.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                return outcome;
            }
        }
    }

    /// Asks the API.
    fn ask(&mut self, operation: &str, input: &Value) -> anyhow::Result<Value> {
        let reply = self.invoke("api", api_event(operation, input));
        let reply = reply.map_err(|error| anyhow::anyhow!("{operation}: {} {}", error.error, error.cause))?;
        ensure!(reply["statusCode"] == 200, "{operation}: {reply}");
        Ok(serde_json::from_str(reply["body"].as_str().unwrap_or("null")).unwrap_or_default())
    }

    fn tick(&mut self) -> anyhow::Result<()> {
        self.cloud.clock.true_time.advance_to(self.cloud.now() + SignedDuration::from_mins(1));
        let done = self.invoke("reconciler", json!({}));
        done.map_err(|error| anyhow::anyhow!("reconciler: {} {}", error.error, error.cause))?;
        Ok(())
    }

    fn store_release(&self, number: u32) -> String {
        let at = ObjectAt::new(reference::UPLOADS, reference::OBJECT);
        self.cloud.objects.store(&at, format!("release {number}")).version_id.unwrap_or_default()
    }

    /// A release, from its upload until nothing is under way.
    fn upload(&mut self, number: u32) -> anyhow::Result<()> {
        let version = self.store_release(number);
        let object = json!({
            "key": reference::OBJECT, "size": 9, "etag": "e", "version-id": version, "sequencer": format!("{number:016X}"),
        });
        let detail = json!({ "bucket": { "name": reference::UPLOADS }, "object": object });
        let event = json!({ "source": "aws.s3", "detail-type": "Object Created", "detail": detail });
        let taken = self.invoke("source-trigger", event);
        taken.map_err(|error| anyhow::anyhow!("source-trigger: {} {}", error.error, error.cause))?;
        self.settle()
    }

    /// Lets everything go on that goes on by itself, as the user's function answers its jobs.
    fn settle(&mut self) -> anyhow::Result<()> {
        for _ in 0..CALLS_MAX {
            let calls = self.cloud.states.take_calls();
            let job = self.cloud.state().invoked.pop_front();
            if calls.is_empty() && job.is_none() {
                let running = self.cloud.states.running()?;
                ensure!(running.is_empty(), "still running: {running:?}");
                return Ok(());
            }
            for call in calls {
                let outcome = self.invoke(&call.function, call.payload.clone());
                self.cloud.states.returned(&call, outcome)?;
            }
            if let Some((_, payload)) = job {
                let id = &payload["CodePipeline.job"]["id"];
                self.ask("PutJobSuccessResult", &json!({ "jobId": id }))?;
            }
        }
        bail!("no end after {CALLS_MAX} calls")
    }

    /// That all `executions` have succeeded. Not counted: people ask this, releases do not.
    fn expect_success(&mut self, executions: usize) -> anyhow::Result<()> {
        let rows = self.cloud.table.rows();
        let ended = rows.iter().filter_map(|row| match row {
            engine::ports::Row::Execution(execution) => Some(execution.phase.clone()),
            _ => None,
        });
        let ended: Vec<_> = ended.collect();
        let all = ended.iter().all(|phase| matches!(phase, domain::Phase::Succeeded));
        ensure!(all && ended.len() == executions, "{executions} releases should have succeeded: {ended:?}");
        Ok(())
    }
}
