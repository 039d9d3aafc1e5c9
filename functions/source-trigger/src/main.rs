//! Wiring: the handler over AWS.

use aws::{EventBus, StepFunctions};
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
        .with_events(EventBus::connect(&sdk, &config.event_bus));
    runtime::serve("source-trigger", |event, _| source_trigger::handle(&world, event)).await
}
