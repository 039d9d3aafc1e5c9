//! Step Functions, CloudWatch, Lambda and STS, as far as the use cases need them.

use std::future::Future;

use domain::{AlarmChange, AlarmSeries, ApprovalNotice, Event, MetricQuery, Points};
use jiff::Timestamp;
use serde_json::Value;

/// Why a service did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum CloudError {
    /// What was named is not there: a token that is over, a function that does not exist.
    #[error("{0} is not there")]
    NotFound(String),
    /// No permission.
    #[error("no permission: {0}")]
    Denied(String),
    /// The request can never succeed as it is.
    #[error("refused: {0}")]
    Refused(String),
    /// No answer, or throttled: try again later.
    #[error("the service is not available")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// How a state machine execution stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MachineStatus {
    /// Still going.
    Running,
    /// Ended well.
    Succeeded,
    /// Failed, timed out or was aborted.
    Dead,
}

/// One of the state machines that use cases start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Machine<'a> {
    /// The one that drives pipeline executions.
    PipelineExecution,
    /// The one that does the work of this provider's actions.
    Action(&'a str),
}

/// The state machines, and whoever waits in them.
pub trait Machines: Send + Sync {
    /// Starts an execution of `machine` called `name`. One that exists already is success.
    fn start(
        &self,
        machine: Machine<'_>,
        name: &str,
        input: &Value,
    ) -> impl Future<Output = Result<(), CloudError>> + Send;

    /// Stops the execution of `machine` called `name`. One that has ended, or never started, is success.
    fn stop(
        &self,
        machine: Machine<'_>,
        name: &str,
        cause: &str,
    ) -> impl Future<Output = Result<(), CloudError>> + Send;

    /// Answers a task token. [`CloudError::NotFound`] where it was answered before or its execution is over.
    fn answer(&self, token: &str, output: &Value) -> impl Future<Output = Result<(), CloudError>> + Send;

    /// Restarts a task's heartbeat.
    fn heartbeat(&self, token: &str) -> impl Future<Output = Result<(), CloudError>> + Send;

    /// How the execution of `machine` called `name` stands; `None` where it never started.
    fn status(
        &self,
        machine: Machine<'_>,
        name: &str,
    ) -> impl Future<Output = Result<Option<MachineStatus>, CloudError>> + Send;
}

/// The event bus that changes of state are told on.
pub trait Events: Send + Sync {
    /// Publishes `events` about the pipeline whose ARN is `pipeline_arn`, any number of them. Where this fails, some may
    /// have been published all the same: to publish all of them again is harmless, since each has its id.
    /// [`CloudError::Refused`] says that at least one of them can never be published, as it is malformed or too big; the
    /// others were.
    fn publish(&self, pipeline_arn: &str, events: &[Event]) -> impl Future<Output = Result<(), CloudError>> + Send;
}

/// CloudWatch alarms.
pub trait Alarms: Send + Sync {
    /// Metric and composite alarms by name or ARN; those that are not there are left out. Any number of names.
    fn describe(&self, names: &[String]) -> impl Future<Output = Result<Vec<AlarmChange>, CloudError>> + Send;

    /// How many data points of `period`s that began at `since` or later the metric of an alarm has by `until`; of a composite
    /// alarm, that of its alarms with the fewest. [`CloudError::NotFound`] where the alarm, or one that it is of, is gone.
    fn data_points(
        &self,
        arn: &str,
        since: Timestamp,
        until: Timestamp,
    ) -> impl Future<Output = Result<u32, CloudError>> + Send;

    /// Points of each of `queries` in `region`, in their order, from `since` to `until`. Any number of queries, of one period, of which
    /// `since` is a whole multiple: periods are counted from it. [`CloudError::Refused`] where CloudWatch does not take an
    /// expression, [`CloudError::Unavailable`] where it does not know all points.
    fn metric_data(
        &self,
        region: &str,
        queries: &[MetricQuery],
        since: Timestamp,
        until: Timestamp,
    ) -> impl Future<Output = Result<Vec<Points>, CloudError>> + Send;

    /// How many messages wait in the queue of SQS called `queue`, as its metric last said between `since` and `until`; `None` where
    /// it said nothing, as that of a queue in which never was anything.
    fn messages_in(
        &self,
        queue: &str,
        since: Timestamp,
        until: Timestamp,
    ) -> impl Future<Output = Result<Option<u32>, CloudError>> + Send;

    /// What the metrics of an alarm did from `since` to `until`; of a composite alarm, those of the first
    /// [`ALARM_SERIES_MAX`](domain::ALARM_SERIES_MAX) of its alarms. Answers or fails within seconds, since a rollback waits.
    fn series(
        &self,
        arn: &str,
        since: Timestamp,
        until: Timestamp,
    ) -> impl Future<Output = Result<Vec<AlarmSeries>, CloudError>> + Send;
}

/// The user's Lambda functions.
pub trait Functions: Send + Sync {
    /// Invokes a function of `region` asynchronously; `None` is the installation's own.
    fn invoke(
        &self,
        region: Option<&str>,
        function: &str,
        payload: &Value,
    ) -> impl Future<Output = Result<(), CloudError>> + Send;

    /// Whether the function, with the version or alias that its name or ARN has, is there.
    fn is_there(&self, region: Option<&str>, function: &str) -> impl Future<Output = Result<bool, CloudError>> + Send;
}

/// Messages to people, by topics of SNS.
pub trait Notifications: Send + Sync {
    /// Publishes `notice` with the keys of a role. Errors never repeat the message, which holds a token.
    fn publish(
        &self,
        notice: &ApprovalNotice,
        credentials: &Credentials,
    ) -> impl Future<Output = Result<(), CloudError>> + Send;
}

/// Short-lived keys. They never reach a log: there is no `Debug` for the secret parts.
#[derive(Clone)]
pub struct Credentials {
    /// Key id.
    pub access_key_id: String,
    /// Secret.
    pub secret_access_key: String,
    /// Session token.
    pub session_token: String,
    /// When they end.
    pub expires_at: Timestamp,
}

/// Roles of pipelines and actions.
pub trait Roles: Send + Sync {
    /// Assumes `role_arn` under the session name `session`.
    fn assume(&self, role_arn: &str, session: &str) -> impl Future<Output = Result<Credentials, CloudError>> + Send;
}
