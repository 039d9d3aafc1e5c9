//! Step Functions, CloudWatch, Lambda, STS and time as these tests need them.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
};

use bytes::Bytes;
use domain::{AlarmChange, AlarmSeries, AlarmState, ApprovalNotice, Event, MetricQuery, MetricSource, Points};
use engine::ports::{
    Alarms, Clock, CloudError, Commit, Credentials, Events, Functions, Machine, MachineStatus, Machines, Notifications,
    Repositories, RepositoryError, RepositoryName, Revision, Roles,
};
use futures::stream::BoxStream;
use jiff::{SignedDuration, Timestamp};
use runtime::ManualClock;
use serde_json::Value;

/// What state machines were told.
#[derive(Debug, Clone, Default)]
pub(crate) struct Told {
    /// Names of started executions.
    pub(crate) started: Arc<Mutex<Vec<String>>>,
    /// Answers by token.
    pub(crate) answers: Arc<Mutex<BTreeMap<String, Value>>>,
    /// All of them, in order.
    pub(crate) told: Arc<Mutex<Vec<Value>>>,
    /// Executions of the machines of actions: provider, name, input. They run until they are stopped.
    pub(crate) actions: Arc<Mutex<Vec<(String, String, Value)>>>,
    /// Names of the stopped among them.
    pub(crate) stopped: Arc<Mutex<Vec<String>>>,
    /// How they stand, if not running.
    pub(crate) action_status: Arc<Mutex<Option<MachineStatus>>>,
    /// Whether starting one is refused.
    pub(crate) refuses_actions: Arc<AtomicBool>,
    /// Whether those of pipeline executions have died.
    pub(crate) dead: Arc<AtomicBool>,
    /// Names of those whose state was asked for.
    pub(crate) asked: Arc<Mutex<Vec<String>>>,
    /// Whether nobody who asks for it is ever answered.
    pub(crate) hangs: Arc<AtomicBool>,
}

impl Machines for Told {
    async fn start(&self, machine: Machine<'_>, name: &str, input: &Value) -> Result<(), CloudError> {
        let Machine::Action(provider) = machine else {
            self.started.lock().unwrap().push(name.to_owned());
            return Ok(());
        };
        if self.refuses_actions.load(SeqCst) {
            return Err(CloudError::Denied("states:StartExecution".to_owned()));
        }
        let mut actions = self.actions.lock().unwrap();
        if actions.iter().all(|(_, known, _)| known != name) {
            actions.push((provider.to_owned(), name.to_owned(), input.clone()));
        }
        Ok(())
    }

    async fn stop(&self, _: Machine<'_>, name: &str, _: &str) -> Result<(), CloudError> {
        self.stopped.lock().unwrap().push(name.to_owned());
        Ok(())
    }

    async fn answer(&self, token: &str, output: &Value) -> Result<(), CloudError> {
        self.answers.lock().unwrap().insert(token.to_owned(), output.clone());
        self.told.lock().unwrap().push(output.clone());
        Ok(())
    }

    async fn heartbeat(&self, _: &str) -> Result<(), CloudError> {
        Ok(())
    }

    async fn status(&self, machine: Machine<'_>, name: &str) -> Result<Option<MachineStatus>, CloudError> {
        if machine == Machine::PipelineExecution {
            self.asked.lock().unwrap().push(name.to_owned());
            if self.hangs.load(SeqCst) {
                std::future::pending::<()>().await;
            }
            let dead = self.dead.load(SeqCst);
            return Ok(Some(if dead { MachineStatus::Dead } else { MachineStatus::Running }));
        }
        let is_known = self.actions.lock().unwrap().iter().any(|(_, known, _)| known == name);
        Ok(is_known.then(|| self.action_status.lock().unwrap().unwrap_or(MachineStatus::Running)))
    }
}

/// Which events a bus refuses.
type Refuses = fn(&Event) -> bool;

/// What was published, and whether the bus is there.
#[derive(Debug, Clone, Default)]
pub(crate) struct Published {
    pub(crate) events: Arc<Mutex<Vec<Event>>>,
    /// The bus does not answer; it may have taken the events all the same.
    pub(crate) away: Arc<AtomicBool>,
    /// Which events it refuses for good.
    pub(crate) refuses: Arc<Mutex<Option<Refuses>>>,
}

impl Events for Published {
    async fn publish(&self, _: &str, events: &[Event]) -> Result<(), CloudError> {
        let refuses = self.refuses.lock().unwrap().unwrap_or(|_| false);
        self.events.lock().unwrap().extend(events.iter().filter(|event| !refuses(event)).cloned());
        if events.iter().any(refuses) {
            return Err(CloudError::Refused("MalformedDetail".to_owned()));
        }
        if self.away.load(SeqCst) { Err(CloudError::Unavailable("no answer".into())) } else { Ok(()) }
    }
}

/// Makes an error anew each time, since errors cannot be copied.
pub(crate) type Fault = fn() -> CloudError;

/// Messages to people, and how topics fail.
#[derive(Clone, Default)]
pub(crate) struct Notices {
    pub(crate) sent: Arc<Mutex<Vec<ApprovalNotice>>>,
    pub(crate) failure: Arc<Mutex<Option<Fault>>>,
}

impl Notifications for Notices {
    async fn publish(&self, notice: &ApprovalNotice, _: &Credentials) -> Result<(), CloudError> {
        if let Some(failure) = *self.failure.lock().unwrap() {
            return Err(failure());
        }
        self.sent.lock().unwrap().push(notice.clone());
        Ok(())
    }
}

/// Alarms that stand as a test sets them, and that may be read unless it says otherwise.
#[derive(Debug, Clone, Default)]
pub(crate) struct SetAlarms {
    states: Arc<Mutex<BTreeMap<String, (AlarmState, Timestamp)>>>,
    /// Data points, by the alarm's ARN.
    pub(crate) data: Arc<Mutex<BTreeMap<String, u32>>>,
    pub(crate) denied: Arc<AtomicBool>,
    /// Points of metrics, by region and name.
    pub(crate) metrics: Arc<Mutex<BTreeMap<String, Points>>>,
    /// Metrics that were asked for.
    pub(crate) asked: Arc<AtomicUsize>,
    /// Requests for metrics: the period in seconds, how many they are, and since when.
    pub(crate) requests: Arc<Mutex<Vec<(u32, usize, Timestamp)>>>,
    /// Messages that wait in the queue of dead letters; none where CloudWatch has counted none so far.
    pub(crate) letters: Arc<Mutex<Option<u32>>>,
    /// Names of those that CloudWatch does not answer for.
    pub(crate) away: Arc<Mutex<Vec<String>>>,
}

impl SetAlarms {
    pub(crate) fn set(&self, name: &str, state: AlarmState) {
        self.turn(name, state, Timestamp::UNIX_EPOCH);
    }

    /// The alarm has been in this state since then.
    pub(crate) fn turn(&self, name: &str, state: AlarmState, since: Timestamp) {
        self.states.lock().unwrap().insert(alarm_arn(name), (state, since));
    }
}

pub(crate) fn alarm_arn(name: &str) -> String {
    format!("arn:aws:cloudwatch:eu-west-1:111122223333:alarm:{name}")
}

impl Alarms for SetAlarms {
    async fn describe(&self, names: &[String]) -> Result<Vec<AlarmChange>, CloudError> {
        if self.denied.load(SeqCst) {
            return Err(CloudError::Denied("cloudwatch:DescribeAlarms".to_owned()));
        }
        if self.away.lock().unwrap().iter().any(|away| names.contains(&alarm_arn(away))) {
            return Err(CloudError::Unavailable("no answer".into()));
        }
        let states = self.states.lock().unwrap();
        let known = states.iter().filter(|(arn, _)| names.contains(arn));
        Ok(known
            .map(|(arn, (state, since))| AlarmChange {
                arn: arn.clone(),
                state: *state,
                since: *since,
                reason: String::new(),
            })
            .collect())
    }

    async fn metric_data(
        &self,
        region: &str,
        queries: &[MetricQuery],
        since: Timestamp,
        until: Timestamp,
    ) -> Result<Vec<Points>, CloudError> {
        if self.denied.load(SeqCst) {
            return Err(CloudError::Denied("cloudwatch:GetMetricData".to_owned()));
        }
        self.asked.fetch_add(queries.len(), SeqCst);
        self.requests.lock().unwrap().push((queries[0].period_seconds, queries.len(), since));
        let (metrics, first) = (self.metrics.lock().unwrap(), since.as_second());
        let of = |query: &MetricQuery| {
            let MetricSource::Statistic(of) = &query.source else { panic!("no metric math here") };
            let within = |(second, _): &(&i64, &f64)| (first..until.as_second()).contains(*second);
            // As CloudWatch, whose periods begin with what is asked for; each has its first value.
            let begin = |second: i64| second - (second - first).rem_euclid(i64::from(query.period_seconds));
            let points = metrics.get(&format!("{region} {}", of.metric)).into_iter().flatten();
            let mut found = Points::new();
            for (second, value) in points.filter(within) {
                found.entry(begin(*second)).or_insert(*value);
            }
            found
        };
        Ok(queries.iter().map(of).collect())
    }

    async fn messages_in(&self, queue: &str, since: Timestamp, until: Timestamp) -> Result<Option<u32>, CloudError> {
        assert_eq!((queue, until.duration_since(since).as_hours()), ("dead-letters", 14 * 24));
        if self.denied.load(SeqCst) {
            return Err(CloudError::Denied("cloudwatch:GetMetricData".to_owned()));
        }
        Ok(*self.letters.lock().unwrap())
    }

    async fn data_points(&self, arn: &str, _: Timestamp, _: Timestamp) -> Result<u32, CloudError> {
        let seen = self.data.lock().unwrap().get(arn).copied();
        seen.ok_or_else(|| CloudError::NotFound(arn.to_owned()))
    }

    /// Quiet at first, beyond the threshold at last; unless alarms may not be read.
    async fn series(&self, _: &str, since: Timestamp, until: Timestamp) -> Result<Vec<AlarmSeries>, CloudError> {
        if self.denied.load(SeqCst) {
            return Err(CloudError::Denied("cloudwatch:GetMetricData".to_owned()));
        }
        Ok(AlarmSeries::of("Shop Errors", 60, Some(5.0), false, [(since, 1.0), (until, 7.0)]).into_iter().collect())
    }
}

/// Functions that take every event and do nothing; of those whose names end so, versions are gone. Then the regions that
/// they were invoked in, and how Lambda fails.
#[derive(Debug, Clone, Default)]
pub(crate) struct Invoked(
    pub(crate) Arc<Mutex<Vec<Value>>>,
    pub(crate) Arc<Mutex<Vec<&'static str>>>,
    pub(crate) Arc<Mutex<Vec<Option<String>>>>,
    pub(crate) Arc<Mutex<Option<Fault>>>,
);

impl Functions for Invoked {
    async fn invoke(&self, region: Option<&str>, _: &str, payload: &Value) -> Result<(), CloudError> {
        if let Some(failure) = *self.3.lock().unwrap() {
            return Err(failure());
        }
        self.0.lock().unwrap().push(payload.clone());
        self.2.lock().unwrap().push(region.map(str::to_owned));
        Ok(())
    }

    async fn is_there(&self, _: Option<&str>, function: &str) -> Result<bool, CloudError> {
        Ok(!self.1.lock().unwrap().iter().any(|gone| function.ends_with(gone)))
    }
}

/// Roles that anyone may assume.
/// Any role can be assumed but `closed`.
pub(crate) struct AnyRole;

impl Roles for AnyRole {
    async fn assume(&self, role_arn: &str, _: &str) -> Result<Credentials, CloudError> {
        if role_arn.ends_with("/closed") {
            return Err(CloudError::Denied(format!("{role_arn} trusts nobody")));
        }
        Ok(Credentials {
            access_key_id: "id".to_owned(),
            secret_access_key: "secret".to_owned(),
            session_token: "token".to_owned(),
            expires_at: Timestamp::MAX,
        })
    }
}

/// A clock on which every look takes a second, so that things happen one after another.
pub(crate) struct SteadyClock(ManualClock);

impl SteadyClock {
    pub(crate) fn new() -> Self {
        Self(ManualClock::new("2026-11-23T10:00:00Z".parse().unwrap()))
    }

    pub(crate) fn pass(&self, by: SignedDuration) {
        self.0.advance_to(self.0.now() + by);
    }
}

impl Clock for SteadyClock {
    fn now(&self) -> Timestamp {
        self.0.advance_to(self.0.now() + SignedDuration::from_secs(1));
        self.0.now()
    }
}

/// A clock whose looks are noted.
pub(crate) struct NotedClock<C>(C, LastNoted);

/// Tells what was noted last: a look at this one takes no time.
#[derive(Clone)]
pub(crate) struct LastNoted(Arc<Mutex<Timestamp>>);

impl<C> NotedClock<C> {
    pub(crate) fn new(clock: C) -> Self {
        Self(clock, LastNoted(Arc::new(Mutex::new(Timestamp::UNIX_EPOCH))))
    }

    pub(crate) fn last_noted(&self) -> LastNoted {
        self.1.clone()
    }
}

impl<C: Clock> Clock for NotedClock<C> {
    fn now(&self) -> Timestamp {
        let now = self.0.now();
        *self.1.0.lock().unwrap() = now;
        now
    }
}

impl Clock for LastNoted {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap()
    }
}

/// Repositories of code, of which there are none.
pub(crate) struct NoRepositories;

impl Repositories for NoRepositories {
    async fn commit(&self, name: &RepositoryName, revision: &Revision) -> Result<Commit, RepositoryError> {
        Err(RepositoryError::NotFound { repository: name.to_string(), what: revision.to_string() })
    }

    async fn archive(
        &self,
        name: &RepositoryName,
        id: &str,
    ) -> Result<BoxStream<'static, Result<Bytes, RepositoryError>>, RepositoryError> {
        Err(RepositoryError::NotFound { repository: name.to_string(), what: id.to_owned() })
    }
}
