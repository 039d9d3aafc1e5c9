//! The eight functions as Lambda sees them: an event in, a result or a named error out.

use std::{collections::BTreeMap, sync::Arc};

use aws::{CloudWatchAlarms, EventBus, LambdaFunctions, SnsTopics, StepFunctions, StsRoles, s3::S3Objects};
use aws_types::SdkConfig;
use engine::{EngineError, World};
use github::GitHub;
use jiff::Timestamp;
use local_lambda::{FunctionError, Functions, InvocationContext};
use run_action::RESERVE_MS;
use runtime::{Config, Timer};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use store::Table;

use crate::{ACCOUNT, BUCKET, REGION, TABLE, machines};

/// Everything a function may touch, over the AWS SDK.
pub(crate) type LocalWorld =
    World<Table, StepFunctions, CloudWatchAlarms, LambdaFunctions, S3Objects, StsRoles, EventBus, SnsTopics, GitHub>;

/// The settings a function would find in its environment.
pub(crate) fn config() -> anyhow::Result<Config> {
    let machine = machines::machine_arn(machines::PIPELINE_EXECUTION);
    let variables = [
        ("LASTGOOD_TABLE", TABLE),
        ("LASTGOOD_BUCKET", BUCKET),
        ("LASTGOOD_ACCOUNT", ACCOUNT),
        ("AWS_REGION", REGION),
        ("LASTGOOD_PIPELINE_MACHINE_ARN", &machine),
    ];
    let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
    Ok(Config::from_map(&BTreeMap::from(variables))?)
}

/// The world of a function that finds every service by `sdk`.
pub(crate) fn world(
    config: &Config,
    sdk: &SdkConfig,
    clock: Arc<dyn Timer>,
    entropy: Arc<dyn engine::ports::Entropy>,
) -> LocalWorld {
    World::new(clock.clone(), entropy, config.settings())
        .with_store(Table::connect(sdk, &config.table, clock))
        .with_machines(StepFunctions::connect(sdk, &config.pipeline_machine_arn))
        .with_events(EventBus::connect(sdk, &config.event_bus))
        .with_alarms(CloudWatchAlarms::connect(sdk))
        .with_functions(LambdaFunctions::connect(sdk))
        .with_objects(S3Objects::connect(sdk))
        .with_roles(StsRoles::connect(sdk, &config.pipeline_machine_arn))
        .with_notifications(SnsTopics::connect(sdk))
        .with_repositories(GitHub::new(&config.github_api, config.http_connector()))
}

/// Registers the functions under the names they have in AWS.
pub(crate) fn register(functions: &Functions, world: &Arc<LocalWorld>, clock: Arc<dyn Timer>) -> anyhow::Result<()> {
    let to = Registry { functions, world };
    to.add("lastgood-api", |world, event, _| async move { api::handle(&*world, event).await })?;
    to.add("lastgood-source-trigger", |world, event, _| async move { source_trigger::handle(&*world, event).await })?;
    to.add("lastgood-stage-gate", |world, input, _| async move { stage_gate::handle(&*world, input).await })?;
    to.add("lastgood-evaluate-condition", |world, input, _| async move {
        evaluate_condition::handle(&*world, input).await
    })?;
    to.add(
        "lastgood-evaluate-rollback",
        |world, input, _| async move { evaluate_rollback::handle(&*world, input).await },
    )?;
    to.add("lastgood-alarm-handler", |world, event, _| async move { alarm_handler::handle(&*world, event).await })?;
    to.add("lastgood-reconciler", |world, call, _| async move { reconciler::handle(&*world, call).await })?;
    to.add("lastgood-run-action", move |world, input, deadline: Timestamp| {
        let clock = Arc::clone(&clock);
        async move {
            let out_of_time = || clock.now().as_millisecond() + RESERVE_MS > deadline.as_millisecond();
            run_action::handle(&*world, input, &out_of_time).await
        }
    })
}

/// Where handlers are registered, and the world they get.
struct Registry<'a> {
    functions: &'a Functions,
    world: &'a Arc<LocalWorld>,
}

impl Registry<'_> {
    fn add<In, Out, F, Fut>(&self, name: &'static str, handler: F) -> anyhow::Result<()>
    where
        In: DeserializeOwned + Send,
        Out: Serialize,
        F: Fn(Arc<LocalWorld>, In, Timestamp) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Out, EngineError>> + Send + 'static,
    {
        let (world, handler) = (Arc::clone(self.world), Arc::new(handler));
        let handler = move |event: Value, context: InvocationContext| {
            let (world, handler) = (Arc::clone(&world), Arc::clone(&handler));
            async move { answer(name, Box::pin(handler(world, read(event)?, context.deadline)).await) }
        };
        Ok(self.functions.add_handler(name, Arc::new(handler))?)
    }
}

/// Reads an event as the deployed function does.
fn read<In: DeserializeOwned>(event: Value) -> Result<In, FunctionError> {
    runtime::parse_event(event).map_err(|invalid| FunctionError::new(invalid.error_type, invalid.error_message))
}

/// Reports a result as the deployed function does.
fn answer<Out: Serialize>(function: &str, outcome: Result<Out, EngineError>) -> Result<Value, FunctionError> {
    match outcome {
        Ok(output) => serde_json::to_value(output).map_err(|error| FunctionError::new("Broken", error.to_string())),
        Err(error) => {
            let failure = runtime::diagnostic(&error);
            let source = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
            tracing::warn!(
                function,
                error.name = failure.error_type,
                "{}: {} {source}",
                function,
                failure.error_message
            );
            Err(FunctionError::new(failure.error_type, failure.error_message))
        }
    }
}
