//! Use cases of the release pipeline: load, decide (in `domain`), commit, then perform.
//!
//! **May touch**: only the traits in [`ports`]; what it decided and performed it says by `tracing`, which is silent until
//! the edge listens.
//!
//! **Architecture invariants**: no AWS types, no environment, no wall clock, no randomness of its own; every decision
//! it makes durable goes through one conditional [`ports::Store::commit`].

mod actions;
mod alarms;
mod approvals;
mod chain;
mod commit;
mod condition;
mod custom_types;
mod definitions;
mod deletion;
mod deliveries;
mod edits;
mod error;
mod failure;
mod gate;
pub mod git_source;
mod jobs;
mod keep;
mod loading;
mod metrics;
mod outbox;
mod pipelines;
pub mod ports;
mod preview;
mod reconcile;
mod retry;
mod revisions;
mod revoked;
mod rollback;
pub mod s3_deploy;
pub mod s3_source;
mod sight;
mod slots;
mod start;
mod stop;
mod tags;
mod transitions;
mod trigger;
mod watch;
mod webhooks;
mod world;

pub use actions::run_action;
pub use alarms::look_up_alarm;
pub use approvals::{Approval, put_approval};
pub use chain::{ActionClaim, start_from_action};
pub use commit::{TRIES_MAX, commit};
pub use condition::{evaluate_condition, look_at_conditions, override_condition};
pub use custom_types::{catalogue, create_custom_type, delete_custom_type};
pub use definitions::load_declaration;
pub use deletion::delete_pipeline;
pub use deliveries::{Delivered, Delivery, deliver};
pub use error::{EngineError, Refusal};
pub use failure::evaluate_failure;
pub use gate::pass_gate;
pub use jobs::{
    JobOrder, JobRevision, JobSuccess, OUTPUT_VARIABLES_BYTES_MAX, Poll, acknowledge_job, fail_job, job_details,
    poll_for_jobs, succeed_job,
};
pub use keep::{KEEP_NO, KEEP_TAG, KEEP_YES};
pub use pipelines::{create_pipeline, get_pipeline, update_pipeline};
pub use preview::{RollbackPreview, TargetPreview, preview_rollback};
pub use reconcile::{Reconciled, machine_died, reconcile};
pub use retry::retry_stage_execution;
pub use revisions::{ActionRevision, put_action_revision, start_with_revisions};
pub use revoked::reinstate;
pub use rollback::{Candidate, StoredArtifact, find_stage, list_candidates, load_view, rollback_stage};
pub use start::{CauseOrder, StartRequest, Started, start_execution};
pub use stop::stop_execution;
pub use tags::{list_tags, tag_resource, untag_resource};
pub use transitions::{Side, disable, enable, release_hold};
pub use trigger::{Upload, object_uploaded};
pub use watch::{Judged, alarm_changed};
pub use webhooks::{WEBHOOKS_MAX, delete_webhook, list_webhooks, put_webhook};
pub use world::{
    HasAlarms, HasBasics, HasEvents, HasFunctions, HasMachines, HasNotifications, HasObjects, HasRepositories,
    HasRoles, HasStore, Settings, World,
};
