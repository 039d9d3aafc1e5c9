//! What the state machines and the functions say to each other: inputs and outputs of every ASL task, and the error
//! names that `Retry` and `Catch` match.
//!
//! **May touch**: JSON shapes.
//!
//! **Architecture invariants**: no behaviour; a change here is a change of a wire format that running executions
//! still speak, so members are only ever added.

mod errors;
mod tasks;

pub use domain::ConditionKind;
pub use errors::ErrorName;
pub use tasks::{
    ActionInput, ActionOperation, ActionOutput, ActionReport, ArtifactAt, ArtifactFile, ConditionInput,
    ConditionOutput, ExecutionInput, FailureInput, FailureOutput, GateInput, GateOutput, OUTPUT_FILE, ProviderInput,
    ProviderOperation, ReportedError,
};
