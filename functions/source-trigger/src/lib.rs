//! An upload to S3 starts the pipelines that take the object.
//!
//! **May touch**: the table, Step Functions (to start executions).
//!
//! **Architecture invariants**: knows the shapes of S3's events and nothing of pipelines.

mod event;

use engine::{EngineError, HasMachines, HasStore, Started};
use serde::Serialize;
use serde_json::Value;

pub use event::{InvalidEvent, uploads};

/// What became of an event, for whoever reads the invocation's result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Triggered {
    /// Executions that were started, or had been by the same upload.
    pub executions: Vec<String>,
}

/// Handles an S3 event: EventBridge's `Object Created`, or S3's own notification with `Records`.
///
/// # Errors
/// `InvalidInput` for an event that is neither; `Contended` and `Unavailable`: deliver it again.
pub async fn handle<W: HasStore + HasMachines>(world: &W, event: Value) -> Result<Triggered, EngineError> {
    let uploads = uploads(&event).map_err(|error| EngineError::refused("InvalidEvent", error.to_string()))?;
    let (mut executions, mut failed) = (Vec::new(), None);
    for upload in uploads {
        let started = match engine::object_uploaded(world, &upload).await {
            Ok(started) => started,
            // The event comes again; what it tells of besides need not wait for that.
            Err(error) => {
                failed.get_or_insert(error);
                continue;
            }
        };
        for (pipeline, outcome) in started {
            let started = match outcome {
                Ok(started) => started,
                Err(refusal) => {
                    tracing::warn!(pipeline.name = %pipeline, "upload starts nothing: {refusal}");
                    continue;
                }
            };
            let id = started.execution();
            executions.push(id.to_string());
            let what = match started {
                Started::New(_) => "started",
                Started::Before(_) => "had been started by this upload before",
                Started::Overtaken(_) => "is newer than this upload, which starts nothing",
                Started::Failed(_) => {
                    tracing::warn!(pipeline.name = %pipeline, execution.id = %id, "upload: the execution could not start and tells why");
                    continue;
                }
            };
            tracing::info!(pipeline.name = %pipeline, execution.id = %id, "upload: execution {what}");
        }
    }
    failed.map_or(Ok(Triggered { executions }), Err)
}
