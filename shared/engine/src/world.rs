//! The outside world as one use case sees it: each names the capabilities it needs in its signature.

use domain::{ExecutionId, partition_of};
use jiff::Timestamp;
use uuid::Builder;

use crate::ports::{
    Alarms, Clock, Entropy, Events, Functions, Machines, Notifications, Objects, Repositories, Roles, Store,
};

/// Facts about the installation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// AWS account, 12 digits.
    pub account: String,
    /// AWS region.
    pub region: String,
    /// Bucket that holds pipeline definitions.
    pub bucket: String,
    /// Queue of SQS that takes the events which no function could handle; absent where there is none, as in the local process.
    pub dead_letters: Option<String>,
    /// Address below which people reach the console, such as `https://console.example.com`; none where nobody said so.
    pub console: Option<String>,
}

impl Settings {
    /// ARN of an alarm declared by name or already by ARN.
    pub fn alarm_arn(&self, alarm: &str) -> String {
        self.alarm_arn_in(&self.region, alarm)
    }

    /// ARN of an alarm of another region, declared by name or already by ARN.
    pub fn alarm_arn_in(&self, region: &str, alarm: &str) -> String {
        if alarm.starts_with("arn:") {
            return alarm.to_owned();
        }
        format!("arn:{}:cloudwatch:{region}:{}:alarm:{alarm}", partition_of(region), self.account)
    }

    /// ARN of a pipeline (spec 1.1).
    pub fn pipeline_arn(&self, pipeline: &str) -> String {
        format!("{}:{pipeline}", self.arn_of("codepipeline"))
    }

    /// What the ARNs of a service begin with, up to the account.
    pub(crate) fn arn_of(&self, service: &str) -> String {
        format!("arn:{}:{service}:{}:{}", partition_of(&self.region), self.region, self.account)
    }

    /// ARN of a webhook.
    pub fn webhook_arn(&self, webhook: &str) -> String {
        format!("{}:webhook:{webhook}", self.arn_of("codepipeline"))
    }
}

/// Time, randomness and settings: what every use case may touch.
pub trait HasBasics: Send + Sync {
    /// The clock.
    fn clock(&self) -> &dyn Clock;
    /// The source of randomness.
    fn entropy(&self) -> &dyn Entropy;
    /// Facts about the installation.
    fn settings(&self) -> &Settings;

    /// The current instant in whole milliseconds: what rows, events and clients all can express, so that comparing
    /// instants from different sources is fair.
    fn now(&self) -> Timestamp {
        let now = self.clock().now();
        Timestamp::from_millisecond(now.as_millisecond()).unwrap_or(now)
    }

    /// A new execution id; later ids sort after earlier ones.
    fn new_execution_id(&self) -> ExecutionId {
        let mut random = [0; 10];
        self.entropy().fill(&mut random);
        let millis = u64::try_from(self.clock().now().as_millisecond()).unwrap_or(0);
        ExecutionId(Builder::from_unix_timestamp_millis(millis, &random).into_uuid())
    }
}

macro_rules! capability {
    ($(#[$doc:meta])* $has:ident: $base:ident, $port:ident, $method:ident) => {
        $(#[$doc])*
        pub trait $has: $base {
            /// The adapter.
            type $port: $port;
            /// The adapter.
            fn $method(&self) -> &Self::$port;
        }
    };
}

capability! {
    /// May read and write the table.
    HasStore: HasBasics, Store, store
}
capability! {
    /// May tell what happened.
    HasEvents: HasBasics, Events, events
}
capability! {
    /// May drive state machines, and so changes states, which is told.
    HasMachines: HasEvents, Machines, machines
}
capability! {
    /// May look at alarms.
    HasAlarms: HasBasics, Alarms, alarms
}
capability! {
    /// May invoke the user's functions.
    HasFunctions: HasBasics, Functions, functions
}
capability! {
    /// May read and write objects.
    HasObjects: HasBasics, Objects, objects
}
capability! {
    /// May assume the roles of pipelines.
    HasRoles: HasBasics, Roles, roles
}
capability! {
    /// May send messages to people.
    HasNotifications: HasBasics, Notifications, notifications
}
capability! {
    /// May read repositories of code.
    HasRepositories: HasBasics, Repositories, repositories
}

/// A world put together from adapters. What is left out (`()`) cannot be used: the use case would not compile.
pub struct World<S = (), M = (), A = (), F = (), O = (), R = (), E = (), N = (), G = ()> {
    clock: Box<dyn Clock>,
    entropy: Box<dyn Entropy>,
    settings: Settings,
    store: S,
    machines: M,
    alarms: A,
    functions: F,
    objects: O,
    roles: R,
    events: E,
    notifications: N,
    repositories: G,
}

impl World {
    /// A world with nothing but time, randomness and settings.
    pub fn new(clock: impl Clock + 'static, entropy: impl Entropy + 'static, settings: Settings) -> Self {
        Self {
            clock: Box::new(clock),
            entropy: Box::new(entropy),
            settings,
            store: (),
            machines: (),
            alarms: (),
            functions: (),
            objects: (),
            roles: (),
            events: (),
            notifications: (),
            repositories: (),
        }
    }
}

macro_rules! with {
    ($(#[$doc:meta])* $method:ident, $field:ident, $old:ident, [$($before:ident),*], [$($after:ident),*], [$($rest:ident),*]) => {
        impl<$($before,)* $($after,)*> World<$($before,)* (), $($after,)*> {
            $(#[$doc])*
            pub fn $method<$old>(self, $field: $old) -> World<$($before,)* $old, $($after,)*> {
                World {
                    clock: self.clock,
                    entropy: self.entropy,
                    settings: self.settings,
                    $field,
                    $($rest: self.$rest,)*
                }
            }
        }
    };
}

with! {
    /// Adds the table.
    with_store, store, S, [], [M, A, F, O, R, E, N, G], [machines, alarms, functions, objects, roles, events, notifications, repositories]
}
with! {
    /// Adds state machines.
    with_machines, machines, M, [S], [A, F, O, R, E, N, G], [store, alarms, functions, objects, roles, events, notifications, repositories]
}
with! {
    /// Adds alarms.
    with_alarms, alarms, A, [S, M], [F, O, R, E, N, G], [store, machines, functions, objects, roles, events, notifications, repositories]
}
with! {
    /// Adds functions.
    with_functions, functions, F, [S, M, A], [O, R, E, N, G], [store, machines, alarms, objects, roles, events, notifications, repositories]
}
with! {
    /// Adds objects.
    with_objects, objects, O, [S, M, A, F], [R, E, N, G], [store, machines, alarms, functions, roles, events, notifications, repositories]
}
with! {
    /// Adds roles.
    with_roles, roles, R, [S, M, A, F, O], [E, N, G], [store, machines, alarms, functions, objects, events, notifications, repositories]
}

with! {
    /// Adds the event bus.
    with_events, events, E, [S, M, A, F, O, R], [N, G], [store, machines, alarms, functions, objects, roles, notifications, repositories]
}
with! {
    /// Adds messages to people.
    with_notifications, notifications, N, [S, M, A, F, O, R, E], [G], [store, machines, alarms, functions, objects, roles, events, repositories]
}

with! {
    /// Adds repositories of code.
    with_repositories, repositories, G, [S, M, A, F, O, R, E, N], [], [store, machines, alarms, functions, objects, roles, events, notifications]
}

/// Shorthand for "can be shared between tasks".
trait Shared: Send + Sync {}
impl<T: Send + Sync> Shared for T {}

impl<S: Shared, M: Shared, A: Shared, F: Shared, O: Shared, R: Shared, E: Shared, N: Shared, G: Shared> HasBasics
    for World<S, M, A, F, O, R, E, N, G>
{
    fn clock(&self) -> &dyn Clock {
        &*self.clock
    }

    fn entropy(&self) -> &dyn Entropy {
        &*self.entropy
    }

    fn settings(&self) -> &Settings {
        &self.settings
    }
}

macro_rules! provide {
    ($has:ident, $port:ident, $method:ident, $param:ident $(, $also:ident: $of:ident)?) => {
        impl<S: Shared, M: Shared, A: Shared, F: Shared, O: Shared, R: Shared, E: Shared, N: Shared, G: Shared> $has
            for World<S, M, A, F, O, R, E, N, G>
        where
            $param: $port,
            $($also: $of,)?
        {
            type $port = $param;

            fn $method(&self) -> &$param {
                &self.$method
            }
        }
    };
}

provide!(HasStore, Store, store, S);
provide!(HasEvents, Events, events, E);
provide!(HasMachines, Machines, machines, M, E: Events);
provide!(HasAlarms, Alarms, alarms, A);
provide!(HasFunctions, Functions, functions, F);
provide!(HasObjects, Objects, objects, O);
provide!(HasRoles, Roles, roles, R);
provide!(HasNotifications, Notifications, notifications, N);
provide!(HasRepositories, Repositories, repositories, G);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arns_are_of_the_partition_of_their_region() {
        let settings = |region: &str| Settings {
            account: "111122223333".to_owned(),
            region: region.to_owned(),
            bucket: "definitions".to_owned(),
            dead_letters: None,
            console: None,
        };
        let china = settings("cn-north-1");
        assert_eq!(china.pipeline_arn("shop"), "arn:aws-cn:codepipeline:cn-north-1:111122223333:shop");
        assert_eq!(china.webhook_arn("push"), "arn:aws-cn:codepipeline:cn-north-1:111122223333:webhook:push");
        let alarm = "arn:aws-us-gov:cloudwatch:us-gov-west-1:111122223333:alarm:errors";
        assert_eq!(settings("us-gov-west-1").alarm_arn("errors"), alarm);
        assert_eq!(settings("us-gov-east-1").alarm_arn_in("us-gov-west-1", "errors"), alarm);
        assert_eq!(settings("us-gov-west-1").alarm_arn(alarm), alarm);
        assert_eq!(settings("eu-west-1").pipeline_arn("shop"), "arn:aws:codepipeline:eu-west-1:111122223333:shop");
    }
}
