//! Wiring: the handler over AWS.

use aws::{CloudWatchAlarms, EventBus, StepFunctions, s3::S3Objects};
use engine::World;
use runtime::{Config, SystemClock, SystemEntropy};
use store::Table;

#[tokio::main]
async fn main() -> Result<(), lambda_runtime::Error> {
    let config = Config::from_env()?;
    let sdk = config.sdk_config().await;
    let world = World::new(SystemClock, SystemEntropy, config.settings())
        .with_store(Table::connect(&sdk, &config.table, SystemClock))
        .with_machines(StepFunctions::connect(&sdk, &config.pipeline_machine_arn))
        .with_events(EventBus::connect(&sdk, &config.event_bus))
        .with_alarms(CloudWatchAlarms::connect(&sdk))
        .with_objects(S3Objects::connect(&sdk));
    runtime::serve("evaluate-rollback", |input, _| evaluate_rollback::handle(&world, input)).await
}
