//! Requests in, replies out, over the real table in DynamoDB's stand-in and small fakes of everything else.

#![expect(clippy::unwrap_used, reason = "a failure of what a test is built on fails the test")]

mod action_types;
mod actions;
mod approvals;
mod catalogue;
mod cloud;
mod conditions;
mod console;
mod decisions;
mod definitions;
mod deliveries;
mod executions;
mod fuzz;
mod health;
mod holds;
mod jobs;
mod kept;
mod listings;
mod machine_rules;
mod machines;
mod models;
mod objects;
mod overtaken;
mod pipelines;
mod preview;
mod previewed;
mod previous;
mod protocol;
mod reconcile;
mod reference;
mod retries;
mod rollback;
mod rules;
mod starts;
mod state;
mod stops;
mod tags;
mod targets;
mod told;
mod transitions;
mod triggers;
mod watches;
mod webhooks;
mod workers;
mod world;
