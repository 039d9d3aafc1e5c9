//! CodePipeline's enumerations (spec 2.1).

use serde::{Deserialize, Serialize};

/// An enumeration with its spelling on the wire.
macro_rules! wire_enum {
    ($(#[$doc:meta])* $type:ident { $($(#[$vdoc:meta])* $variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum $type { $($(#[$vdoc])* #[serde(rename = $text)] $variant),+ }

        impl $type {
            /// The value as CodePipeline spells it.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }
        }

        impl std::fmt::Display for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

pub(crate) use wire_enum;

wire_enum! {
    /// How executions of one pipeline share its stages (spec 2.3).
    ExecutionMode {
        /// One inside a stage; one waiting, replaced by a newer arrival.
        Superseded = "SUPERSEDED",
        /// One inside a stage; the others wait in order of arrival.
        Queued = "QUEUED",
        /// No locks.
        Parallel = "PARALLEL",
    }
}

wire_enum! {
    /// The pipeline's feature level.
    PipelineType {
        /// The older level: no conditions, modes, variables or triggers.
        V1 = "V1",
        /// Everything. The default here.
        V2 = "V2",
    }
}

wire_enum! {
    /// Status of a pipeline execution.
    ExecutionStatus {
        /// Running, or waiting before a stage.
        InProgress = "InProgress",
        /// A stop was asked for; running actions finish first.
        Stopping = "Stopping",
        /// Stopped by a person.
        Stopped = "Stopped",
        /// Every stage succeeded.
        Succeeded = "Succeeded",
        /// A newer execution took its waiting place.
        Superseded = "Superseded",
        /// A stage failed.
        Failed = "Failed",
        /// The pipeline's structure changed, or a rollback took its stage.
        Cancelled = "Cancelled",
    }
}

wire_enum! {
    /// Status of a stage execution.
    StageStatus {
        /// An execution is inside.
        InProgress = "InProgress",
        /// A stop was asked for.
        Stopping = "Stopping",
        /// Stopped.
        Stopped = "Stopped",
        /// All actions and the success condition succeeded.
        Succeeded = "Succeeded",
        /// An action or a condition failed.
        Failed = "Failed",
        /// The execution inside was cancelled.
        Cancelled = "Cancelled",
        /// An entry condition skipped it.
        Skipped = "Skipped",
    }
}

wire_enum! {
    /// Status of an action execution.
    ActionStatus {
        /// Running.
        InProgress = "InProgress",
        /// Given up by a stop.
        Abandoned = "Abandoned",
        /// Done.
        Succeeded = "Succeeded",
        /// Failed.
        Failed = "Failed",
    }
}

wire_enum! {
    /// Status of a condition.
    ConditionStatus {
        /// Its rules are being evaluated.
        InProgress = "InProgress",
        /// A rule failed.
        Failed = "Failed",
        /// A rule could not be evaluated.
        Errored = "Errored",
        /// All rules succeeded.
        Succeeded = "Succeeded",
        /// Its execution lost the stage, or an update of the pipeline ended it.
        Cancelled = "Cancelled",
        /// Given up by a stop.
        Abandoned = "Abandoned",
        /// A person let the stage go on.
        Overridden = "Overridden",
    }
}

wire_enum! {
    /// What kind of execution it is.
    ExecutionType {
        /// Started by a change or a person.
        Standard = "STANDARD",
        /// Brings one stage back to an earlier execution.
        Rollback = "ROLLBACK",
    }
}

wire_enum! {
    /// What started an execution.
    TriggerType {
        /// The pipeline was created.
        CreatePipeline = "CreatePipeline",
        /// StartPipelineExecution.
        StartPipelineExecution = "StartPipelineExecution",
        /// Polling found a change.
        PollForSourceChanges = "PollForSourceChanges",
        /// A version 1 webhook.
        Webhook = "Webhook",
        /// An event, such as an S3 upload.
        CloudWatchEvent = "CloudWatchEvent",
        /// PutActionRevision.
        PutActionRevision = "PutActionRevision",
        /// A connection's git event.
        WebhookV2 = "WebhookV2",
        /// RollbackStage.
        ManualRollback = "ManualRollback",
        /// A failed stage or an alarm.
        AutomatedRollback = "AutomatedRollback",
    }
}

wire_enum! {
    /// What retried a stage.
    RetryTrigger {
        /// The stage's `onFailure`.
        AutomatedStageRetry = "AutomatedStageRetry",
        /// RetryStageExecution.
        ManualStageRetry = "ManualStageRetry",
    }
}

wire_enum! {
    /// What a retry runs again.
    RetryMode {
        /// Failed actions and what follows them.
        FailedActions = "FAILED_ACTIONS",
        /// Every action of the stage.
        AllActions = "ALL_ACTIONS",
    }
}
