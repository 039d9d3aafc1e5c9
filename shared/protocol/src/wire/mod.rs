//! Inputs and outputs of operations as Rust types, by topic.
//!
//! A call's input has passed the model, so reading it into its type here succeeds:
//! `serde_json::from_value::<GetPipelineInput>(call.input)`. An output goes the other way by `serde_json::to_value`.
//! Where `domain` has a type of the same form, it is used as it is.

#![expect(
    missing_docs,
    reason = "members are CodePipeline's own, spelled as there; spec sections 1 to 7 tell their meaning"
)]

/// Declares wire structures: members before the semicolon are required, those after it optional and left out when
/// absent. Names are camelCase on the wire.
macro_rules! wire {
    ($(
        $(#[$meta:meta])*
        $name:ident {
            $($(#[$required_meta:meta])* $required:ident: $required_type:ty),* ;
            $($(#[$optional_meta:meta])* $optional:ident: $optional_type:ty),* $(,)?
        }
    )+) => { $(
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
        #[serde(rename_all = "camelCase")]
        pub struct $name {
            $($(#[$required_meta])* pub $required: $required_type,)*
            $(
                $(#[$optional_meta])*
                #[serde(default, skip_serializing_if = "Option::is_none")]
                pub $optional: Option<$optional_type>,
            )*
        }
    )+ };
}

#[macro_use]
pub mod described;

pub mod action_types;
pub mod actions;
pub mod approvals;
pub mod borrowed;
pub mod compatibility;
pub mod decisions;
mod epoch;
pub mod executions;
pub mod health;
pub mod holds;
pub mod jobs;
pub mod kept;
pub mod pipelines;
pub mod preview;
pub mod revoked;
pub mod rollback;
pub mod rules;
pub mod shadow;
pub mod state;
pub mod tags;
pub mod targets;
pub mod transitions;
pub mod webhooks;

pub use epoch::Epoch;
