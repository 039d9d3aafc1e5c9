//! The functions as Lambda calls them: an event in, a result or a named error out.

use std::{future::Future, pin::Pin, sync::Arc};

use engine::{EngineError, ports::Clock};
use jiff::{SignedDuration, Timestamp};
use local_states::FunctionError;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use crate::cloud::{Cloud, SimWorld};

/// Longest run of a function, and what of it is kept back for storing how far it came.
pub(crate) const TIMEOUT: SignedDuration = SignedDuration::from_mins(15);
const RESERVE: SignedDuration = SignedDuration::from_secs(20);

/// A function at work.
pub(crate) type Running = Pin<Box<dyn Future<Output = Result<Value, FunctionError>> + Send>>;

/// Begins to run `function`.
pub(crate) fn run(cloud: &Cloud, world: &Arc<SimWorld>, function: &str, event: Value) -> Running {
    let world = Arc::clone(world);
    match function {
        "api" => handled(event, |event| async move { api::handle(&*world, event).await }),
        "source-trigger" => handled(event, |event| async move { source_trigger::handle(&*world, event).await }),
        "stage-gate" => handled(event, |event| async move { stage_gate::handle(&*world, event).await }),
        "evaluate-condition" => handled(event, |event| async move { evaluate_condition::handle(&*world, event).await }),
        "evaluate-rollback" => handled(event, |event| async move { evaluate_rollback::handle(&*world, event).await }),
        "alarm-handler" => handled(event, |event| async move { alarm_handler::handle(&*world, event).await }),
        "reconciler" => handled(event, |event| async move { reconciler::handle(&*world, event).await }),
        "run-action" => {
            let (clock, end) = (Arc::clone(&cloud.clock), deadline(cloud.now()));
            handled(event, move |event| async move {
                let out_of_time = move || clock.now() > end;
                run_action::handle(&*world, event, &out_of_time).await
            })
        }
        other => {
            let error = FunctionError { error: "ResourceNotFoundException".to_owned(), cause: other.to_owned() };
            Box::pin(std::future::ready(Err(error)))
        }
    }
}

/// When a run that begins now should begin nothing more.
fn deadline(now: Timestamp) -> Timestamp {
    now + TIMEOUT - RESERVE
}

fn handled<In, Out, Fut>(event: Value, handler: impl FnOnce(In) -> Fut + Send + 'static) -> Running
where
    In: DeserializeOwned + Send,
    Out: Serialize,
    Fut: Future<Output = Result<Out, EngineError>> + Send,
{
    Box::pin(async move {
        let failed = |error: String, cause: String| FunctionError { error, cause };
        let input = runtime::parse_event(event).map_err(|why| failed(why.error_type, why.error_message))?;
        let output = handler(input).await.map_err(|error| {
            let why = runtime::diagnostic(&error);
            failed(why.error_type, why.error_message)
        })?;
        serde_json::to_value(output).map_err(|error| failed("Broken".to_owned(), error.to_string()))
    })
}
